/// The contract's four states of a VM (§2).
enum VmmApiState: String {
    case running, stopped, paused, error
}

/// How the VM came up, and how it is reset (§1).
enum BootPath: String {
    case fastSnapshot = "fast_snapshot"
    case coldBoot = "cold_boot"
}

enum QueryKind: String {
    case openFdCount = "OpenFdCount"
    case memUsage = "MemUsage"
    case processList = "ProcessList"

    /// What the guest has to answer, milliseconds (§3).
    var deadlineMs: Double { self == .processList ? 5_000 : 1_000 }
}

/// One request of a client (§2).
struct HelperRequest {
    let id: String
    let kind: Kind

    enum Kind {
        case exec(ExecRequest)
        case reset
        case saveState(outPath: String)
        case restoreState(fromPath: String)
        case verify(Expected)
        case shutdown
        case status
        case query(QueryKind)
        case cancel(commandId: String)
    }

    /// Throws a ``FormError`` that says what is wrong.
    init(_ value: JSON) throws {
        var fields = try Fields(value)
        let kind = try fields.string("kind")
        id = try fields.uuid("request_id")
        switch kind {
        case "exec": self.kind = .exec(try ExecRequest(&fields))
        case "reset": self.kind = .reset
        case "save_state": self.kind = .saveState(outPath: try fields.string("out_path"))
        case "restore_state": self.kind = .restoreState(fromPath: try fields.string("from_path"))
        case "verify":
            self.kind = .verify(
                Expected(
                    fsHash: try fields.digest("fs_hash_baseline"),
                    openFdCount: try fields.int("open_fd_count_baseline", Int.counts),
                    vmmApiState: try fields.oneOf("expected_vmm_api_state")))
        case "shutdown": self.kind = .shutdown
        case "status": self.kind = .status
        case "query": self.kind = .query(try fields.oneOf("query_kind"))
        case "cancel": self.kind = .cancel(commandId: try fields.uuid("command_id"))
        default: throw fields.error("kind", "not one of the known requests")
        }
        try fields.end()
    }
}

/// What the three sources must say (§4).
struct Expected {
    let fsHash: String?
    let openFdCount: Int?
    let vmmApiState: VmmApiState
}

/// What is to run in the guest; the same fields go into its `ToolDispatch` (§2, §3).
struct ExecRequest {
    let commandId: String
    let tool: String
    let params: JSON
    let deadlineMs: Int
    let filesIn: [FileIn]?
    let filesOut: [String]?
    let stdin: [UInt8]?
    let cwd: String?
    let env: [JSON.Member]?

    struct FileIn {
        let path: String
        /// Permission bits, 0 … 0o777.
        let mode: Int
        let data: [UInt8]
    }

    init(_ fields: inout Fields) throws {
        commandId = try fields.uuid("command_id")
        tool = try fields.string("tool", length: 1...256)
        params = try fields.object("params")
        guard !params.hasPrototypeKey else { throw FormError(description: "params: the key \"__proto__\" is not taken") }
        deadlineMs = try fields.int("deadline_ms", Limits.deadlineMs)
        filesIn = try fields.optionalArray("files_in", max: 256)?.map { value in
            var file = try Fields(value, at: "files_in")
            let read = FileIn(
                path: try file.string("path", length: 1...4096), mode: try file.int("mode", 0...0o777),
                data: try file.base64("data_b64"))
            try file.end()
            return read
        }
        filesOut = try fields.optionalArray("files_out", max: 256)?.map { value in
            let path = try Fields.string(value, at: "files_out")
            guard (1...4096).contains(path.utf16.count) else { throw FormError(description: "files_out: too short or too long") }
            return path
        }
        stdin = fields.has("stdin_b64") ? try fields.base64("stdin_b64") : nil
        cwd = try fields.optionalString("cwd")
        env = try fields.optional("env").map { value in
            guard let members = value.members, members.allSatisfy({ $0.value.text != nil }) else {
                throw FormError(description: "env: not an object of strings")
            }
            return members
        }
    }

    /// The guest's message (§3).
    var toolDispatch: JSON {
        .record([
            "type": JSON("ToolDispatch"), "command_id": JSON(commandId), "tool": JSON(tool), "params": params,
            "deadline_ms": JSON(deadlineMs),
            "files_in": filesIn.map { files in
                .array(files.map { .record(["path": JSON($0.path), "mode": JSON($0.mode), "data_b64": JSON(toBase64($0.data))]) })
            },
            "files_out": filesOut.map(JSON.init), "stdin_b64": stdin.map { JSON(toBase64($0)) },
            "cwd": cwd.map(JSON.init), "env": env.map(JSON.object),
        ])
    }

    /// The dispatch record: what the host asked for, as the first chunk of evidence must say it (§3).
    func dispatchRecord(epoch: Int) -> [UInt8] {
        JSON.record([
            "command_id": JSON(commandId), "tool": JSON(tool), "params": params, "deadline_ms": JSON(deadlineMs),
            "epoch": JSON(epoch),
            "files_in": filesIn.map { files in
                .array(files.map { .record(["path": JSON($0.path), "mode": JSON($0.mode), "digest": JSON(sha256($0.data))]) })
            },
            "files_out": filesOut.map(JSON.init), "stdin": stdin.map { JSON(sha256($0)) }, "cwd": cwd.map(JSON.init),
            "env": env.map(JSON.object),
        ]).canonicalBytes
    }
}

extension JSON {
    /// A key that readers in JavaScript drop, or take for something else than data: they would see another request.
    fileprivate var hasPrototypeKey: Bool {
        switch self {
        case .object(let members): return members.contains { $0.key == "__proto__" || $0.value.hasPrototypeKey }
        case .array(let values): return values.contains(where: \.hasPrototypeKey)
        default: return false
        }
    }
}
