import Foundation
import Virtualization

/// How a machine ended.
struct MachineEnd {
    let description: String
    /// The guest switched itself off, or we did.
    let isClean: Bool
}

/// One machine of the framework and its queue.
///
/// Everything that touches the machine runs on that one serial queue; nobody waits on it. Each completion has a
/// watchdog: one that never comes is an error, not a helper that hangs.
final class Machine: NSObject, VZVirtualMachineDelegate {
    private static let startMs = patience(30_000.0)
    private static let pauseMs = patience(10_000.0)
    private static let saveMs = patience(60_000.0)
    private static let restoreMs = patience(60_000.0)
    private static let endNoticeMs = 500.0
    private static let stopMs = patience(10_000.0)
    private static let connectMs = patience(8_000.0)
    private static let counter = Protected(0)

    /// Identity of this machine on this host.
    let id: String
    let plan: MachinePlan
    let canBeSaved: Bool
    let console: ConsoleLog
    /// Comes once, however the machine ends.
    let ended = Future<MachineEnd>()
    private let queue: DispatchQueue
    /// On ``queue`` alone.
    private var vm: VZVirtualMachine?
    private var socket: VZVirtioSocketDevice?
    /// One connect at a time: around twenty failing at once can wedge the device.
    private let connecting = NSLock()
    private let process = Protected<VMProcess?>(nil)
    /// One start at a time, so that the process that appears is this machine's.
    private static let starting = NSLock()

    init(_ plan: MachinePlan, consolePath: String?, consoleListener: ((String) -> Void)? = nil) throws {
        self.plan = plan
        let number = Machine.counter.with { counter -> Int in
            counter += 1
            return counter
        }
        // Numbers of processes come back; with its start and our count it is this one's alone.
        id = "vz-\(getpid())-\(startOfProcess(getpid()) ?? "0")-\(number)"
        queue = DispatchQueue(label: "bsm.vz.\(number)")
        console = ConsoleLog(path: consolePath, listener: consoleListener)
        do {
            let configuration = try plan.configuration(console: console.writingEnd)
            canBeSaved = plan.canBeSaved(configuration)
            super.init()
            queue.sync {
                let machine = VZVirtualMachine(configuration: configuration, queue: queue)
                machine.delegate = self
                vm = machine
                socket = machine.socketDevices.first as? VZVirtioSocketDevice
            }
        } catch {
            console.close()
            throw error
        }
    }

    deinit { console.close() }

    // MARK: - Steps

    func start() throws {
        try noticingProcess { try step(.start, ms: Machine.startMs) { vm, done in vm.start(completionHandler: done) } }
    }

    func pause() throws {
        try step(.pause, ms: Machine.pauseMs) { vm, done in vm.pause(completionHandler: done) }
    }

    func resume() throws {
        try step(.resume, ms: Machine.pauseMs) { vm, done in vm.resume(completionHandler: done) }
    }

    /// Writes the paused machine to a new file. Throws ``SaveRefused``.
    func save(to path: String) throws {
        guard #available(macOS 14.0, *), canBeSaved else { throw SaveRefused(error: noFastSnapshot) }
        do {
            try step(.save, ms: Machine.saveMs) { vm, done in
                vm.saveMachineStateTo(url: URL(fileURLWithPath: path)) { error in done(error.map(Result.failure) ?? .success(())) }
            }
        } catch {
            throw SaveRefused(error: frameworkError(error, during: .save))
        }
    }

    /// Makes this fresh machine the saved one, paused. Throws ``RestoreRefused``.
    func restore(from path: String, consoleLocked: () -> Bool) throws {
        guard #available(macOS 14.0, *), canBeSaved else { throw RestoreRefused(failure: .permanent, error: noFastSnapshot) }
        do {
            try noticingProcess {
                try raw(.restore, ms: Machine.restoreMs) { vm, done in
                    vm.restoreMachineStateFrom(url: URL(fileURLWithPath: path)) { error in done(error.map(Result.failure) ?? .success(())) }
                }
            }
        } catch {
            throw RestoreRefused(
                failure: error is BsmError ? .service : restoreFailure(error, consoleLocked: consoleLocked()),
                error: frameworkError(error, during: .restore))
        }
    }

