import Foundation

/// What can go wrong on a Mac and not here, on demand.
///
/// `BSM_STAND_IN_FAULTS` is a list of names separated by commas. `name` strikes every time, `name:2` the first two
/// times in a process, `name:+2` every time but the first two. `name:/path` strikes while there is that file.
enum Fault: String, CaseIterable {
  /// `validate` and `start` are refused for want of the entitlement.
  case entitlementMissing = "entitlement-missing"
  /// `start` alone is refused, as in a process whose signature was lost after the checks.
  case startDenied = "start-denied"
  /// The service behind the framework fails at `start` (code 1).
  case startFails = "start-fails"
  /// No virtualization on this hardware, as inside a VM.
  case unsupported = "unsupported"
  /// `validateSaveRestoreSupport` refuses.
  case saveUnsupported = "save-unsupported"
  /// A save ends with "permission denied", as with a locked screen.
  case saveDenied = "save-denied"
  /// The volume is full.
  case saveNoSpace = "save-no-space"
  case restoreInvalidArgument = "restore-invalid-argument"
  /// As with a locked screen, or on another Mac.
  case restorePermissionDenied = "restore-permission-denied"
  /// The service behind the framework fails at a restore (code 1).
  case restoreFails = "restore-fails"
  /// A second live machine of one identifier is not restored (contested among those who measured; by default it is).
  case oneOfAnIdentifier = "one-of-an-identifier"
  /// A `connect` whose completion never comes.
  case connectSilent = "connect-silent"
  /// A `connect` that succeeds and is closed at once.
  case connectHalfOpen = "connect-half-open"
  case pauseSilent = "pause-silent"
  case resumeSilent = "resume-silent"
  case saveSilent = "save-silent"
  case restoreSilent = "restore-silent"
  case stopSilent = "stop-silent"
  /// A machine that died is called what it was before for another 200 ms.
  case endLate = "end-late"
  /// `requestStop` presses a button that nobody reads; without it the guest's kernel gets it.
  case requestStopIgnored = "request-stop-ignored"
  /// A machine that runs is called what the file says, in QEMU's words.
  case stateForged = "state-forged"

  static let variable = "BSM_STAND_IN_FAULTS"

  /// Whether it is named, without counting.
  var isSet: Bool { setting != nil }

  /// Whether it strikes now; counts.
  func strikes() -> Bool {
    guard let setting else { return false }
    let nth = Fault.occasions.next(of: self)
    switch setting {
    case "": return true
    case let limit where limit.hasPrefix("+"): return nth > Int(limit.dropFirst()) ?? .max
    case let limit: return nth <= Int(limit) ?? 0
    }
  }

  /// What the file says that it names; nil while there is none.
  var content: String? {
    guard let setting, setting.hasPrefix("/") else { return nil }
    return (try? String(contentsOfFile: setting, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Forgets the counts: each test begins anew.
  static func forget() { occasions.forget() }

  /// Read at every occasion: a test sets it in its own process.
  private var setting: String? {
    guard let text = getenv(Fault.variable).map({ String(cString: $0) }) else { return nil }
    for entry in text.split(separator: ",") {
      let parts = entry.split(separator: ":", maxSplits: 1)
      if parts.first.map(String.init) == rawValue { return parts.count == 2 ? String(parts[1]) : "" }
    }
    return nil
  }

  private static let occasions = Occasions()

  private final class Occasions: @unchecked Sendable {
    private let lock = NSLock()
    private var counts: [Fault: Int] = [:]

    func next(of fault: Fault) -> Int {
      lock.withLock {
        counts[fault, default: 0] += 1
        return counts[fault, default: 0]
      }
    }

    func forget() { lock.withLock { counts = [:] } }
  }
}
