import Foundation

/// A running QEMU and its connections. Made and worked on by one thread at a time, which may block; never on a
/// machine's own queue.
final class Machine: @unchecked Sendable {
  enum End {
    /// The guest powered off.
    case guest
    /// We cut the power.
    case killed
    case failure(VZError)
  }

  private let spec: MachineSpec
  private let loop: Loop
  private let launcher: Launcher
  private let qmp: Qmp
  private let memory: Descriptor
  private let restoredFrom: Descriptor?
  private let deviceState: Descriptor
  private let deviceStateNumber: Int
  private let incomingNumber: Int
  /// QEMU gave it since the last pause.
  private var hasDeviceState = false

  // Below: the loop's thread only.
  private var ports: [UInt32: Port] = [:]
  private var console: Console?
  private var shutdownReason: String?
  private var isKilled = false
  private var loading: Promise<String>?

  /// Starts a machine: running from its kernel, or paused as `saved` has it. `ended` is called once, on any thread.
  static func start(_ spec: MachineSpec, saved: SavedState.Reader?, ended: @escaping (Machine, End) -> Void) throws -> Machine {
    let machine = try Machine(spec, saved, ended)
    do {
      try machine.begin(saved)
      return machine
    } catch {
      machine.kill()
      throw machine.explain(error)
    }
  }

  private init(_ spec: MachineSpec, _ saved: SavedState.Reader?, _ ended: @escaping (Machine, End) -> Void) throws {
    self.spec = spec
    memory = try Descriptor.memory("ram", bytes: spec.memoryBytes)
    deviceState = try Descriptor.memory("device-state")
    restoredFrom = try saved.map(SavedState.device)
    let (qmpEnd, qmpStart) = try Descriptor.pair()
    let consolePair = try spec.hasSerial ? Descriptor.pair() : nil
    let portPairs = try spec.hasSockets ? QemuCommand.ports.map { ($0, try Descriptor.pair()) } : []
    let command = QemuCommand(
      spec,
      QemuCommand.Parts(
        memory: memory,
        kernel: try restoredFrom == nil ? Machine.copy(spec.kernel) : Machine.kernelStub(),
        initrd: try restoredFrom == nil ? spec.initrd.map(Machine.copy) : nil,
        qmp: qmpStart,
        console: consolePair?.1,
        ports: Dictionary(uniqueKeysWithValues: portPairs.map { ($0, $1.1) }),
        deviceState: deviceState,
        incoming: restoredFrom))
    deviceStateNumber = command.deviceStateNumber
    incomingNumber = command.incomingNumber
    loop = try Loop(name: "stand-in")
    qmp = Qmp(qmpEnd, on: loop)
    do {
      launcher = try Launcher(command.arguments, handing: command.handed, on: loop)
    } catch {
      loop.post { [loop] in loop.end() }
      throw error
    }
    loop.post { [self] in
      qmp.event = { [unowned self] name, data in take(name, data) }
      qmp.attach()
      for (number, pair) in portPairs {
        let port = Port(pair.0, on: loop)
        port.isOpen = saved?.header.openPorts.contains(number) ?? false
        ports[number] = port
      }
      if let consolePair { console = Console(consolePair.0, spec.serial, on: loop) }
      // The closure keeps the machine alive until QEMU is gone.
      launcher.exited = { [self] exit in
        // Descriptors of one machine end at about the same time, often in one round of the loop, in any order: whatever
        // still stands in that round must find nobody who is gone.
        for port in ports.values { port.close() }
        console?.close()
        qmp.close()
        ended(self, reason(exit))
        loop.end()
        ports = [:]
        console = nil
      }
      launcher.attach()
    }
  }

  private func begin(_ saved: SavedState.Reader?) throws {
    _ = try launcher.waitUntilStarted()
    guard let saved else {
      try qmp.execute("cont")
      return
    }
    try SavedState.fill(memory, saved)
    try loadDeviceState()
  }

  // MARK: Steps

  func pause() throws { try qmp.execute("stop") }

  func resume() throws {
    hasDeviceState = false
    try qmp.execute("cont")
  }

  func pressPowerButton() { qmp.tell("system_powerdown") }

