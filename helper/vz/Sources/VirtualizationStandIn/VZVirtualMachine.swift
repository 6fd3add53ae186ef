import Foundation

public protocol VZVirtualMachineDelegate: NSObjectProtocol {
  /// The guest has powered itself off.
  func guestDidStop(_ virtualMachine: VZVirtualMachine)
  func virtualMachine(_ virtualMachine: VZVirtualMachine, didStopWithError error: any Error)
}

/// Both are optional in the framework.
extension VZVirtualMachineDelegate {
  public func guestDidStop(_ virtualMachine: VZVirtualMachine) {}
  public func virtualMachine(_ virtualMachine: VZVirtualMachine, didStopWithError error: any Error) {}
}

/// One machine. Every property and method is for its queue alone, where completions and the delegate are called; a call
/// from elsewhere traps (the framework's own answer to it is undefined).
open class VZVirtualMachine: NSObject, @unchecked Sendable {
  public enum State: Int, Sendable {
    case stopped = 0
    case running = 1
    case paused = 2
    case error = 3
    case starting = 4
    case pausing = 5
    case resuming = 6
    case stopping = 7
    case saving = 8
    case restoring = 9
  }

  private let boundQueue: DispatchQueue
  private let spec: MachineSpec
  /// Where a step may block; steps of one machine follow each other.
  private let steps = DispatchQueue(label: "stand-in.machine")
  private var currentState = State.stopped
  private var machine: Machine?
  private weak var currentDelegate: (any VZVirtualMachineDelegate)?
  private lazy var sockets: [VZSocketDevice] = spec.hasSockets ? [makeSocketDevice()] : []

  /// False where no machine can run.
  public class var isSupported: Bool { !Fault.unsupported.isSet }

  public convenience init(configuration: VZVirtualMachineConfiguration) {
    self.init(configuration: configuration, queue: .main)
  }

  /// Traps for a configuration that `validate` refuses, as the framework does.
  public init(configuration: VZVirtualMachineConfiguration, queue: DispatchQueue) {
    boundQueue = queue
    do {
      spec = try MachineSpec(configuration)
    } catch {
      preconditionFailure("invalid configuration: \(error)")
    }
    super.init()
  }

  deinit { machine?.abandon() }

  // MARK: State

  public var state: State { onQueue(currentState) }
  public var delegate: (any VZVirtualMachineDelegate)? {
    get { onQueue(currentDelegate) }
    set {
      dispatchPrecondition(condition: .onQueue(boundQueue))
      currentDelegate = newValue
    }
  }
  public var canStart: Bool { onQueue(currentState == .stopped || currentState == .error) }
  public var canPause: Bool { onQueue(currentState == .running) }
  public var canResume: Bool { onQueue(currentState == .paused) }
  public var canRequestStop: Bool { onQueue(currentState == .running) }
  public var canStop: Bool { onQueue(currentState == .running || currentState == .paused) }
  public var socketDevices: [VZSocketDevice] { onQueue(sockets) }

  // MARK: Steps

  public func start(completionHandler: @escaping (Result<Void, any Error>) -> Void) {
    guard canStart else { return refuse { completionHandler(.failure(VZError.transition(from: $0))) } }
    if Fault.entitlementMissing.strikes() || Fault.startDenied.strikes() {
      return refuse { _ in completionHandler(.failure(VZError.entitlement)) }
    }
    if Fault.unsupported.isSet { return refuse { _ in completionHandler(.failure(VZError.unsupported)) } }
    if Fault.startFails.strikes() {
      return refuse { _ in completionHandler(.failure(VZError.serviceFailed)) }
    }
    step(.starting, silent: nil, { vm in try vm.launch(nil) }) { [self] outcome in
      settle(outcome, success: .running, failure: .stopped)
      completionHandler(outcome.map { _ in })
    }
  }

  public func pause(completionHandler: @escaping (Result<Void, any Error>) -> Void) {
    guard canPause else { return refuse { completionHandler(.failure(VZError.transition(from: $0))) } }
    step(.pausing, silent: .pauseSilent, { vm in try vm.live().pause() }) { [self] outcome in
      settle(outcome, success: .paused, failure: .running)
      completionHandler(outcome)
    }
  }

  public func resume(completionHandler: @escaping (Result<Void, any Error>) -> Void) {
    guard canResume else { return refuse { completionHandler(.failure(VZError.transition(from: $0))) } }
    step(.resuming, silent: .resumeSilent, { vm in try vm.live().resume() }) { [self] outcome in
      settle(outcome, success: .running, failure: .paused)
      completionHandler(outcome)
    }
  }

