import Foundation

/// A descriptor on a `Loop`, with what is still to be written to it. Never blocks.
final class Stream {
  let descriptor: Descriptor
  /// False holds the other side back: nothing is read.
  var isReading: Bool
  /// Gets what was read; valid during the call.
  var received: (UnsafeRawBufferPointer) -> Void = { _ in }
  /// The other side is gone. Comes once.
  var ended: () -> Void = {}
  /// Something was written: `pending` is smaller now.
  var progressed: () -> Void = {}

  private var out: [UInt8] = []
  private var written = 0
  private var hasEnded = false
  private let isSocket: Bool
  /// A pipe that is shared with others stays blocking: what fits one page never blocks once it is writable.
  private let pieceBytes: Int

  init(_ descriptor: Descriptor, isReading: Bool = true, isShared: Bool = false) {
    self.descriptor = descriptor
    self.isReading = isReading
    var kind: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    isSocket = getsockopt(descriptor.number, SOL_SOCKET, SO_TYPE, &kind, &size) == 0
    pieceBytes = isShared ? Int(PIPE_BUF) : 1 << 18
    if !isShared { descriptor.makeNonBlocking() }
  }

  var pending: Int { out.count - written }

  var interest: Int16 { (isReading ? Int16(POLLIN) : 0) | (pending > 0 ? Int16(POLLOUT) : 0) }

  func write(_ bytes: some Sequence<UInt8>) {
    if hasEnded { return }
    out.append(contentsOf: bytes)
  }

  func ready(_ events: Int16) {
    if events & Int16(POLLOUT) != 0 { flush() }
    if isReading, events & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
      fill()
    } else if events & Int16(POLLERR | POLLNVAL | POLLHUP) != 0 {
      end()
    }
  }

  /// Writes what can be written now.
  func flush() {
    while pending > 0 {
      let n = out.withUnsafeBytes { bytes -> Int in
        let piece = UnsafeRawBufferPointer(rebasing: bytes[written..<min(bytes.count, written + pieceBytes)])
        return isSocket
          ? send(descriptor.number, piece.baseAddress, piece.count, Int32(MSG_NOSIGNAL))
          : Glibc.write(descriptor.number, piece.baseAddress, piece.count)
      }
      if n < 0 {
        if errno == EINTR { continue }
        if errno != EAGAIN { end() }
        break
      }
      written += n
      if pieceBytes == Int(PIPE_BUF) { break }
    }
    if pending == 0 {
      out.removeAll(keepingCapacity: out.capacity <= 1 << 18)
      written = 0
    } else if written > 1 << 20 {
      out.removeFirst(written)
      written = 0
    }
    progressed()
  }

  private func fill() {
    withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
      let n = read(descriptor.number, buffer.baseAddress, buffer.count)
      if n > 0 {
        received(UnsafeRawBufferPointer(rebasing: buffer[0..<n]))
      } else if n == 0 || (errno != EAGAIN && errno != EINTR) {
        end()
      }
    }
  }

  private func end() {
    if hasEnded { return }
    hasEnded = true
    isReading = false
    out = []
    written = 0
    ended()
  }
}
