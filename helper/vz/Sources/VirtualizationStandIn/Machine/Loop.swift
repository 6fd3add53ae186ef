import Foundation

/// One thread that waits for all descriptors of a machine. Whatever is attached to it lives on that thread alone.
final class Loop: @unchecked Sendable {
  private let lock = NSLock()
  private var posted: [() -> Void] = []
  private var isOver = false
  private let wake: Descriptor
  private let waker: Descriptor

  // Below: the loop's thread only.
  private var streams: [ObjectIdentifier: Stream] = [:]
  private var timers: [Timer] = []
  private var isEnding = false

  private struct Timer {
    let due: DispatchTime
    let work: () -> Void
  }

  init(name: String) throws {
    (wake, waker) = try Descriptor.pair()
    wake.makeNonBlocking()
    waker.makeNonBlocking()
    let thread = Thread { [self] in run() }
    thread.name = name
    thread.start()
  }

  /// Runs `work` on the loop's thread, in order; false when the loop has ended, and nothing runs any more.
  @discardableResult
  func post(_ work: @escaping () -> Void) -> Bool {
    let before: Int? = lock.withLock {
      if isOver { return nil }
      posted.append(work)
      return posted.count - 1
    }
    if before == 0 { _ = send(waker.number, "!", 1, Int32(MSG_NOSIGNAL)) }
    return before != nil
  }

  // MARK: On the loop's thread

  func add(_ stream: Stream) { streams[ObjectIdentifier(stream)] = stream }

  /// The descriptor closes with the stream's last reference.
  func remove(_ stream: Stream) { streams[ObjectIdentifier(stream)] = nil }

  func after(_ delay: DispatchTimeInterval, _ work: @escaping () -> Void) {
    timers.append(Timer(due: .now() + delay, work: work))
  }

  func end() { isEnding = true }

  private func run() {
    // A reader of the serial port may go away; that is an error of a write, not the end of the process.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    while !isEnding {
      wait()
      for work in takePosted() { work() }
      runTimers()
    }
    let left = lock.withLock {
      isOver = true
      return posted
    }
    for work in left { work() }
    posted = []
    streams = [:]
    timers = []
  }

  private func wait() {
    let waiting = streams.values.filter { $0.interest != 0 }
    var polled = waiting.map { pollfd(fd: $0.descriptor.number, events: $0.interest, revents: 0) }
    polled.append(pollfd(fd: wake.number, events: Int16(POLLIN), revents: 0))
    guard poll(&polled, nfds_t(polled.count), timeout) > 0 else { return }
    if polled[waiting.count].revents != 0 { drainWake() }
    for (stream, state) in zip(waiting, polled) where state.revents != 0 {
      // One stream's bytes may have removed another, or ended it all: owners are gone then, and streams outlive them.
      if !isEnding, streams[ObjectIdentifier(stream)] != nil { stream.ready(state.revents) }
    }
  }

  /// Milliseconds until the next timer, rounded up; -1 without one.
  private var timeout: Int32 {
    guard let next = timers.map(\.due).min() else { return -1 }
    let now = DispatchTime.now()
    return next <= now ? 0 : Int32((next.uptimeNanoseconds - now.uptimeNanoseconds) / 1_000_000 + 1)
  }

  private func runTimers() {
    let now = DispatchTime.now()
    let due = timers.filter { $0.due <= now }
    timers.removeAll { $0.due <= now }
    for timer in due { timer.work() }
  }

  private func drainWake() {
    var bytes = [UInt8](repeating: 0, count: 64)
    while read(wake.number, &bytes, bytes.count) > 0 {}
  }

  private func takePosted() -> [() -> Void] {
    lock.withLock {
      defer { posted = [] }
      return posted
    }
  }
}
