/// Output that a chunk carried.
struct Output {
    enum Stream: String { case stdout, stderr }
    let stream: Stream
    let data: [UInt8]
    let seq: Int
}

/// What a whole, consistent chain says.
struct Verdict {
    let evidenceHash: String
}

/// Checks one dispatch's evidence as it arrives (§3): order, the dispatch record against what was asked, and
/// at the end the result against the chain. Whatever differs throws `EVIDENCE_*`; nothing after that is taken.
struct EvidenceVerifier {
    private let expectedRecord: [UInt8]
    private let filesAsked: [String]?
    private var chain: EvidenceChain
    private var record: ResultRecord?
    private var outputBytes = 0
    private(set) var stdout: [UInt8] = []
    private(set) var stderr: [UInt8] = []
    private var failure: BsmError?

    init(_ request: ExecRequest, epoch: Int) {
        expectedRecord = request.dispatchRecord(epoch: epoch)
        filesAsked = request.filesOut
        chain = EvidenceChain(commandId: request.commandId)
    }

    var isComplete: Bool { record != nil }

    /// Takes the next chunk; returns what of it is output.
    mutating func push(_ chunk: EvidenceChunk) throws -> Output? {
        if let failure = failure { throw failure }
        do {
            return try take(chunk)
        } catch {
            let failed = BsmError(error, .guest)
            failure = failed
            throw failed
        }
    }

    /// Compares the result with the chain; returns what the chain says.
    func finish(_ result: ToolResult) throws -> Verdict {
        if let failure = failure { throw failure }
        guard let record = record, let hash = chain.hash else {
            throw BsmError(.evidenceGap, .guest, "The evidence chain has no end.", next: rerun)
        }
        let (out, err) = (CappedOutput(stdout), CappedOutput(stderr))
        let derived: KeyValuePairs<String, JSON> = [
            "command_id": JSON(chain.commandId), "evidence_hash": JSON(hash), "exit_code": JSON(record.exitCode),
            "truncated": perStream(JSON(record.stdoutTruncated), JSON(record.stderrTruncated)),
            "duration_ms": JSON(record.durationMs), "error": JSON(orNull: record.error),
            "files": record.files.map(JSON.array) ?? .null, "stdout": JSON(out.text), "stderr": JSON(err.text),
            "stdout_bytes": JSON(out.bytes), "stderr_bytes": JSON(err.bytes),
            "encoding": perStream(JSON(out.encoding), JSON(err.encoding)),
            "cut": perStream(JSON(out.isTruncated), JSON(err.isTruncated)),
        ]
        let said = result.inChainTerms
        for (field, value) in derived where said[field]?.canonicalBytes != value.canonicalBytes {
            throw mismatch("The result's \(field) is not what the evidence chain says.")
        }
        return Verdict(evidenceHash: hash)
    }

    private mutating func take(_ chunk: EvidenceChunk) throws -> Output? {
        guard chunk.commandId.isSameBytes(as: chain.commandId) else {
            throw mismatch("Evidence of another command (\(chunk.commandId)) came.")
        }
        guard record == nil else { throw mismatch("Evidence came after the end of the chain.") }
        try checkOrder(chunk.seq)
        guard chunk.data.count == chunk.size else {
            throw mismatch("Chunk \(chunk.seq) says \(chunk.size) bytes and has \(chunk.data.count).")
        }
        chain.append(chunk.data)
        if chunk.seq == 1 {
            guard !chunk.isTerminal, chunk.data == expectedRecord else {
                throw mismatch("The dispatch record in the evidence is not what was asked.")
            }
            return nil
        }
        if chunk.isTerminal {
            record = try resultRecord(chunk.data)
            return nil
        }
        return try output(chunk)
    }

    private func checkOrder(_ seq: Int) throws {
        let next = chain.seq + 1
        if seq == next { return }
        let what = "Evidence chunk \(seq) came where \(next) was due."
        if seq == chain.seq { throw BsmError(.evidenceDuplicate, .guest, what, next: rerun) }
        throw BsmError(seq < chain.seq ? .evidenceOutOfOrder : .evidenceGap, .guest, what, next: rerun)
    }

    private mutating func output(_ chunk: EvidenceChunk) throws -> Output {
        let stream: Output.Stream
        switch chunk.data.first {
        case 1: stream = .stdout
        case 2: stream = .stderr
        default: throw mismatch("Chunk \(chunk.seq) names no stream.")
        }
        let bytes = Array(chunk.data.dropFirst())
        outputBytes += bytes.count
        guard outputBytes <= Limits.evidenceBytes else {
            throw BsmError(.outputLimit, .guest, "The guest sent more output than a dispatch may have.")
        }
        if stream == .stdout { stdout += bytes } else { stderr += bytes }
        return Output(stream: stream, data: bytes, seq: chunk.seq)
    }

    private func resultRecord(_ data: [UInt8]) throws -> ResultRecord {
        let value: JSON
        do { value = try JSON.parse(data) } catch {
            throw mismatch("The result record in the evidence is not JSON.", String(describing: error))
        }
        let record: ResultRecord
        do { record = try ResultRecord(value) } catch {
            throw mismatch("The result record in the evidence has not the form of one.", String(describing: error))
        }
        guard value.canonicalBytes == data else { throw mismatch("The result record is not canonical JSON.") }
        guard record.isOfFiles(filesAsked) else {
            throw mismatch("The files in the result record are not those that were asked for.")
        }
        return record
    }
}

private let rerun = "Run the command again; the VM is reset first."

private func mismatch(_ message: String, _ details: String? = nil) -> BsmError {
    BsmError(.evidenceMismatch, .guest, message, next: rerun, details: details)
}

func perStream(_ stdout: JSON, _ stderr: JSON) -> JSON { .record(["stdout": stdout, "stderr": stderr]) }

/// The result record: what the terminal chunk of a chain holds.
private struct ResultRecord {
    let exitCode: Int
    let stdoutTruncated: Bool
    let stderrTruncated: Bool
    let durationMs: Int
    let error: String?
    let files: [JSON]?

    init(_ value: JSON) throws {
        var fields = try Fields(value)
        exitCode = try fields.int("exit_code")
        var truncated = try fields.fields("truncated")
        stdoutTruncated = try truncated.bool("stdout")
        stderrTruncated = try truncated.bool("stderr")
        try truncated.end()
        durationMs = try fields.int("duration_ms", Int.counts)
        error = try fields.optionalString("error")
        files = try fields.optionalArray("files")
        try fields.end()
        for file in files ?? [] {
            var fields = try Fields(file, at: "files")
            _ = try fields.string("path")
            if fields.has("error") {
                _ = try fields.string("error")
            } else {
                _ = try fields.int("mode")
                _ = try fields.string("digest")
            }
            try fields.end()
        }
    }

    /// Every file asked for, in that order; none at all when the dispatch failed before it could be read.
    func isOfFiles(_ asked: [String]?) -> Bool {
        guard let files = files else { return asked == nil || error != nil }
        guard let asked = asked, asked.count == files.count else { return false }
        return zip(files, asked).allSatisfy { file, path in file["path"]?.text?.isSameBytes(as: path) == true }
    }
}
