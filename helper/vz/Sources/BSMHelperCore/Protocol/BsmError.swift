/// The closed set of error codes (§2).
enum ErrorCode: String, CaseIterable {
    case bootConfigInvalid = "BOOT_CONFIG_INVALID"
    case vmLifecycleError = "VM_LIFECYCLE_ERROR"
    case guestUnreachable = "GUEST_UNREACHABLE"
    case sandboxToolTimeout = "SANDBOX_TOOL_TIMEOUT"
    case toolNotRegistered = "TOOL_NOT_REGISTERED"
    case badRequest = "BAD_REQUEST"
    case busy = "BUSY"
    case outputLimit = "OUTPUT_LIMIT"
    case resetFailed = "RESET_FAILED"
    case resetVerificationDivergence = "RESET_VERIFICATION_DIVERGENCE"
    case resetVerificationTimeout = "RESET_VERIFICATION_TIMEOUT"
    case evidenceGap = "EVIDENCE_GAP"
    case evidenceDuplicate = "EVIDENCE_DUPLICATE"
    case evidenceOutOfOrder = "EVIDENCE_OUT_OF_ORDER"
    case evidenceMismatch = "EVIDENCE_MISMATCH"
    case frameTooLarge = "FRAME_TOO_LARGE"
    case frameMalformed = "FRAME_MALFORMED"
    case fastSnapshotUnavailable = "FAST_SNAPSHOT_UNAVAILABLE"
    case snapshotCorrupt = "SNAPSHOT_CORRUPT"
    case snapshotIncompatible = "SNAPSHOT_INCOMPATIBLE"
    case imageMismatch = "IMAGE_MISMATCH"
    case timeout = "TIMEOUT"
    case cancelled = "CANCELLED"
    case degraded = "DEGRADED"
    case unauthorized = "UNAUTHORIZED"
    case internalBug = "INTERNAL_BUG"
}

/// Which part failed: the first thing a person asks.
enum Layer: String {
    case app, helper, hypervisor, guest, agent
}

/// An error that knows its code, layer and next step; it travels as `{code, message, …}` (§2).
struct BsmError: Error, CustomStringConvertible {
    let code: ErrorCode
    let layer: Layer
    /// One sentence for a person.
    let message: String
    /// What to do next, one sentence.
    let nextStep: String?
    /// The raw cause, for a bug report.
    let details: String?

    init(_ code: ErrorCode, _ layer: Layer, _ message: String, next: String? = nil, details: String? = nil) {
        self.code = code
        self.layer = layer
        self.message = message
        nextStep = next
        self.details = details.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Anything thrown; what is not one of ours already is a bug of ours.
    init(_ thrown: Error, _ layer: Layer = .helper) {
        if let error = thrown as? BsmError {
            self = error
        } else {
            self.init(.internalBug, layer, "An error came up that nobody expected.",
                next: "Report this with the details.", details: String(describing: thrown))
        }
    }

    var description: String { "\(code.rawValue): \(message)" }

    var wire: JSON {
        .record([
            "code": JSON(code.rawValue), "message": JSON(message), "layer": JSON(layer.rawValue),
            "next_step": nextStep.map(JSON.init), "details": details.map(JSON.init),
        ])
    }
}

/// Exit codes of the helper (§1).
enum Exit {
    static let ok: Int32 = 0
    static let preflightFailed: Int32 = 64
    static let bootConfigInvalid: Int32 = 65
    static let vmLifecycle: Int32 = 66
    static let guestUnreachable: Int32 = 67
    static let divergence: Int32 = 68
    static let timedOut: Int32 = 69
    static let internalBug: Int32 = 70

    /// With which a helper ends because of an error of this code.
    static func code(for error: ErrorCode) -> Int32 {
        switch error {
        case .bootConfigInvalid, .imageMismatch: return bootConfigInvalid
        case .guestUnreachable: return guestUnreachable
        case .resetVerificationDivergence, .degraded: return divergence
        case .timeout, .sandboxToolTimeout, .resetVerificationTimeout: return timedOut
        case .internalBug: return internalBug
        default: return vmLifecycle
        }
    }
}
