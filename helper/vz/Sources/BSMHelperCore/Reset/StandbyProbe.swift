import Foundation

/// May two machines of one identifier live at once here? (virtualization-framework.md §2.3: contested.)
///
/// The first standby is the probe: it must be restored beside a living VM, and that one must still answer. What came
/// of it is kept with the golden snapshots, for this host, build and helper.
final class StandbyProbe {
    enum Verdict: String { case unknown, parallel, sequential }

    private static let maxBytes = 4096

    private let path: String
    private let authenticator: Authenticator
    private let subject: JSON
    private let verdict: Protected<Verdict>

    init(stateDirectory: String, authenticator: Authenticator, facts: PlatformFacts) {
        path = Files.join(Files.join(stateDirectory, "golden"), "standby-probe.json")
        self.authenticator = authenticator
        subject = .record([
            "host_id": JSON(facts.hostId), "os_build": JSON(facts.osBuild), "helper_version": JSON(GoldenParts.helperVersion),
        ])
        verdict = Protected(.unknown)
        if let known = read() { verdict.with { $0 = known } }
    }

    var current: Verdict { verdict.current }

    /// A verdict that cannot be kept is found again by the next helper.
    func found(_ next: Verdict) {
        let isNews = verdict.with { verdict -> Bool in
            defer { verdict = next }
            return verdict != next
        }
        guard isNews else { return }
        try? Files.replace(path, authenticator.sign(.record(["subject": subject, "verdict": JSON(next.rawValue)])))
    }

    private func read() -> Verdict? {
        guard let bytes = try? Files.read(path, limit: StandbyProbe.maxBytes), let value = try? authenticator.open(bytes),
            value["subject"]?.canonicalBytes == subject.canonicalBytes
        else { return nil }
        return value["verdict"]?.text.flatMap(Verdict.init)
    }
}