    /// Resident bytes of the process that runs it, where one was noticed.
    var residentBytes: Int? { process.current.flatMap(BSMHelperCore.residentBytes) }

    private func noticingProcess(_ body: () throws -> Void) throws {
        Machine.starting.lock()
        defer { Machine.starting.unlock() }
        let before = vmProcesses()
        try body()
        let new = vmProcesses().filter { !before.contains($0) }
        if new.count == 1 { process.with { $0 = new.first } }
    }

    /// What the framework itself says of the machine, asked now (§4, source 3).
    func apiState(ms: Double) throws -> VmmApiState {
        let answer = Future<VmmApiState>()
        queue.async { answer.succeed(self.vm.map { VmmApiState($0.state) } ?? .stopped) }
        return try answer.wait(ms: ms) { silent("say its state", ms) }
    }

    /// The same as a source of a reset or a verification. A machine of whose end the framework tells is gone: that is a
    /// fault, for which there is another VM, and no lie. One that does not run and has not ended is the lie.
    func stateAsSource(ms: Double) throws -> VmmApiState {
        let state = try apiState(ms: ms)
        guard state != .running else { return state }
        // Of a process that has just died the framework may still say what it was before.
        guard let end = try? ended.wait(ms: Machine.endNoticeMs, late: { silent("say that it ended", Machine.endNoticeMs) }) else { return state }
        throw BsmError(.guestUnreachable, .hypervisor, "The VM has ended (\(end.description)).", next: "Reset to get a new VM.")
    }

    /// A connection to a port of the guest. Throws at once where nobody listens.
    func connect(_ port: GuestPort, ms: Double) throws -> GuestConnection {
        connecting.lock()
        defer { connecting.unlock() }
        let answer = Future<VsockConnection>()
        let isAbandoned = Protected(false)
        queue.async {
            guard let socket = self.socket, self.ended.outcome == nil else {
                answer.fail(BsmError(.guestUnreachable, .hypervisor, "The VM has ended.", next: "Reset to get a new VM."))
                return
            }
            socket.connect(toPort: port.rawValue) { result in
                // Wrapped here, on the queue: a connection object that nobody keeps closes its descriptor.
                let made = Result { try VsockConnection(try result.get(), queue: self.queue) }
                guard !isAbandoned.current, answer.complete(made) else {
                    if case .success(let late) = made { late.drop() }
                    return
                }
            }
        }
        let limit = min(ms, Machine.connectMs)
        do {
            return try answer.wait(ms: limit) {
                isAbandoned.with { $0 = true }
                return silent("connect port \(port.rawValue)", limit)
            }
        } catch {
            if isAbandoned.current, case .success(let late)? = answer.outcome { late.drop() }
            throw frameworkError(error, during: .connect)
        }
    }

    // MARK: - The end

    /// Cuts the power without the guest's cooperation; returns once the framework says that the machine is stopped.
    func kill() throws -> MachineEnd {
        let end = now() + Machine.stopMs
        while ended.outcome == nil {
            try cutPower(end)
            if now() >= end { break }
        }
        return try ended.wait(ms: max(0, end - now()) + 1) { silent("stop", Machine.stopMs) }
    }

    /// Asks the guest's kernel; before macOS 12 there is nothing stronger.
    func requestStop() {
        queue.async {
            guard let vm = self.vm, vm.canRequestStop else { return }
            try? vm.requestStop()
        }
    }

