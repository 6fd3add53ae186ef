import CStandIn
import Foundation

/// A file descriptor that is closed exactly once: a second close would hit a stranger's. It lives as long as its last
/// reference, which the optimizer may take for earlier than the last use of its number: `withExtendedLifetime`.
final class Descriptor: @unchecked Sendable {
  let number: Int32

  /// Takes over an open descriptor.
  init(owning number: Int32) {
    precondition(number >= 0)
    self.number = number
  }

  deinit { Glibc.close(number) }

  /// Opens a file close-on-exec; throws a `VZError` of `refusal` that says why not.
  static func open(_ url: URL, _ flags: Int32, refusal: VZError.Code) throws -> Descriptor {
    let number = Glibc.open(url.path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard number >= 0 else { throw VZError(refusal, "\(url.path): \(lastError())") }
    return Descriptor(owning: number)
  }

  /// An anonymous file in memory.
  static func memory(_ name: String, bytes: UInt64 = 0) throws -> Descriptor {
    let number = stand_in_memfd(name)
    guard number >= 0 else { throw VZError(.internalError, "memfd_create: \(lastError())") }
    let memory = Descriptor(owning: number)
    guard ftruncate(number, off_t(bytes)) == 0 else { throw VZError(.internalError, "ftruncate: \(lastError())") }
    return memory
  }

  /// Two ends of a stream.
  static func pair() throws -> (Descriptor, Descriptor) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
      throw VZError(.internalError, "socketpair: \(lastError())")
    }
    return (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
  }

  func status() throws -> stat {
    var status = stat()
    guard fstat(number, &status) == 0 else { throw VZError(.internalError, "fstat: \(lastError())") }
    return status
  }

  func makeNonBlocking() { _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK) }
}

/// errno in words.
func lastError() -> String { String(cString: strerror(errno)) }
