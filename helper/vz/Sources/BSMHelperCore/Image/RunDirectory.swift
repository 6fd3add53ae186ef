import Foundation

/// Private files of one helper's life: 0700, gone with it. What a helper that died left is swept by the next.
final class RunDirectory {
    private static let prefix = "run-"

    let path: String
    private let counter = Protected(0)

    init(stateDirectory: String) throws {
        let named = Files.join(stateDirectory, "\(RunDirectory.prefix)\(getpid())-\(toHex(randomBytes(4)))")
        try Files.makeDirectory(named)
        // The framework's service denies saved states under a path with links (/tmp and /var are some on macOS).
        path = try Files.resolved(named)
    }

    /// Only for whoever owns the state directory.
    static func sweep(stateDirectory: String) throws -> [String] {
        let leftovers = try Files.names(in: stateDirectory).filter { $0.hasPrefix(prefix) }
        for name in leftovers { Files.remove(Files.join(stateDirectory, name)) }
        return leftovers
    }

    func clone(_ source: String, as name: String) throws -> String {
        let target = Files.join(path, name)
        try clonePrivately(source, to: target)
        return target
    }

    /// A name that nothing has yet.
    func newPath(_ name: String) -> String {
        let number = counter.with { counter -> Int in
            counter += 1
            return counter
        }
        return Files.join(path, "\(name)-\(number)")
    }

    func remove() { Files.remove(path) }
}
