import Foundation

/// A saved machine in one file: what it was made of, its device state, and its memory without the pages of zeros.
///
///     magic ‖ u64 length ‖ facts (JSON) ‖ u64 length ‖ device state ‖ (u64 address ‖ u64 length ‖ bytes)… ‖ u64.max ‖ u64 total
///
/// Numbers are little-endian. The format is ours; the framework's own is not published.
enum SavedState {
  /// What must be equal for a restore.
  struct Facts: Codable, Equatable {
    var format = 2
    let identifier: Data
    let cpus: Int
    let memoryBytes: UInt64
    let diskCapacities: [UInt64]
    let hasSerial: Bool
    let hasSockets: Bool
    let hasEntropy: Bool

    init(_ spec: MachineSpec) {
      identifier = spec.identifier
      cpus = spec.cpus
      memoryBytes = spec.memoryBytes
      diskCapacities = spec.disks.map(\.capacity)
      hasSerial = spec.hasSerial
      hasSockets = spec.hasSockets
      hasEntropy = spec.hasEntropy
    }
  }

  /// Whose it is: another host or user is refused, as by the framework, with "permission denied".
  struct Owner: Codable, Equatable {
    let host: String
    let user: uid_t

    static var current: Owner {
      let machineId = (try? String(contentsOfFile: "/etc/machine-id", encoding: .utf8)) ?? ""
      return Owner(host: machineId.trimmingCharacters(in: .whitespacesAndNewlines), user: getuid())
    }
  }

  struct Header: Codable {
    let owner: Owner
    let facts: Facts
    /// Ports that the guest had open.
    let openPorts: [UInt32]
  }

  static let magic = Array("bsm-stand-in-vm\n".utf8)
  static let lastRun = UInt64.max
  /// Zeros between two runs are written where that is cheaper than another run.
  static let shortestGap = 64 << 10
  static let page = 4096
  /// `SEEK_DATA` and `SEEK_HOLE`, which Swift does not import.
  private static let seekData: Int32 = 3
  private static let seekHole: Int32 = 4

  // MARK: Saving