  func save(to url: URL) throws {
    try SavedState.create(url) { file in
      try saveDeviceState()
      let open = Promise<[UInt32]>()
      loop.post { [self] in open.fulfil(ports.filter(\.value.isOpen).keys.sorted()) }
      let header = SavedState.Header(
        owner: .current, facts: SavedState.Facts(spec), openPorts: open.wait(5) ?? [])
      try SavedState.write(header, device: deviceState, memory: memory, to: file)
    }
  }

  /// QEMU gives its device state once a pause, so that what it gave serves for every save until the next resume.
  private func saveDeviceState() throws {
    if hasDeviceState { return }
    let file = "/proc/self/fd/\(deviceStateNumber)"
    try qmp.execute("xen-save-devices-state", ["filename": file, "live": false], within: 30)
    hasDeviceState = true
  }

  /// Connects to a port of the guest; `done` is called on any thread.
  func dial(_ number: UInt32, _ done: @escaping Port.Dialled) {
    let isPosted = loop.post { [self] in
      guard let port = ports[number] else { return done(.failure(Port.refused)) }
      port.dial(done)
    }
    if !isPosted { done(.failure(Port.refused)) }
  }

  /// Cuts the power and waits until QEMU is reaped. False if it is not after ten seconds.
  @discardableResult
  func kill() -> Bool {
    abandon()
    return launcher.waitUntilReaped(10)
  }

  /// Cuts the power without waiting.
  func abandon() {
    loop.post { [self] in isKilled = true }
    launcher.cut()
  }

  // MARK: Inside

  /// Device state alone: memory is filled already. The machine is paused then.
  private func loadDeviceState() throws {
    let outcome = Promise<String>()
    loop.post { [self] in loading = outcome }
    let events: [String: Any] = ["capability": "events", "state": true]
    try qmp.execute("migrate-set-capabilities", ["capabilities": [events]])
    try qmp.execute("migrate-incoming", ["uri": "fd:\(incomingNumber)"])
    switch outcome.wait(30) {
    case "completed": return
    case "failed": throw VZError.restoreInvalid
    default: throw VZError(.internalError, "device state was not loaded in time")
    }
  }

  private func take(_ event: String, _ data: [String: Any]) {
    switch event {
    case "VSERPORT_CHANGE":
      guard let id = data["id"] as? String, let number = UInt32(id.dropFirst("port".count)) else { return }
      ports[number]?.isOpen = data["open"] as? Bool ?? false
    case "MIGRATION":
      if let status = data["status"] as? String, ["completed", "failed"].contains(status) {
        loading?.fulfil(status)
      }
    case "SHUTDOWN": shutdownReason = data["reason"] as? String
    default: break
    }
  }

  private func reason(_ exit: Launcher.Exit) -> End {
    loading?.fulfil("ended")
    if isKilled { return .killed }
    if shutdownReason == "guest-shutdown", exit == .code(0) { return .guest }
    return .failure(VZError(.internalError, "The virtual machine ended (\(shutdownReason ?? "\(exit)"))."))
  }

  /// A failure of the machine under the framework's code, with QEMU's own words.
  private func explain(_ error: any Error) -> any Error {
    guard let error = error as? VZError, error.code == .internalError else { return error }
    let complaint = launcher.complaint.trimmingCharacters(in: .whitespacesAndNewlines)
    return complaint.isEmpty ? error : VZError(.internalError, complaint)
  }

  /// A copy in memory: QEMU's user may not read the file itself.
  private static func copy(_ url: URL) throws -> Descriptor {
    let file = try Descriptor.open(url, O_RDONLY, refusal: .invalidVirtualMachineConfiguration)
    let memory = try Descriptor.memory(url.lastPathComponent)
    try withExtendedLifetime((file, memory)) {
      var left = Int(try file.status().st_size)
      while left > 0 {
        let n = sendfile(memory.number, file.number, nil, left)
        guard n > 0 else { throw VZError(.invalidVirtualMachineConfiguration, "\(url.path): \(lastError())") }
        left -= n
      }
    }
    return memory
  }

  /// A restored machine never runs its kernel, but QEMU wants one to read: a header without code.
  private static func kernelStub() throws -> Descriptor {
    let memory = try Descriptor.memory("kernel-stub", bytes: 4096)
    withExtendedLifetime(memory) { _ = pwrite(memory.number, "ARM\u{64}", 4, 56) }
    return memory
  }
}
