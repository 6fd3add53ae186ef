/// Every VM that lives: what must be gone before the helper is.
final class VMRegistry {
    private struct State {
        var living: [GuestVM] = []
        var isClosed = false
    }

    private let state = Protected(State())

    /// Throws `CANCELLED`, with the VM's power cut, once the end has begun.
    func add(_ vm: GuestVM) throws {
        let isClosed = state.with { state -> Bool in
            state.living.removeAll { $0.machine.ended.outcome != nil }
            if !state.isClosed { state.living.append(vm) }
            return state.isClosed
        }
        if isClosed {
            _ = try? vm.kill()
            throw cancelledBoot
        }
    }

    var isClosed: Bool { state.with { $0.isClosed } }

    /// No more VMs from now on; the ones there are.
    func close() -> [GuestVM] {
        state.with { state in
            state.isClosed = true
            return state.living
        }
    }
}

let cancelledBoot = BsmError(.cancelled, .agent, "The boot was given up before it was done.")
