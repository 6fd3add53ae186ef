import Foundation

/// One run of `bsm-launcher run`: it confines QEMU, reaps it, and ends it when this process does, however that comes.
final class Launcher: @unchecked Sendable {
  enum Exit: Equatable {
    case code(Int)
    case signal(String)
  }

  /// QEMU is gone and reaped, and so is the launcher. On the loop's thread, once.
  var exited: (Exit) -> Void = { _ in }
  private let pid: pid_t
  private let loop: Loop
  private let lock = NSLock()
  /// Closing it ends QEMU (SIGKILL).
  private var lifeline: Descriptor?
  private let started = Promise<Result<pid_t, any Error>>()
  private let reaped = Promise<Void>()

  // Below: the loop's thread only.
  private let output: Stream
  private let complaints: Stream
  private var lines = LineReader()
  private var exit = Exit.signal("unknown")
  private var isStarted = false
  private var said = ""

  /// `handed[i]` becomes descriptor 3 + i of the program.
  init(_ program: [String], handing handed: [Descriptor], on loop: Loop) throws {
    self.loop = loop
    let (lifelineEnd, lifeline) = try Descriptor.pair()
    let (outputEnd, outputStart) = try Descriptor.pair()
    let (complaintsEnd, complaintsStart) = try Descriptor.pair()
    let numbers = handed.indices.map { String(3 + $0) }.joined(separator: ",")
    let path = try Launcher.path()
    let arguments = [path, "run"] + Launcher.asNobody() + ["--fds", numbers, "--"] + program
    pid = try Launcher.spawn(path, arguments, [lifelineEnd, outputStart, complaintsStart] + handed)
    self.lifeline = lifeline
    output = Stream(outputEnd)
    complaints = Stream(complaintsEnd)
  }

  /// On the loop's thread.
  func attach() {
    output.received = { [unowned self] bytes in
      for object in lines.push(bytes) { take(object) }
    }
    // Also when the launcher was killed: QEMU goes with it (PDEATHSIG) and is not ours to reap.
    output.ended = { [self] in
      loop.remove(output)
      loop.remove(complaints)
      var status: Int32 = 0
      while waitpid(pid, &status, 0) == -1, errno == EINTR {}
      started.fulfil(.failure(VZError(.internalError, said.isEmpty ? "QEMU did not start." : said)))
      reaped.fulfil(())
      exited(exit)
      // Both kept this object alive until now.
      exited = { _ in }
      output.ended = {}
    }
    complaints.received = { [unowned self] bytes in
      said = String((said + String(decoding: bytes, as: UTF8.self)).suffix(4096))
    }
    complaints.ended = { [unowned self] in loop.remove(complaints) }
    loop.add(complaints)
    loop.add(output)
  }

  /// Waits until QEMU runs; throws what the launcher says. Its process id.
  func waitUntilStarted() throws -> pid_t {
    guard let outcome = started.wait(10) else { throw VZError(.internalError, "bsm-launcher did not start QEMU.") }
    return try outcome.get()
  }

  /// Ends QEMU without its cooperation.
  func cut() { lock.withLock { lifeline = nil } }

  /// False when QEMU is still there after so many seconds.
  func waitUntilReaped(_ seconds: Double) -> Bool { reaped.wait(seconds) != nil }

  /// What QEMU and the launcher complained of last.
  var complaint: String {
    let text = Promise<String>()
    guard loop.post({ [self] in text.fulfil(said) }) else { return said }
    return text.wait(1) ?? ""
  }

  private func take(_ line: [String: Any]) {
    switch line["event"] as? String {
    case "started": started.fulfil(.success(pid_t(line["pid"] as? Int ?? 0)))
    case "exited":
      if let code = line["code"] as? Int {
        exit = .code(code)
      } else {
        exit = .signal(line["signal"] as? String ?? "unknown")
      }
    case "error": said += line["message"] as? String ?? ""
    default: break
    }
  }

  // MARK: Starting

  /// `BSM_LAUNCHER`, or beside this program, or in the `dist` of a folder above it.
  private static func path() throws -> String {
    if let named = getenv("BSM_LAUNCHER") { return String(cString: named) }
    var folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    while true {
      for candidate in [folder, folder.appendingPathComponent("dist")] {
        let path = candidate.appendingPathComponent("bsm-launcher").path
        if access(path, X_OK) == 0 { return path }
      }
      if folder.pathComponents.count <= 1 { break }
      folder.deleteLastPathComponent()
    }
    throw VZError(.internalError, "bsm-launcher, which starts QEMU, is missing: build it with “npm run build”.")
  }

  /// When we are root, a user who is nobody else, one for each machine.
  private static func asNobody() -> [String] {
    guard geteuid() == 0 else { return [] }
    let user = String(users.next())
    return ["--uid", user, "--gid", user]
  }

  private static let users = Users()

  private final class Users: @unchecked Sendable {
    private let lock = NSLock()
    private var last: UInt32 = 1_879_113_728

    func next() -> UInt32 {
      lock.withLock {
        last += 1
        return last
      }
    }
  }

  private static func spawn(_ path: String, _ arguments: [String], _ handed: [Descriptor]) throws -> pid_t {
    // Out of the way of the numbers that they become.
    let sources = try handed.map { descriptor -> Descriptor in
      let number = fcntl(descriptor.number, F_DUPFD_CLOEXEC, Int32(3 + handed.count))
      guard number >= 0 else { throw VZError(.internalError, "fcntl: \(lastError())") }
      return Descriptor(owning: number)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, source) in sources.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, source.number, Int32(target))
    }
    // A process group of its own: a Ctrl-C at the terminal is the helper's business. No signal stays blocked or ignored.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var list: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    list.append(nil)
    defer { for argument in list { free(argument) } }
    var empty: [UnsafeMutablePointer<CChar>?] = [nil]
    var pid: pid_t = 0
    // Held on to by name: the optimizer lets go of what only its number is still used of, and that closes it.
    let failure = withExtendedLifetime(sources) {
      posix_spawn(&pid, path, &actions, &attributes, list, &empty)
    }
    guard failure == 0 else {
      throw VZError(.internalError, "\(path) could not be started: \(String(cString: strerror(failure)))")
    }
    return pid
  }
}
