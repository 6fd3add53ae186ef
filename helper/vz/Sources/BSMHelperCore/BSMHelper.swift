import Foundation
import Virtualization

/// bsm-vz-helper: owns microVMs under Virtualization.framework, behind the helper contract (protocol §1–§2).
public enum BSMHelper {
    /// Runs one command line; returns its exit code.
    public static func run(_ arguments: [String]) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        let paths = Paths.current
        let command: Command
        do {
            command = try Command(arguments, paths)
        } catch {
            say("\((error as? UsageError)?.message ?? "\(error)")\n\n\(Command.usage)")
            return Exit.preflightFailed
        }
        switch command {
        case .help:
            try? Files.write(STDOUT_FILENO, Array((Command.usage + "\n").utf8))
            return Exit.ok
        case .preflight:
            let preflight = Preflight(currentFacts())
            try? Files.write(STDOUT_FILENO, preflight.json.bytes + [UInt8(ascii: "\n")])
            return preflight.isUsable ? Exit.ok : Exit.preflightFailed
        case .boot(let command): return BootSession(command, paths).run()
        case .exec(let command): return OneShot.exec(command)
        case .saveState(let out, let socket): return OneShot.saveState(out: out, socket: socket)
        case .restoreState(let from, let socket): return OneShot.restoreState(from: from, socket: socket)
        }
    }
}

func currentFacts() -> PlatformFacts { .current(frameworkSupported: VZVirtualMachine.isSupported) }
