/// How a VM is ended with its helper: the guest is asked, then its kernel, then the power is cut. What is left after
/// that ends with the process: the framework ties the VM to it.
struct StopLadder {
    struct Rung {
        let name: String
        /// How long the VM has to be gone, milliseconds.
        let ms: Double
        let climb: () -> Void
    }

    let rungs: [Rung]
    let isOver: (_ ms: Double) -> Bool

    init(rungs: [Rung], isOver: @escaping (_ ms: Double) -> Bool) {
        self.rungs = rungs
        self.isOver = isOver
    }

    init(_ vm: GuestVM) {
        vm.hangsUpQuietly()
        self.init(
            rungs: [
                Rung(name: "guest", ms: 300) { try? vm.control.powerOff() },
                Rung(name: "requestStop", ms: 300) { vm.machine.requestStop() },
                Rung(name: "stop", ms: 0) { _ = try? vm.kill() },
            ],
            isOver: { ms in
                (try? vm.machine.ended.wait(ms: ms) { cancelledBoot }) != nil
            })
    }

    /// The rung on which the VM was gone, or nil. A guest that is paused or busy hears nothing: it is not asked.
    @discardableResult
    func run(isAwake: Bool) -> String? {
        for rung in isAwake ? rungs : rungs.suffix(1) {
            rung.climb()
            if isOver(rung.ms) { return rung.name }
        }
        return nil
    }
}
