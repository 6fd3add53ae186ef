import Foundation
import Virtualization
import XCTest

/// A machine on a queue of its own, driven synchronously from a test.
final class TestMachine: NSObject, VZVirtualMachineDelegate, @unchecked Sendable {
  let queue = DispatchQueue(label: "test.machine")
  let vm: VZVirtualMachine
  let guestStopped = XCTestExpectation(description: "guestDidStop")
  let failed = XCTestExpectation(description: "didStopWithError")

  init(_ configuration: VZVirtualMachineConfiguration) {
    vm = VZVirtualMachine(configuration: configuration, queue: queue)
    super.init()
    queue.sync { vm.delegate = self }
  }

  static func configuration(
    identifier: VZGenericMachineIdentifier = VZGenericMachineIdentifier(), memory: UInt64 = 256, console: FileHandle? = nil
  ) throws -> VZVirtualMachineConfiguration {
    let image = try GuestImage.built()
    let configuration = VZVirtualMachineConfiguration()
    let loader = VZLinuxBootLoader(kernelURL: image.kernel)
    loader.initialRamdiskURL = image.initrd
    loader.commandLine = "console=hvc0 root=/dev/vda ro quiet panic=-1"
    configuration.bootLoader = loader
    configuration.memorySize = memory << 20
    let platform = VZGenericPlatformConfiguration()
    platform.machineIdentifier = identifier
    configuration.platform = platform
    let disk = try VZDiskImageStorageDeviceAttachment(
      url: image.rootfs, readOnly: true, cachingMode: .cached, synchronizationMode: .fsync)
    configuration.storageDevices = [VZVirtioBlockDeviceConfiguration(attachment: disk)]
    configuration.socketDevices = [VZVirtioSocketDeviceConfiguration()]
    let serial = VZVirtioConsoleDeviceSerialPortConfiguration()
    serial.attachment = VZFileHandleSerialPortAttachment(
      fileHandleForReading: nil, fileHandleForWriting: console)
    configuration.serialPorts = [serial]
    configuration.entropyDevices = [VZVirtioEntropyDeviceConfiguration()]
    return configuration
  }

  var state: VZVirtualMachine.State { queue.sync { vm.state } }

  func start() throws { try completed { vm, done in vm.start { done($0.error) } } }
  func pause() throws { try completed { vm, done in vm.pause { done($0.error) } } }
  func resume() throws { try completed { vm, done in vm.resume { done($0.error) } } }
  func stop() throws { try completed { vm, done in vm.stop(completionHandler: done) } }
  func save(_ url: URL) throws { try completed { vm, done in vm.saveMachineStateTo(url: url, completionHandler: done) } }
  func restore(_ url: URL) throws {
    try completed { vm, done in vm.restoreMachineStateFrom(url: url, completionHandler: done) }
  }

  func connectOnce(_ port: UInt32) throws -> VZVirtioSocketConnection {
    let answer = Answer<Result<VZVirtioSocketConnection, any Error>>()
    queue.async { [self] in
      dispatchPrecondition(condition: .onQueue(queue))
      guard let device = vm.socketDevices.first as? VZVirtioSocketDevice else { return }
      device.connect(toPort: port) { result in
        dispatchPrecondition(condition: .onQueue(self.queue))
        answer.give(result)
      }
    }
    return try answer.take(20).get()
  }

  /// Connects as soon as the guest listens.
  func connect(_ port: UInt32) throws -> VZVirtioSocketConnection {
    for _ in 0..<600 {
      do {
        return try connectOnce(port)
      } catch let error as NSError where error.domain == NSPOSIXErrorDomain {
        XCTAssertEqual(error.code, Int(ECONNRESET))
        usleep(50_000)
      }
    }
    throw TimedOut()
  }

  private func completed(_ step: @escaping (VZVirtualMachine, @escaping ((any Error)?) -> Void) -> Void) throws {
    let answer = Answer<(any Error)?>()
    queue.async { [self] in
      step(vm) { error in
        dispatchPrecondition(condition: .onQueue(self.queue))
        answer.give(error)
      }
    }
    if let error = try answer.take(60) { throw error }
  }

  func guestDidStop(_ virtualMachine: VZVirtualMachine) {
    dispatchPrecondition(condition: .onQueue(queue))
    guestStopped.fulfill()
  }

  func virtualMachine(_ virtualMachine: VZVirtualMachine, didStopWithError error: any Error) {
    dispatchPrecondition(condition: .onQueue(queue))
    failed.fulfill()
  }
}

struct TimedOut: Error {}

final class Answer<Value>: @unchecked Sendable {
  private let semaphore = DispatchSemaphore(value: 0)
  private var value: Value?

  func give(_ value: Value) {
    self.value = value
    semaphore.signal()
  }

  func take(_ seconds: Double) throws -> Value {
    guard semaphore.wait(timeout: .now() + seconds) == .success, let value else { throw TimedOut() }
    return value
  }
}

extension Result {
  var error: (any Error)? {
    guard case .failure(let error) = self else { return nil }
    return error
  }
}

/// Frames of the guest (protocol §3) over a connection.
extension VZVirtioSocketConnection {
  func send(_ message: [String: Any]) throws {
    let body = try JSONSerialization.data(withJSONObject: message)
    let frame = withUnsafeBytes(of: UInt32(body.count).bigEndian) { Data($0) } + body
    try frame.withUnsafeBytes { bytes in
      var at = 0
      while at < bytes.count {
        let n = Glibc.send(fileDescriptor, bytes.baseAddress?.advanced(by: at), bytes.count - at, Int32(MSG_NOSIGNAL))
        guard n > 0 else { throw POSIXError(.EIO) }
        at += n
      }
    }
  }

  func receive() throws -> [String: Any] {
    let length = try bytes(4).reduce(0) { $0 << 8 | Int($1) }
    return try JSONSerialization.jsonObject(with: bytes(length)) as? [String: Any] ?? [:]
  }

  /// The next `count` bytes; throws at the end of the stream and after 20 s of silence.
  func bytes(_ count: Int) throws -> Data {
    var data = Data()
    while data.count < count {
      var waiting = pollfd(fd: fileDescriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, 20_000) == 1 else { throw TimedOut() }
      var piece = [UInt8](repeating: 0, count: count - data.count)
      let n = read(fileDescriptor, &piece, piece.count)
      guard n > 0 else { throw EndOfStream() }
      data += piece[0..<n]
    }
    return data
  }
}

struct EndOfStream: Error {}

/// A `VZError` with this code; anything else fails the test. Its failure reason.
@discardableResult
func expect(
  _ code: VZError.Code, file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void
) -> String? {
  do {
    try body()
    XCTFail("no error", file: file, line: line)
  } catch let error as VZError {
    XCTAssertEqual(error.code, code, file: file, line: line)
    return error.failureReason
  } catch {
    XCTFail("\(error)", file: file, line: line)
  }
  return nil
}
