/// A command line that is none of ours, in one sentence.
struct UsageError: Error {
    let message: String
}

/// One command with its options, as §1 has them.
enum Command {
    case help
    case preflight
    case boot(BootCommand)
    case exec(ExecCommand)
    case saveState(out: String?, socket: String)
    case restoreState(from: String?, socket: String)

    static let usage = """
        bsm-vz-helper owns a Linux microVM under Virtualization.framework: it boots it, runs tools in it, wipes it with proof.

          preflight       say in one JSON line whether this machine can run the VM
          boot            --kernel PATH --rootfs PATH [--initrd PATH] [--cmdline TEXT] [--cpus N] [--memory-mib N]
                          [--saved-state PATH] [--state-dir DIR] [--socket PATH|none]
                          boot the VM and serve requests on stdin until shutdown or its end
          exec            --command-id UUID --tool NAME [--params JSON] [--deadline-ms N] [--socket PATH]
                          run one tool in the running helper; the VM is reset before the result is printed
          save-state      --out PATH [--socket PATH]
                          save the running helper's golden snapshot as a new directory
          restore-state   --from PATH [--socket PATH]
                          replace the VM of the running helper by one made from a saved state
        """

    init(_ arguments: [String], _ paths: Paths) throws {
        guard let name = arguments.first else { throw UsageError(message: "A command is missing.") }
        var options = try Options(Array(arguments.dropFirst()))
        switch name {
        case "--help", "-h", "help":
            self = .help
            return
        case "preflight": self = .preflight
        case "boot": self = .boot(BootCommand(&options, paths))
        case "exec": self = .exec(ExecCommand(&options, paths))
        case "save-state": self = .saveState(out: options.take("--out"), socket: options.take("--socket") ?? paths.socket)
        case "restore-state": self = .restoreState(from: options.take("--from"), socket: options.take("--socket") ?? paths.socket)
        default: throw UsageError(message: "There is no command \"\(name)\".")
        }
        if options.wantsHelp {
            self = .help
            return
        }
        if let unknown = options.rest { throw UsageError(message: "\(name) has no option \"\(unknown)\".") }
    }
}

struct BootCommand {
    let options: BootOptions
    let stateDirectory: String
    /// Nil: none.
    let socket: String?

    init(_ given: inout Options, _ paths: Paths) {
        var options = BootOptions()
        options.kernel = given.take("--kernel")
        options.rootfs = given.take("--rootfs")
        options.initrd = given.take("--initrd")
        options.savedState = given.take("--saved-state")
        if let cmdline = given.take("--cmdline") { options.cmdline = cmdline }
        if let cpus = given.take("--cpus") { options.cpus = cpus }
        if let memory = given.take("--memory-mib") { options.memoryMib = memory }
        self.options = options
        stateDirectory = given.take("--state-dir") ?? paths.stateDirectory
        let socket = given.take("--socket") ?? paths.socket
        self.socket = socket == "none" ? nil : socket
    }
}

struct ExecCommand {
    let commandId: String?
    let tool: String?
    let params: String
    let deadlineMs: String
    let socket: String

    init(_ given: inout Options, _ paths: Paths) {
        commandId = given.take("--command-id")
        tool = given.take("--tool")
        params = given.take("--params") ?? "{}"
        deadlineMs = given.take("--deadline-ms") ?? "30000"
        socket = given.take("--socket") ?? paths.socket
    }
}

/// `--name value` and `--name=value`; the last of two counts.
struct Options {
    private var values: [String: String] = [:]
    private(set) var wantsHelp = false

    init(_ arguments: [String]) throws {
        var left = arguments[...]
        while let argument = left.popFirst() {
            if argument == "--help" || argument == "-h" {
                wantsHelp = true
                continue
            }
            guard argument.hasPrefix("--"), argument.count > 2 else {
                throw UsageError(message: "\"\(argument)\" is no option.")
            }
            if let equals = argument.firstIndex(of: "=") {
                values[String(argument[..<equals])] = String(argument[argument.index(after: equals)...])
            } else {
                guard let value = left.popFirst() else {
                    throw UsageError(message: "The option \"\(argument)\" is unknown or has no value.")
                }
                values[argument] = value
            }
        }
    }

    mutating func take(_ name: String) -> String? { values.removeValue(forKey: name) }

    /// An option that nobody took.
    var rest: String? { values.keys.sorted().first }
}
