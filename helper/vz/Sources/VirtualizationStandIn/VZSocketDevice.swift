import Foundation

open class VZSocketDeviceConfiguration: NSObject {
  override init() { super.init() }
}

public final class VZVirtioSocketDeviceConfiguration: VZSocketDeviceConfiguration {
  public override init() { super.init() }
}

open class VZSocketDevice: NSObject {
  override init() { super.init() }
}

/// A connection into the guest. It owns its descriptor: closed by `close()` or with the last reference, once.
public final class VZVirtioSocketConnection: NSObject, @unchecked Sendable {
  public let destinationPort: UInt32
  public let sourcePort: UInt32
  private let lock = NSLock()
  private var descriptor: Descriptor?

  /// A blocking AF_UNIX stream, as the framework's is; -1 once closed.
  public var fileDescriptor: Int32 { lock.withLock { descriptor?.number ?? -1 } }

  init(_ descriptor: Descriptor, to destinationPort: UInt32, from sourcePort: UInt32) {
    self.descriptor = descriptor
    self.destinationPort = destinationPort
    self.sourcePort = sourcePort
    super.init()
  }

  public func close() { lock.withLock { descriptor = nil } }
}

public final class VZVirtioSocketDevice: VZSocketDevice {
  private let queue: DispatchQueue
  private let dial: (UInt32, @escaping (Result<Descriptor, any Error>) -> Void) -> Void
  private var nextSourcePort: UInt32 = 1 << 16

  init(queue: DispatchQueue, dial: @escaping (UInt32, @escaping (Result<Descriptor, any Error>) -> Void) -> Void) {
    self.queue = queue
    self.dial = dial
    super.init()
  }

  /// Connects to a port of the guest; on the machine's queue, where the handler runs too. Where nobody listens it fails
  /// soon with ECONNRESET (`NSPOSIXErrorDomain`), and it never waits for a listener.
  public func connect(
    toPort port: UInt32, completionHandler: @escaping (Result<VZVirtioSocketConnection, any Error>) -> Void
  ) {
    dispatchPrecondition(condition: .onQueue(queue))
    if Fault.connectSilent.strikes() { return }
    nextSourcePort += 1
    let source = nextSourcePort
    dial(port) { [queue] result in
      queue.async {
        completionHandler(result.map { descriptor in
          if Fault.connectHalfOpen.strikes() { shutdown(descriptor.number, Int32(SHUT_RDWR)) }
          return VZVirtioSocketConnection(descriptor, to: port, from: source)
        })
      }
    }
  }
}