  /// Makes a new file (0600) for `fill`; what was begun of it is removed on failure.
  static func create(_ url: URL, _ fill: (Descriptor) throws -> Void) throws {
    let number = Glibc.open(url.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard number >= 0 else { throw VZError(errno == ENOSPC ? .outOfDiskSpace : .save, lastError()) }
    let file = Descriptor(owning: number)
    do {
      try withExtendedLifetime(file) { try fill(file) }
    } catch {
      unlink(url.path)
      throw error
    }
  }

  static func write(_ header: Header, device: Descriptor, memory: Descriptor, to file: Descriptor) throws {
    let facts = Array(try JSONEncoder().encode(header))
    try put(magic + bytes(UInt64(facts.count)) + facts, to: file)
    let deviceBytes = UInt64(try device.status().st_size)
    try put(bytes(deviceBytes), to: file)
    try Mapping(device, bytes: Int(deviceBytes)).use { try put($0, to: file) }
    var total: UInt64 = 0
    try Mapping(memory, bytes: Int(header.facts.memoryBytes)).use { ram in
      try forEachRun(of: ram, in: memory) { run in
        total += UInt64(run.count)
        try put(bytes(UInt64(run.lowerBound)) + bytes(UInt64(run.count)), to: file)
        try put(UnsafeRawBufferPointer(rebasing: ram[run]), to: file)
      }
    }
    try put(bytes(lastRun) + bytes(total), to: file)
  }

  /// Stretches of memory that hold something else than zeros. Untouched memory is not even read.
  private static func forEachRun(
    of ram: UnsafeRawBufferPointer, in memory: Descriptor, _ body: (Range<Int>) throws -> Void
  ) throws {
    var run: Range<Int>?
    var at = lseek(memory.number, 0, seekData)
    while at >= 0, at < ram.count {
      let end = min(Int(lseek(memory.number, at, seekHole)), ram.count)
      for page in stride(from: Int(at), to: end, by: page) where !isZero(ram, page) {
        if let open = run, page - open.upperBound < shortestGap {
          run = open.lowerBound..<page + self.page
        } else {
          if let run { try body(run) }
          run = page..<page + self.page
        }
      }
      at = lseek(memory.number, off_t(end), seekData)
    }
    if let run { try body(run) }
  }

  private static func isZero(_ ram: UnsafeRawBufferPointer, _ page: Int) -> Bool {
    guard let start = ram.baseAddress?.advanced(by: page) else { return true }
    // The first word against zero, then every byte against its neighbour: the C library compares a page in no time.
    return start.load(as: UInt64.self) == 0 && memcmp(start, start + 8, self.page - 8) == 0
  }

  // MARK: Restoring

  /// An opened file whose facts were read and found to fit.
  struct Reader {
    let header: Header
    fileprivate let file: Descriptor
  }

  /// Throws what the framework says: "permission denied" for another host or user, "invalid argument" for all else.
  static func open(_ url: URL, for spec: MachineSpec) throws -> Reader {
    let number = Glibc.open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard number >= 0 else {
      throw VZError(.restore, errno == EACCES || errno == EPERM ? "permission denied" : lastError())
    }
    let file = Descriptor(owning: number)
    let header = try withExtendedLifetime(file) { () -> Header? in
      guard try take(magic.count, from: file) == magic else { return nil }
      return try? JSONDecoder().decode(Header.self, from: Data(try block(from: file, atMost: 1 << 16)))
    }
    guard let header else { throw VZError.restoreInvalid }
    guard header.owner == .current else { throw VZError(.restore, "permission denied") }
    guard header.facts == Facts(spec) else { throw VZError.restoreInvalid }
    return Reader(header: header, file: file)
  }

  /// The device state, in memory, positioned at its start.
  static func device(_ reader: Reader) throws -> Descriptor {
    let length = try number(from: reader.file)
    guard length <= 1 << 28 else { throw VZError.restoreInvalid }
    let memory = try Descriptor.memory("device-state")
    try move(Int(length), from: reader.file, to: memory)
    lseek(memory.number, 0, SEEK_SET)
    return memory
  }

  /// Fills the memory, after the device state was read.
  static func fill(_ memory: Descriptor, _ reader: Reader) throws {
    var total: UInt64 = 0
    while true {
      let address = try number(from: reader.file)
      let length = try number(from: reader.file)
      if address == lastRun {
        guard length == total else { throw VZError.restoreInvalid }
        return
      }
      let limit = reader.header.facts.memoryBytes
      guard length <= limit, address <= limit - length else { throw VZError.restoreInvalid }
      total += length
      lseek(memory.number, off_t(address), SEEK_SET)
      try move(Int(length), from: reader.file, to: memory)
    }
  }

  // MARK: Bytes

  private static func bytes(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }

  private static func put(_ bytes: [UInt8], to file: Descriptor) throws {
    try bytes.withUnsafeBytes { try put($0, to: file) }
  }

  private static func put(_ bytes: UnsafeRawBufferPointer, to file: Descriptor) throws {
    var at = 0
    while at < bytes.count {
      let n = Glibc.write(file.number, bytes.baseAddress?.advanced(by: at), bytes.count - at)
      if n < 0, errno == EINTR { continue }
      guard n > 0 else { throw VZError(errno == ENOSPC || errno == EDQUOT ? .outOfDiskSpace : .save, lastError()) }
      at += n
    }
  }

  private static func number(from file: Descriptor) throws -> UInt64 {
    try take(8, from: file).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func block(from file: Descriptor, atMost limit: UInt64) throws -> [UInt8] {
    let length = try number(from: file)
    guard length <= limit else { throw VZError.restoreInvalid }
    return try take(Int(length), from: file)
  }

  private static func take(_ count: Int, from file: Descriptor) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var at = 0
    while at < count {
      let n = bytes.withUnsafeMutableBytes { read(file.number, $0.baseAddress?.advanced(by: at), count - at) }
      guard n > 0 else { throw VZError.restoreInvalid }
      at += n
    }
    return bytes
  }

  private static func move(_ count: Int, from file: Descriptor, to memory: Descriptor) throws {
    var left = count
    while left > 0 {
      let n = sendfile(memory.number, file.number, nil, left)
      guard n > 0 else { throw VZError.restoreInvalid }
      left -= n
    }
  }
}

/// A file's bytes, read-only, for as long as the object lives.
private final class Mapping {
  private let bytes: UnsafeRawBufferPointer

  init(_ descriptor: Descriptor, bytes count: Int) throws {
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let start = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor.number, 0), start != MAP_FAILED else {
      throw VZError(.internalError, "mmap: \(lastError())")
    }
    bytes = UnsafeRawBufferPointer(start: start, count: count)
  }

  deinit {
    if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
  }

  func use(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    try withExtendedLifetime(self) { try body(bytes) }
  }
}
