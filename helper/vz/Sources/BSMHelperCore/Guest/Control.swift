import Foundation

/// What binds a VM to its place in this state directory's history; never used for a second VM (§3).
struct EpochKey {
    let epoch: Int
    /// 32 random bytes in hex.
    let token: String
}

/// The control protocol on port 1027: Hello, Resume, Warmup, Heartbeat, Kill, PowerOff (§3).
final class Control {
    private static let entropyBytes = 64

    private let channel: Channel
    private let requests = PendingRequests<GuestMessage>()
    private let greeting = Protected(Future<Hello>())
    private let beats = Protected(0)

    init(_ channel: Channel) { self.channel = channel }

    /// The guest's first message of the present connection.
    func hello(ms: Double) throws -> Hello {
        try greeting.current.wait(ms: ms) {
            BsmError(.guestUnreachable, .guest, "The guest did not say Hello within \(Int(ms)) ms.", next: "Reset to get a new VM.")
        }
    }

    /// Gives the guest fresh entropy and the time, and thaws it. The first binds epoch and token; a repeat with
    /// the same ones reseeds and sets the clock again.
    func resume(_ key: EpochKey, ms: Double) throws -> ResumeAck {
        let answer = try ask("Resume", ms: ms) {
            .record([
                "type": JSON("Resume"), "epoch": JSON(key.epoch), "token": JSON(key.token),
                "entropy": JSON(toBase64(randomBytes(Control.entropyBytes))), "wall_clock_ns": JSON(wallClockNs()),
            ])
        }
        guard case .resumeAck(let ack) = answer else { throw unexpected }
        return ack
    }

    /// Runs the spawn path once without counting as a dispatch.
    func warmup(ms: Double) throws { _ = try ask("Warmup", ms: ms) { .record(["type": JSON("Warmup")]) } }

    func heartbeat(ms: Double) throws -> HeartbeatAck {
        let seq = beats.with { beats -> Int in
            beats += 1
            return beats
        }
        let answer = try ask("Heartbeat", ms: ms) { .record(["type": JSON("Heartbeat"), "seq": JSON(seq)]) }
        guard case .heartbeatAck(let ack) = answer else { throw unexpected }
        return ack
    }

    func kill(commandId: String, ms: Double) throws {
        _ = try ask("Kill", ms: ms) { .record(["type": JSON("Kill"), "command_id": JSON(commandId)]) }
    }

    /// Asks the guest to switch itself off; nothing answers.
    func powerOff() throws { try channel.send(.record(["type": JSON("PowerOff")])) }

    func take(_ message: GuestMessage) {
        switch message {
        case .hello(let hello): greeting.current.succeed(hello)
        case .resumeAck: requests.answer("Resume", message)
        case .warmupAck: requests.answer("Warmup", message)
        case .heartbeatAck: requests.answer("Heartbeat", message)
        case .killAck: requests.answer("Kill", message)
        case .error(let error):
            let refusal = GuestRefusal(code: error.code, message: error.message)
            if let refused = error.refused { requests.refuse(refused, refusal) } else { requests.failAll(refusal) }
        default: break  // not a control message: of no consequence here
        }
    }

    func closed(_ error: BsmError) {
        requests.failAll(error)
        let old = greeting.with { greeting -> Future<Hello> in
            defer { greeting = Future() }
            return greeting
        }
        old.fail(error)
    }

    private func ask(_ key: String, ms: Double, _ message: () -> JSON) throws -> GuestMessage {
        try requests.ask(key, ms: ms) { try channel.send(message()) }
    }

    private var unexpected: BsmError {
        BsmError(.frameMalformed, .guest, "The guest's answer is not that to the question.", next: "Reset the VM.")
    }
}

private func wallClockNs() -> String { String(Int64(Date().timeIntervalSince1970 * 1000) * 1_000_000) }
