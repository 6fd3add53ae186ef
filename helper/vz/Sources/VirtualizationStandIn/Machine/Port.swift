import Foundation

/// One vsock port of the guest, carried by a virtserialport: at most one connection at a time, so that a new one ends
/// the one before it (the framework has no such limit), and a half-close counts as a close. On the loop's thread.
final class Port {
  typealias Dialled = (Result<Descriptor, any Error>) -> Void

  /// The guest has the port's device open.
  var isOpen = false
  private let loop: Loop
  private let stream: Stream
  private var parser = BridgeRecordParser()
  private var lastId: UInt32
  private var state = State.idle
  /// Links whose guest's end is gone, and whose readers have not taken everything yet.
  private var lingering: [ObjectIdentifier: Stream] = [:]

  private enum State {
    case idle
    case dialling(id: UInt32, deadline: DispatchTime, done: Dialled)
    case connected(id: UInt32, Stream)
    /// The guest's end of the port is gone, or sent what is no record.
    case broken
  }

  /// A dial that the guest does not answer is made again after this, then after twice as long, and so on: now and then
  /// a bridge that was just restored misses one.
  private static let patience = 500
  /// Far above what an answer takes, below anybody's patience.
  private static let longestDial = DispatchTimeInterval.seconds(5)
  /// What is held for a side that does not read before the other is held back.
  private static let backlog = 1 << 20

  init(_ descriptor: Descriptor, on loop: Loop) {
    self.loop = loop
    stream = Stream(descriptor)
    lastId = UInt32.random(in: 1..<1 << 31)
    stream.received = { [unowned self] in take($0) }
    stream.ended = { [unowned self] in breakDown() }
    stream.progressed = { [unowned self] in
      if case .connected(_, let link) = state { link.isReading = stream.pending < Port.backlog }
    }
    loop.add(stream)
  }

  func dial(_ done: @escaping Dialled) {
    if case .broken = state { return done(.failure(Port.refused)) }
    hangUp()
    guard isOpen else { return done(.failure(Port.refused)) }
    ring(patience: Port.patience, deadline: .now() + Port.longestDial, done)
  }

  private func ring(patience: Int, deadline: DispatchTime, _ done: @escaping Dialled) {
    lastId = lastId == .max ? 1 : lastId + 1
    let id = lastId
    state = .dialling(id: id, deadline: deadline, done: done)
    stream.write(BridgeRecord.header(id, .open))
    // Not `done`: it would hold on to what the caller's handler has, long after it was called.
    loop.after(.milliseconds(patience)) { [weak self] in
      guard let self, case .dialling(id, let deadline, let done) = state else { return }
      if .now() >= deadline {
        state = .idle
        done(.failure(Port.refused))
      } else {
        ring(patience: 2 * patience, deadline: deadline, done)
      }
    }
  }

  private func take(_ bytes: UnsafeRawBufferPointer) {
    guard let records = parser.push(bytes) else { return breakDown() }
    for record in records {
      switch state {
      case .dialling(let id, _, let done) where record.connection == id:
        answered(record, done)
      case .connected(let id, let link) where record.connection == id:
        switch record.kind {
        case .data:
          link.write(record.bytes)
          stream.isReading = link.pending < Port.backlog
        case .close: end(link)
        case .open: break
        }
      default: break  // of a connection that is no more
      }
    }
    // Not with the next round of the loop: a small answer goes out at once.
    if case .connected(_, let link) = state { link.flush() }
  }

  private func answered(_ record: BridgeRecord, _ done: @escaping Dialled) {
    guard record.kind == .open else {
      state = .idle
      return done(.failure(Port.refused))
    }
    do {
      let (ours, theirs) = try Descriptor.pair()
      state = .connected(id: record.connection, connect(ours, id: record.connection))
      done(.success(theirs))
    } catch {
      state = .idle
      stream.write(BridgeRecord.header(record.connection, .close))
      done(.failure(error))
    }
  }

  private func connect(_ end: Descriptor, id: UInt32) -> Stream {
    let link = Stream(end)
    link.received = { [unowned self, unowned link] bytes in
      for start in stride(from: 0, to: bytes.count, by: BridgeRecord.longestData) {
        let piece = bytes[start..<min(bytes.count, start + BridgeRecord.longestData)]
        stream.write(BridgeRecord.header(id, .data, length: piece.count))
        stream.write(piece)
      }
      stream.flush()
      link.isReading = stream.pending < Port.backlog
    }
    link.ended = { [unowned self] in hangUp() }
    link.progressed = { [unowned self, unowned link] in stream.isReading = link.pending < Port.backlog }
    loop.add(link)
    return link
  }

  /// The host's side is done.
  private func hangUp() {
    switch state {
    case .dialling(_, _, let done):
      state = .idle
      done(.failure(Port.refused))
    case .connected(let id, let link):
      state = .idle
      stream.write(BridgeRecord.header(id, .close))
      drop(link)
    case .idle, .broken: break
    }
  }

  /// The guest's side is done: what it sent before still arrives.
  private func end(_ link: Stream) {
    state = .idle
    link.flush()
    guard link.pending > 0 else { return drop(link) }
    link.isReading = false
    lingering[ObjectIdentifier(link)] = link
    link.progressed = { [unowned self, unowned link] in if link.pending == 0 { drop(link) } }
    link.ended = { [unowned self, unowned link] in drop(link) }
    stream.isReading = true
  }

  private func drop(_ link: Stream) {
    stream.isReading = true
    lingering[ObjectIdentifier(link)] = nil
    link.received = { _ in }
    link.ended = {}
    link.progressed = {}
    // Others may hold a duplicate of neither end; this is what the reader sees as the end.
    shutdown(link.descriptor.number, Int32(SHUT_RDWR))
    loop.remove(link)
  }

  /// The machine is gone: whoever dials is told, and nothing calls back into this port any more.
  func close() {
    breakDown()
    for link in lingering.values { drop(link) }
    stream.received = { _ in }
    stream.ended = {}
    stream.progressed = {}
  }

  private func breakDown() {
    if case .connected(_, let link) = state { end(link) } else { hangUp() }
    state = .broken
    loop.remove(stream)
  }

  static var refused: NSError { NSError(domain: NSPOSIXErrorDomain, code: Int(ECONNRESET)) }
}
