import Foundation

/// The serial port between QEMU and the handles of its attachment. A reader that does not read holds the guest's console
/// back; one that is gone loses what follows. On the loop's thread.
final class Console {
  private let loop: Loop
  private let machine: Stream
  private var sink: Stream?
  private var source: Stream?
  private static let backlog = 64 << 10

  init(_ descriptor: Descriptor, _ attachment: VZFileHandleSerialPortAttachment?, on loop: Loop) {
    self.loop = loop
    machine = Stream(descriptor)
    sink = Console.duplicate(attachment?.fileHandleForWriting).map { Stream($0, isReading: false, isShared: true) }
    source = Console.duplicate(attachment?.fileHandleForReading).map { Stream($0, isShared: true) }
    machine.received = { [unowned self] bytes in
      guard let sink else { return }
      sink.write(bytes)
      machine.isReading = sink.pending < Console.backlog
    }
    machine.progressed = { [unowned self] in source?.isReading = machine.pending < Console.backlog }
    machine.ended = { [unowned self] in self.loop.remove(machine) }
    sink?.progressed = { [unowned self] in machine.isReading = (sink?.pending ?? 0) < Console.backlog }
    sink?.ended = { [unowned self] in
      if let sink { self.loop.remove(sink) }
      sink = nil
      machine.isReading = true
    }
    source?.received = { [unowned self] bytes in
      machine.write(bytes)
      source?.isReading = machine.pending < Console.backlog
    }
    source?.ended = { [unowned self] in
      if let source { self.loop.remove(source) }
      source = nil
    }
    for stream in [machine, sink, source].compactMap({ $0 }) { loop.add(stream) }
  }

  /// The machine is gone, and nothing calls back into this any more.
  func close() {
    for stream in [machine, sink, source].compactMap({ $0 }) { loop.remove(stream) }
  }

  private static func duplicate(_ handle: FileHandle?) -> Descriptor? {
    guard let handle else { return nil }
    let number = fcntl(handle.fileDescriptor, F_DUPFD_CLOEXEC, 3)
    return number < 0 ? nil : Descriptor(owning: number)
  }
}
