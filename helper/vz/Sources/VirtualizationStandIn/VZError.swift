import Foundation

public let VZErrorDomain = "VZErrorDomain"

/// What the framework reports (`VZError.h`). The failure reason is what tells one cause of a code from another.
public struct VZError: Error, CustomNSError, LocalizedError, Hashable {
  public enum Code: Int, Sendable {
    case internalError = 1
    case invalidVirtualMachineConfiguration = 2
    case invalidVirtualMachineState = 3
    case invalidVirtualMachineStateTransition = 4
    case invalidDiskImage = 5
    case virtualMachineLimitExceeded = 6
    case networkError = 7
    case outOfDiskSpace = 8
    case operationCancelled = 9
    case notSupported = 10
    case save = 11
    case restore = 12
  }

  public static var errorDomain: String { VZErrorDomain }

  public let code: Code
  private let reason: String?

  public init(_ code: Code, userInfo: [String: Any] = [:]) {
    self.code = code
    reason = userInfo[NSLocalizedFailureReasonErrorKey] as? String
  }

  init(_ code: Code, _ reason: String) {
    self.code = code
    self.reason = reason
  }

  public var errorCode: Int { code.rawValue }

  public var errorUserInfo: [String: Any] {
    var info: [String: Any] = [NSLocalizedDescriptionKey: code.sentence]
    if let reason { info[NSLocalizedFailureReasonErrorKey] = reason }
    return info
  }

  public var userInfo: [String: Any] { errorUserInfo }
  public var errorDescription: String? { code.sentence }
  public var failureReason: String? { reason }
}

extension VZError.Code {
  /// Our wording where we have not seen Apple's: no test of the helper may rest on it.
  fileprivate var sentence: String {
    switch self {
    case .internalError: "Internal Virtualization error."
    case .invalidVirtualMachineConfiguration: "Invalid virtual machine configuration."
    case .invalidVirtualMachineState: "Invalid virtual machine state."
    case .invalidVirtualMachineStateTransition: "Invalid virtual machine state transition."
    case .invalidDiskImage: "Invalid disk image."
    case .virtualMachineLimitExceeded: "The maximum number of virtual machines is running."
    case .networkError: "Network error."
    case .outOfDiskSpace: "Out of disk space."
    case .operationCancelled: "The operation was cancelled."
    case .notSupported: "Not supported."
    case .save: "The virtual machine could not be saved."
    case .restore: "The virtual machine could not be restored."
    }
  }
}
