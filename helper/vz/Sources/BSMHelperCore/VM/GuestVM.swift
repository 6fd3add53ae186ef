import Foundation

/// One VM: a machine and the four channels into its guest.
final class GuestVM {
    struct Events {
        var channel: (ChannelStatus) -> Void = { _ in }
        /// The machine ended, whether we wanted it or not.
        var ended: (MachineEnd) -> Void = { _ in }
    }

    private static let redialMs = 10_000.0

    private struct State {
        var events = Events()
        var execution: Execution?
        var isRedialling = false
        var isClosing = false
    }

    let machine: Machine
    private(set) var control: Control!
    private(set) var queries: Queries!
    private var channels: [GuestPort: Channel] = [:]
    private let state = Protected(State())

    init(_ machine: Machine) {
        self.machine = machine
        for port in GuestPort.allCases {
            channels[port] = Channel(
                port, dial: { [machine] ms in try machine.connect(port, ms: ms) },
                events: Channel.Events(
                    message: { [weak self] in self?.take(port, $0) }, closed: { [weak self] in self?.channelClosed(port, $0) },
                    changed: { [weak self] status in self?.state.with { $0.events }.channel(status) }))
        }
        control = Control(channel(.control))
        queries = Queries(channel(.query))
        Worker.start("bsm.vm.end") { [machine, weak self] in
            guard let end = try? machine.ended.wait() else { return }
            self?.hasEnded(end)
        }
    }

    var id: String { machine.id }

    var execution: Execution? { state.with { $0.execution } }

    /// Whoever the VM belongs to now hears of it.
    func listen(_ events: Events) { state.with { $0.events = events } }

    var channelStatus: [ChannelStatus] { GuestPort.allCases.map { channel($0).status } }

    func dial(_ ports: [GuestPort] = GuestPort.allCases, ms: Double) throws {
        let end = now() + ms
        for port in ports { try channel(port).open(ms: max(1, end - now())) }
    }

    /// Dials, and dials again while a connection ends before the guest said Hello: one that opens proves nothing yet.
    func greet(_ ports: [GuestPort] = GuestPort.allCases, ms: Double) throws -> Hello {
        let end = now() + ms
        while true {
            try dial(ports, ms: max(1, end - now()))
            do {
                return try control.hello(ms: max(1, end - now()))
            } catch {
                guard now() < end, machine.ended.outcome == nil else { throw error }
                sleep(ms: 20)
            }
        }
    }

    func hangUp() {
        state.with { $0.isClosing = true }
        for channel in channels.values { channel.close() }
    }

    /// Its end is wanted: closed connections are not dialled again.
    func hangsUpQuietly() { state.with { $0.isClosing = true } }

    func ping() { for channel in channels.values { channel.ping() } }

    /// One channel is asked, by turns; of all of them a late answer is noticed.
    func pingInTurn(_ turn: Int) {
        for channel in channels.values { channel.noticeStall() }
        channels[GuestPort.allCases[turn % GuestPort.allCases.count]]?.ping()
    }

    /// Stops the guest's time; the channels stay open.
    func pause() throws {
        try machine.pause()
        for channel in channels.values { channel.forgetPings() }
    }

    /// Begins a dispatch; at most one runs.
    func execute(_ request: ExecRequest, epoch: Int, hooks: Execution.Hooks) throws -> Execution {
        guard channel(.evidence).isOpen else {
            throw BsmError(.guestUnreachable, .guest, "The evidence port of the guest is not connected.", next: "Reset to get a new VM.")
        }
        let execution = Execution(request, epoch: epoch, hooks: hooks)
        let isFirst = state.with { state -> Bool in
            guard state.execution == nil else { return false }
            state.execution = execution
            return true
        }
        guard isFirst else { throw BsmError(.busy, .helper, "Another dispatch is running.", next: "Wait for its response.") }
        do { try channel(.dispatch).send(request.toolDispatch) } catch { execution.fail(BsmError(error)) }
        return execution
    }

    func isOver(_ execution: Execution) {
        state.with { if $0.execution === execution { $0.execution = nil } }
    }

    /// Cuts the power; returns once the machine is stopped. Before macOS 12 the framework cannot: there the guest is
    /// asked, and a guest that does not comply is told as one that was not stopped.
    func kill() throws -> MachineEnd {
        state.with { $0.isClosing = true }
        if !machine.plan.features.hasStopAndDiskModes { askToPowerOff() }
        return try machine.kill()
    }

    private func askToPowerOff() {
        guard machine.ended.outcome == nil else { return }
        // A standby is paused, and a paused guest hears nothing. What fails here shows in that the machine goes on.
        if (try? machine.apiState(ms: Limits.sourceSilenceMs)) == .paused { try? machine.resume() }
        try? control.powerOff()
    }

    private func channel(_ port: GuestPort) -> Channel {
        guard let channel = channels[port] else { preconditionFailure("every port has its channel") }
        return channel
    }

    private func take(_ port: GuestPort, _ message: GuestMessage) {
        switch (port, message) {
        case (.control, _): control.take(message)
        case (.query, _): queries.take(message)
        // The guest answers on the port it was asked on: evidence on the other would be a forgery's way in.
        case (.dispatch, .evidenceChunk): break
        case (.dispatch, _), (.evidence, .evidenceChunk): execution?.take(message)
        case (.evidence, _): break
        }
    }

    private func channelClosed(_ port: GuestPort, _ error: BsmError) {
        switch port {
        case .control: control.closed(error)
        case .query: queries.closed(error)
        case .dispatch, .evidence: execution?.fail(error)
        }
        let mayRedial = state.with { state -> Bool in
            guard !state.isClosing, !state.isRedialling, machine.ended.outcome == nil else { return false }
            state.isRedialling = true
            return true
        }
        guard mayRedial else { return }
        Worker.start("bsm.redial") { [weak self] in
            // What fails shows in the channel's state; the heartbeat judges the guest.
            try? self?.dial(ms: GuestVM.redialMs)
            self?.state.with { $0.isRedialling = false }
        }
    }

    private func hasEnded(_ end: MachineEnd) {
        let error = BsmError(.guestUnreachable, .hypervisor, "The VM has ended (\(end.description)).", next: "Reset to get a new VM.")
        for channel in channels.values { channel.breakDown() }
        control.closed(error)
        queries.closed(error)
        execution?.fail(error)
        machine.console.close()
        state.with { $0.events }.ended(end)
    }
}
