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

  /// The framework ends a machine with its object.
  deinit {
    guard let machine else { return }
    LiveMachines.shared.remove(machine)
    machine.abandon()
  }

  // MARK: State

  public var state: State { onQueue(currentState == .running ? forgedState ?? .running : currentState) }
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
    launch(.starting, nil, silent: nil, success: .running) { completionHandler($0) }
  }

  public func pause(completionHandler: @escaping (Result<Void, any Error>) -> Void) {
    guard canPause, let machine else { return refuse { completionHandler(.failure(VZError.transition(from: $0))) } }
    step(.pausing, silent: .pauseSilent, success: .paused, { try machine.pause() }, completionHandler)
  }

  public func resume(completionHandler: @escaping (Result<Void, any Error>) -> Void) {
    guard canResume, let machine else { return refuse { completionHandler(.failure(VZError.transition(from: $0))) } }
    step(.resuming, silent: .resumeSilent, success: .running, { try machine.resume() }, completionHandler)
  }

  /// Presses the power button; a guest that does not read it goes on.
  public func requestStop() throws {
    guard canRequestStop, let machine else { throw VZError.transition(from: currentState) }
    if Fault.requestStopIgnored.strikes() { return }
    machine.pressPowerButton()
  }

  /// Cuts the power.
  public func stop(completionHandler: @escaping ((any Error)?) -> Void) {
    guard canStop, let machine else { return refuse { completionHandler(VZError.transition(from: $0)) } }
    currentState = .stopping
    if Fault.stopSilent.strikes() { return }
    steps.async { [self] in
      let isGone = machine.kill()
      boundQueue.async { [self] in
        if isGone { isOver(machine, as: .stopped) }
        completionHandler(isGone ? nil : VZError.serviceFailed)
      }
    }
  }

  /// Writes the paused machine to a new file; it stays paused, whatever comes of it.
  @available(macOS 14.0, *)
  public func saveMachineStateTo(url: URL, completionHandler: @escaping ((any Error)?) -> Void) {
    dispatchPrecondition(condition: .onQueue(boundQueue))
    guard currentState == .paused, let machine else {
      return refuse {
        completionHandler(VZError(.invalidVirtualMachineState, "A machine that is \($0) cannot be saved."))
      }
    }
    if Fault.saveDenied.strikes() { return refuse { _ in completionHandler(VZError(.save, "permission denied")) } }
    if Fault.saveNoSpace.strikes() {
      return refuse { _ in completionHandler(VZError(.outOfDiskSpace, "no space left on device")) }
    }
    step(.saving, silent: .saveSilent, success: .paused, { try machine.save(to: url) }) {
      completionHandler($0.failure)
    }
  }

  /// Makes this stopped machine the saved one, paused. On failure it stays stopped, and a cold start is possible.
  @available(macOS 14.0, *)
  public func restoreMachineStateFrom(url: URL, completionHandler: @escaping ((any Error)?) -> Void) {
    dispatchPrecondition(condition: .onQueue(boundQueue))
    guard currentState == .stopped else { return refuse { completionHandler(VZError.transition(from: $0)) } }
    if let denied = restoreFault() { return refuse { _ in completionHandler(denied) } }
    launch(.restoring, url, silent: .restoreSilent, success: .paused) { completionHandler($0.failure) }
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

  private var forgedState: State? {
    switch Fault.stateForged.content {
    case "paused": return .paused
    case "shutdown": return .stopped
    case "internal-error": return .error
    default: return nil
    }
  }

  private func restoreFault() -> VZError? {
    if Fault.entitlementMissing.strikes() { return .entitlement }
    if Fault.restoreInvalidArgument.strikes() { return .restoreInvalid }
    if Fault.restorePermissionDenied.strikes() { return VZError(.restore, "permission denied") }
    if Fault.restoreFails.strikes() { return .serviceFailed }
    if Fault.oneOfAnIdentifier.isSet, LiveMachines.shared.has(spec.identifier) { return .restoreInvalid }
    return nil
  }

  /// A step of the live machine. Where it fails, the state before it holds on.
  private func step(
    _ during: State, silent: Fault, success: State, _ work: @escaping () throws -> Void,
    _ completion: @escaping (Result<Void, any Error>) -> Void
  ) {
    let before = currentState
    currentState = during
    if silent.strikes() { return }
    steps.async { [self] in
      let outcome = Result { try work() }
      boundQueue.async { [self] in
        // The machine may have ended meanwhile; then what it ended as stands.
        if currentState == during { currentState = outcome.failure == nil ? success : before }
        completion(outcome)
      }
    }
  }

  /// A new machine, from its kernel or from a saved state.
  private func launch(
    _ during: State, _ saved: URL?, silent: Fault?, success: State,
    _ completion: @escaping (Result<Void, any Error>) -> Void
  ) {
    currentState = during
    if let silent, silent.strikes() { return }
    steps.async { [self] in
      let outcome = Result {
        let reader = try saved.map { try SavedState.open($0, for: spec) }
        return try Machine.start(spec, saved: reader) { [weak self] machine, end in
          let tell: @Sendable () -> Void = { [weak self] in self?.ended(machine, end) }
          if Fault.endLate.strikes() {
            self?.boundQueue.asyncAfter(deadline: .now() + 0.2, execute: tell)
          } else {
            self?.boundQueue.async(execute: tell)
          }
        }
      }
      boundQueue.async { [self] in
        switch outcome {
        case .success(let new):
          machine = new
          LiveMachines.shared.add(new, spec.identifier)
          currentState = success
          completion(.success(()))
        case .failure(let error):
          currentState = .stopped
          completion(.failure(error))
        }
      }
    }
  }

  /// QEMU is gone, and it was not `stop` that ended it.
  private func ended(_ gone: Machine, _ end: Machine.End) {
    guard gone === machine, currentState != .stopping else { return }
    switch end {
    case .guest:
      isOver(gone, as: .stopped)
      currentDelegate?.guestDidStop(self)
    case .killed:
      isOver(gone, as: .stopped)
    case .failure(let error):
      isOver(gone, as: .error)
      currentDelegate?.virtualMachine(self, didStopWithError: error)
    }
  }

  private func isOver(_ gone: Machine, as state: State) {
    LiveMachines.shared.remove(gone)
    machine = nil
    currentState = state
  }

  private func makeSocketDevice() -> VZVirtioSocketDevice {
    VZVirtioSocketDevice(queue: boundQueue) { [weak self] port, done in
      guard let machine = self?.machine else { return done(.failure(Port.refused)) }
      machine.dial(port, done)
    }
  }
}

/// Identifiers of the machines that live in this process.
private final class LiveMachines: @unchecked Sendable {
  static let shared = LiveMachines()
  private let lock = NSLock()
  private var identifiers: [ObjectIdentifier: Data] = [:]

  func add(_ machine: Machine, _ identifier: Data) {
    lock.withLock { identifiers[ObjectIdentifier(machine)] = identifier }
  }

  func remove(_ machine: Machine) { lock.withLock { identifiers[ObjectIdentifier(machine)] = nil } }

  func has(_ identifier: Data) -> Bool { lock.withLock { identifiers.values.contains(identifier) } }
}

extension VZError {
  static func transition(from state: VZVirtualMachine.State) -> VZError {
    VZError(.invalidVirtualMachineStateTransition, "Not possible while the machine is \(state).")
  }
  static let restoreInvalid = VZError(.restore, "invalid argument")
  static let serviceFailed = VZError(.internalError, "The virtual machine service failed.")
}

extension Result {
  fileprivate var failure: Failure? {
    guard case .failure(let error) = self else { return nil }
    return error
  }
}
