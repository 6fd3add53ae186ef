import Foundation

/// The one-shot commands: one request through the running helper's socket, its answer as one JSON line (§1).
enum OneShot {
    /// What the helper has for a reset, its second try and the way, beyond a dispatch's own deadline.
    private static let resetMs = 60_000.0
    private static let stateMs = 120_000.0
    private static let connectMs = 5_000.0

    static func exec(_ command: ExecCommand) -> Int32 {
        printed {
            let params: JSON
            do { params = try JSON.parse(command.params) } catch {
                throw badUsage("--params is not JSON.", "Give a JSON object: --params '{\"text\":\"hello\"}'")
            }
            let request = JSON.record([
                "kind": JSON("exec"), "request_id": JSON(newUUID()), "command_id": command.commandId.map(JSON.init),
                "tool": command.tool.map(JSON.init), "params": params, "deadline_ms": JSON(orNull: Double(command.deadlineMs)),
            ])
            let response = try ask(command.socket, request, ms: (Double(command.deadlineMs) ?? 0) + resetMs)
            let code = errorCode(response)
            // A result exists unless the dispatch was never run.
            let isRefused = code != nil && response["evidence_hash"]?.text == nil
            // And a result whose VM was not provably wiped is no success.
            let failure = isRefused ? response["error"] : response["reset"]?["error"]
            guard let failure = failure, failure["code"] != nil else { return (response, Exit.ok) }
            sayFailure(failure)
            return (response, (failure["code"]?.text.flatMap(ErrorCode.init)).map(Exit.code) ?? Exit.internalBug)
        }
    }

    static func saveState(out: String?, socket: String) -> Int32 {
        state(socket, "save_state", "out_path", try absolute("--out", out))
    }

    static func restoreState(from: String?, socket: String) -> Int32 {
        state(socket, "restore_state", "from_path", try absolute("--from", from))
    }

    private static func state(_ socket: String, _ kind: String, _ field: String, _ path: @autoclosure () throws -> String) -> Int32 {
        printed {
            let request = JSON.record(["kind": JSON(kind), "request_id": JSON(newUUID()), field: JSON(try path())])
            let response = try ask(socket, request, ms: stateMs)
            guard let code = errorCode(response) else { return (response, Exit.ok) }
            if let failure = response["error"] { sayFailure(failure) }
            return (response, code == .timeout || code == .resetVerificationTimeout ? Exit.timedOut : Exit.vmLifecycle)
        }
    }

    /// Prints what came, or what went wrong, as one JSON line; returns the exit code.
    private static func printed(_ run: () throws -> (JSON, Int32)) -> Int32 {
        do {
            let (response, code) = try run()
            try? Files.write(STDOUT_FILENO, response.bytes + [UInt8(ascii: "\n")])
            return code
        } catch {
            let error = BsmError(error)
            try? Files.write(STDOUT_FILENO, JSON.record(["ok": JSON(false), "error": error.wire]).bytes + [UInt8(ascii: "\n")])
            say("\(error.message) \(error.nextStep ?? "")")
            return Exit.code(for: error.code)
        }
    }

    private static func ask(_ path: String, _ request: JSON, ms: Double) throws -> JSON {
        // Checked here too: what is wrong with a request is said before there need be a helper.
        do { _ = try HelperRequest(request) } catch { throw badUsage("\(error)", "See --help.") }
        if let reason = PrivateFiles.distrustOfSocket(path) { throw noHelper(path, reason) }
        let fd: Int32
        do { fd = try connectUnix(path, ms: connectMs) } catch { throw noHelper(path, String(describing: error)) }
        defer { close(fd) }
        let end = now() + ms
        writeLine(fd, request, ms: connectMs)
        guard let line = readLine(fd, ms: ms) else {
            if now() < end { throw noHelper(path, "the connection was closed") }
            throw BsmError(.timeout, .helper, "The helper did not answer within \(Int(ms)) ms.",
                next: "Look at the helper; it may have to be started again.")
        }
        guard case .line(let bytes) = line, let response = try? JSON.parse(bytes), response["kind"]?.text != nil else {
            throw BsmError(.internalBug, .helper, "The helper answered with something else than a response.", next: "Report this.")
        }
        return response
    }

    private static func sayFailure(_ error: JSON) {
        say("\(error["message"]?.text ?? "It failed.") \(error["next_step"]?.text ?? "")")
    }

    private static func errorCode(_ response: JSON) -> ErrorCode? {
        response["error"].map { $0["code"]?.text.flatMap(ErrorCode.init) ?? .internalBug }
    }

    private static func noHelper(_ path: String, _ details: String) -> BsmError {
        BsmError(.guestUnreachable, .helper, "No helper answers on \(path).",
            next: "Start one: bsm-vz-helper boot … --socket PATH", details: details)
    }

    private static func absolute(_ option: String, _ path: String?) throws -> String {
        guard let path = path, Files.isAbsolute(path) else {
            throw badUsage("\(option) needs an absolute path.", "Give \(option) and an absolute path.")
        }
        return path
    }

    private static func badUsage(_ message: String, _ next: String) -> BsmError { BsmError(.badRequest, .agent, message, next: next) }
}

/// Words for people: on stderr, never on stdout (§1).
func say(_ message: String) { try? Files.write(STDERR_FILENO, Array("bsm-vz-helper: \(message)\n".utf8)) }
