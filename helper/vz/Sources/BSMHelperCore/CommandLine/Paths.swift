import Foundation

/// Where things lie when nothing is said; an empty variable counts as none.
struct Paths {
    private static let app = "brainstorm-sandbox"

    let environment: [String: String]
    let home: String
    let uid: uid_t

    static var current: Paths {
        Paths(environment: ProcessInfo.processInfo.environment, home: NSHomeDirectory(), uid: getuid())
    }

    var stateDirectory: String {
        value("BSM_STATE_DIR") ?? Files.join(value("XDG_STATE_HOME") ?? Files.join(homeDirectory, ".local/state"), Paths.app)
    }

    var configDirectory: String {
        value("BSM_CONFIG_DIR") ?? Files.join(value("XDG_CONFIG_HOME") ?? Files.join(homeDirectory, ".config"), Paths.app)
    }

    var manifestKey: String { Files.join(configDirectory, "manifest.key") }
    var epochFloors: String { Files.join(configDirectory, "epoch-floors") }

    /// `${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}/bsm-UID}/bsm-vz-helper.sock` (§1).
    var socket: String {
        Files.join(value("XDG_RUNTIME_DIR") ?? Files.join(value("TMPDIR") ?? "/tmp", "bsm-\(uid)"), "bsm-vz-helper.sock")
    }

    private var homeDirectory: String { value("HOME") ?? home }

    private func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
}
