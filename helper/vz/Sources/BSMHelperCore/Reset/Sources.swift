/// What one source said, or that it was silent.
enum Reading<Value> {
    case said(Value)
    case silent(Error)

    var value: Value? {
        if case .said(let value) = self { return value }
        return nil
    }
}

/// Reads one source within `ms`; silence is an answer of its own, not an exception.
func listen<Value>(_ source: Future<Value>, ms: Double = Limits.sourceSilenceMs) -> Reading<Value> {
    do {
        return .said(try source.wait(ms: ms) { BsmError(.timeout, .helper, "A verification source was silent for 5 s.") })
    } catch {
        return .silent(error)
    }
}

/// Whatever of a reset or a verification disagreed or was silent.
enum Source: String {
    case wipe
    case fsHash = "fs_hash"
    case openFdCount = "open_fd_count"
    case vmmApiState = "vmm_api_state"

    var words: String {
        switch self {
        case .wipe: return "the wipe's own proof"
        case .fsHash: return "the root disk's hash"
        case .openFdCount: return "the guest's open descriptors"
        case .vmmApiState: return "the hypervisor's state"
        }
    }
}

struct DiskReading {
    let hash: String
    let isStillNamed: Bool
}

/// The three sources as read at one moment (§4).
struct Readings {
    let fsHash: Reading<DiskReading>
    let openFdCount: Reading<Int>
    let vmmApiState: Reading<VmmApiState>

    init(fsHash: Reading<DiskReading>, openFdCount: Reading<Int>, vmmApiState: Reading<VmmApiState>) {
        self.fsHash = fsHash
        self.openFdCount = openFdCount
        self.vmmApiState = vmmApiState
    }

    /// Asks all three now, side by side.
    init(_ vm: GuestVM, _ disk: Disk) {
        let hash = readDisk(disk)
        let count = Worker.run("bsm.source.fd") { try vm.queries.openFdCount(ms: Limits.sourceSilenceMs) }
        let state = Worker.run("bsm.source.api") { try vm.machine.stateAsSource(ms: Limits.sourceSilenceMs) }
        self.init(fsHash: listen(hash), openFdCount: listen(count), vmmApiState: listen(state))
    }
}

func readDisk(_ disk: Disk) -> Future<DiskReading> {
    Worker.run("bsm.source.fs") { DiskReading(hash: try disk.hash(), isStillNamed: disk.isStillNamed) }
}

/// The eight verification fields (§2). A source that could not be read is nil.
struct VerificationDetails {
    var fsHash: String?
    var fsHashBaseline: String?
    var fsHashMatch: Bool?
    var openFdCount: Int?
    var openFdCountBaseline: Int?
    var vmmApiState: VmmApiState?
    var expectedVmmApiState: VmmApiState
    var isHalted = false

    /// Nothing was read.
    init(expected: Expected) {
        fsHashBaseline = expected.fsHash
        openFdCountBaseline = expected.openFdCount
        expectedVmmApiState = expected.vmmApiState
    }

    var json: JSON {
        .record([
            "fs_hash": JSON(orNull: fsHash), "fs_hash_baseline": JSON(orNull: fsHashBaseline),
            "fs_hash_match": JSON(orNull: fsHashMatch), "open_fd_count": JSON(orNull: openFdCount),
            "open_fd_count_baseline": JSON(orNull: openFdCountBaseline), "vmm_api_state": JSON(orNull: vmmApiState?.rawValue),
            "expected_vmm_api_state": JSON(expectedVmmApiState.rawValue),
            "divergence_action": JSON(isHalted ? "halt" : "none"),
        ])
    }
}

struct Judgement {
    var details: VerificationDetails
    var disagreeing: [Source] = []
    var silent: [Source] = []

    /// Compares; a baseline that is missing or is the hash of nothing agrees with nothing.
    init(_ readings: Readings, _ expected: Expected) {
        details = VerificationDetails(expected: expected)
        let disk = sort(.fsHash, readings.fsHash) { $0.isStillNamed && $0.hash == expected.fsHash && $0.hash != emptySHA256 }
        details.fsHash = disk?.hash
        details.fsHashMatch = disk.map { _ in !disagreeing.contains(.fsHash) }
        details.openFdCount = sort(.openFdCount, readings.openFdCount) { $0 == expected.openFdCount }
        details.vmmApiState = sort(.vmmApiState, readings.vmmApiState) { $0 == expected.vmmApiState }
        details.isHalted = !disagreeing.isEmpty
    }

    private mutating func sort<Value>(_ source: Source, _ reading: Reading<Value>, _ agrees: (Value) -> Bool) -> Value? {
        guard let value = reading.value else {
            silent.append(source)
            return nil
        }
        if !agrees(value) { disagreeing.append(source) }
        return value
    }
}