    private func cutPower(_ end: Double) throws {
        let settled = Future<Bool>()
        queue.async {
            guard let vm = self.vm else {
                settled.succeed(true)
                return
            }
            switch vm.state {
            case .stopped, .error:
                self.finish(MachineEnd(description: "stopped", isClean: true))
                settled.succeed(true)
            case .running, .paused:
                guard #available(macOS 12.0, *), self.plan.features.hasStopAndDiskModes else {
                    try? vm.requestStop()
                    settled.succeed(false)
                    return
                }
                vm.stop { error in
                    if error == nil { self.finish(MachineEnd(description: "stopped", isClean: true)) }
                    settled.succeed(error == nil)
                }
            default: settled.succeed(false)  // under way to another state: it is asked again from there
            }
        }
        let isOver = try settled.wait(ms: max(0, end - now())) { silent("stop", Machine.stopMs) }
        if !isOver { Foundation.usleep(10_000) }
    }

    /// On the queue.
    private func finish(_ end: MachineEnd) {
        guard ended.succeed(end) else { return }
        vm?.delegate = nil
        socket = nil
        vm = nil
    }

    func guestDidStop(_ virtualMachine: VZVirtualMachine) {
        finish(MachineEnd(description: "the guest switched itself off", isClean: true))
    }

    func virtualMachine(_ virtualMachine: VZVirtualMachine, didStopWithError error: Error) {
        finish(MachineEnd(description: frameworkError(error, during: .stop).details ?? "stopped with an error", isClean: false))
    }

    // MARK: - Callbacks with watchdogs

    private typealias Done = (Result<Void, Error>) -> Void

    private func step(_ step: FrameworkStep, ms: Double, _ body: @escaping (VZVirtualMachine, @escaping Done) -> Void) throws {
        do {
            try raw(step, ms: ms, body)
        } catch {
            throw frameworkError(error, during: step)
        }
    }

    private func raw(_ step: FrameworkStep, ms: Double, _ body: @escaping (VZVirtualMachine, @escaping Done) -> Void) throws {
        let answer = Future<Void>()
        queue.async {
            guard let vm = self.vm else {
                answer.fail(BsmError(.vmLifecycleError, .hypervisor, "The VM has ended.", next: "Reset to get a new VM."))
                return
            }
            body(vm) { answer.complete($0) }
        }
        try answer.wait(ms: ms) { silent(step.rawValue, ms) }
    }
}

private func silent(_ what: String, _ ms: Double) -> BsmError {
    BsmError(.vmLifecycleError, .hypervisor, "The framework did not \(what) the VM within \(Int(ms / 1000)) s.",
        next: "Start the helper again; if it stays so, restart this machine.")
}

private let noFastSnapshot = BsmError(
    .fastSnapshotUnavailable, .hypervisor, "This machine cannot save and restore VMs.",
    next: "Use macOS 14 or newer on Apple silicon; until then every reset is a cold boot.")

extension VmmApiState {
    /// The framework's states as the contract's four (§2).
    init(_ state: VZVirtualMachine.State) {
        switch state {
        case .running, .resuming: self = .running
        case .paused, .pausing, .saving: self = .paused
        case .stopped, .starting, .stopping, .restoring: self = .stopped
        case .error: self = .error
        @unknown default: self = .error
        }
    }
}

/// A connection object of the framework and the duplicate of its descriptor that the channel reads.
///
/// The object stays alive as long as the channel: dropped earlier, it closes what the duplicate talks to.
final class VsockConnection: GuestConnection {
    let descriptor: Int32
    private let queue: DispatchQueue
    private let connection: Protected<VZVirtioSocketConnection?>

    init(_ connection: VZVirtioSocketConnection, queue: DispatchQueue) throws {
        let copy = fcntl(connection.fileDescriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw SystemError("dup") }
        descriptor = copy
        self.queue = queue
        self.connection = Protected(connection)
    }

    func release() {
        let last = connection.with { connection -> VZVirtioSocketConnection? in
            defer { connection = nil }
            return connection
        }
        queue.async { last?.close() }
    }

    /// For a connection that came too late for anyone to want it.
    func drop() {
        close(descriptor)
        release()
    }
}
