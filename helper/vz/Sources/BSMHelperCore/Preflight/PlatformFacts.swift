/// What a machine is, as values: every row of the rejection table can be tried anywhere.
struct PlatformFacts {
    enum System {
        case macOS(major: Int, minor: Int, patch: Int)
        /// Not a Mac; how it names itself.
        case other(String)
    }

    let system: System
    /// Of this process: `arm64` or `x64`.
    let architecture: String
    /// This process runs under Rosetta.
    let isTranslated: Bool
    let isAppleSilicon: Bool
    let hasHypervisor: Bool
    let isInsideVM: Bool
    let hasEntitlement: Bool
    /// `VZVirtualMachine.isSupported`.
    let frameworkSupported: Bool
    let isConsoleLocked: Bool
    /// `kern.osversion`: saved states are only promised to the build that wrote them.
    let osBuild: String
    /// `IOPlatformUUID`: saved states are bound to their host.
    let hostId: String
    /// The macOS whose framework this is, off macOS the stand-in's; `BSM_VZ_AS_MACOS` may lower it.
    let frameworkVersion: Int

    var isMac: Bool {
        if case .macOS = system { return true }
        return false
    }

    /// Nil off macOS.
    var macOSMajor: Int? {
        if case .macOS(let major, _, _) = system { return major }
        return nil
    }

    var accelerator: String { isMac ? "vz" : "tcg" }

    var framework: FrameworkFeatures { FrameworkFeatures(version: frameworkVersion, canSaveState: canSaveState) }

    /// `saveMachineStateTo` and its kin: macOS 14 on Apple silicon.
    var canSaveState: Bool { frameworkVersion >= 14 && !isTranslated && (isAppleSilicon || !isMac) }
}

/// What the framework can do here. Availability enters as a value, so that each path runs in a test.
struct FrameworkFeatures {
    /// `VZDiskImageCachingMode`, `stop()`: macOS 12. Without them the disk has the framework's defaults, and a VM that
    /// ignores its power button ends only with the helper.
    let hasStopAndDiskModes: Bool
    /// `VZGenericMachineIdentifier`: macOS 13.
    let hasMachineIdentifier: Bool
    let canSaveState: Bool

    init(version: Int, canSaveState: Bool) {
        hasStopAndDiskModes = version >= 12
        hasMachineIdentifier = version >= 13
        self.canSaveState = canSaveState
    }
}