  /// Presses the power button; a guest that does not read it goes on.
  public func requestStop() throws {
    guard canRequestStop else { throw VZError.transition(from: currentState) }
    if Fault.requestStopIgnored.strikes() { return }
    try live().pressPowerButton()
  }

  /// Cuts the power.
  public func stop(completionHandler: @escaping ((any Error)?) -> Void) {
    guard canStop else { return refuse { completionHandler(VZError.transition(from: $0)) } }
    step(.stopping, silent: .stopSilent, { vm in vm.machine?.kill() }) { [self] _ in
      settleStopped()
      completionHandler(nil)
    }
  }

  /// Writes the paused machine to a new file; it stays paused, whatever comes of it.
  @available(macOS 14.0, *)
  public func saveMachineStateTo(url: URL, completionHandler: @escaping ((any Error)?) -> Void) {
    dispatchPrecondition(condition: .onQueue(boundQueue))
    guard currentState == .paused else {
      return refuse { completionHandler(VZError(.invalidVirtualMachineState, "A machine that is \($0) cannot be saved.")) }
    }
    if Fault.saveDenied.strikes() { return refuse { _ in completionHandler(VZError(.save, "permission denied")) } }
    if Fault.saveNoSpace.strikes() { return refuse { _ in completionHandler(VZError(.outOfDiskSpace, "no space left")) } }
    step(.saving, silent: .saveSilent, { vm in try vm.live().save(to: url) }) { [self] outcome in
      settle(outcome, success: .paused, failure: .paused)
      completionHandler(outcome.failure)
    }
  }

  /// Makes this stopped machine the saved one, paused. On failure it stays stopped, and a cold start is possible.
  @available(macOS 14.0, *)
  public func restoreMachineStateFrom(url: URL, completionHandler: @escaping ((any Error)?) -> Void) {
    dispatchPrecondition(condition: .onQueue(boundQueue))
    guard currentState == .stopped else { return refuse { completionHandler(VZError.transition(from: $0)) } }
    let denied: VZError? =
      if Fault.restoreInvalidArgument.strikes() {
        .restoreInvalid
      } else if Fault.restorePermissionDenied.strikes() {
        VZError(.restore, "permission denied")
      } else if Fault.restoreFails.strikes() {
        .serviceFailed
      } else if Fault.entitlementMissing.strikes() {
        .entitlement
      } else {
        nil
      }
    if let denied { return refuse { _ in completionHandler(denied) } }
    step(.restoring, silent: .restoreSilent, { vm in try vm.launch(url) }) { [self] outcome in
      settle(outcome, success: .paused, failure: .stopped)
      completionHandler(outcome.failure)
    }
  }

  // MARK: Inside

  private func onQueue<T>(_ value: @autoclosure () -> T) -> T {
    dispatchPrecondition(condition: .onQueue(boundQueue))
    return value()
  }

  /// Completions never come before the call has returned.
  private func refuse(_ tell: @escaping (State) -> Void) {
    let state = currentState
    boundQueue.async { tell(state) }
  }

  private func step(
    _ during: State, silent: Fault?, _ work: @escaping (VZVirtualMachine) throws -> Void,
    then: @escaping (Result<Void, any Error>) -> Void
  ) {
    currentState = during
    if let silent, silent.strikes() { return }
    steps.async { [self] in
      let outcome = Result { try work(self) }
      boundQueue.async { then(outcome) }
    }
  }

  private func settle(_ outcome: Result<Void, any Error>, success: State, failure: State) {
    // The machine may have ended during the step; what it ended as stands.
    guard machine != nil || failure == .stopped else { return }
    switch outcome {
    case .success: currentState = machine == nil ? .stopped : success
    case .failure: currentState = failure
    }
  }

  private func settleStopped() {
    machine = nil
    currentState = .stopped
  }

  private func live() throws -> Machine {
    guard let machine else { throw VZError.serviceFailed }
    return machine
  }

  private func launch(_ saved: URL?) throws {
  }

  private func makeSocketDevice() -> VZVirtioSocketDevice {
    VZVirtioSocketDevice(queue: boundQueue) { _, done in done(.failure(VZError.serviceFailed)) }
  }
}

extension VZError {
  static func transition(from state: VZVirtualMachine.State) -> VZError {
    VZError(.invalidVirtualMachineStateTransition, "Not possible while the machine is \(state).")
  }
  static let restoreInvalid = VZError(.restore, "invalid argument")
  static let serviceFailed = VZError(.internalError, "The virtual machine service failed.")
}

extension Result where Success == Void, Failure == any Error {
  fileprivate var failure: (any Error)? {
    guard case .failure(let error) = self else { return nil }
    return error
  }
}
