import Foundation

/// What the framework was asked for when it failed.
enum FrameworkStep: String {
    case validate, start, pause, resume, stop, save, restore, connect
}

/// What a failed restore means for the saved state (virtualization-framework.md §7.6).
enum RestoreFailure: Equatable {
    /// A locked screen: the file is good and is kept.
    case temporary
    /// The file fits this Mac no more: it is set aside.
    case permanent
    /// The service behind the framework failed: tried once more.
    case service
}

/// A restore that the framework refused.
struct RestoreRefused: Error {
    let failure: RestoreFailure
    let error: BsmError
}

/// A save that the framework refused; the VM is still paused.
struct SaveRefused: Error {
    let error: BsmError
}

/// An error of Virtualization.framework as code, cause and next step, its own words attached.
///
/// By domain and number (`VZError.h`): codes are added with new systems, and numbers stay.
func frameworkError(_ thrown: Error, during step: FrameworkStep) -> BsmError {
    if let known = thrown as? BsmError { return known }
    let error = thrown as NSError
    let text = rawText(error)
    guard error.domain == "VZErrorDomain" else {
        return BsmError(.vmLifecycleError, .hypervisor, "The VM could not \(step.rawValue).", next: startAgain, details: text)
    }
    switch error.code {
    case 2 where text.contains("entitlement"):
        return BsmError(.vmLifecycleError, .hypervisor, "The helper may not run VMs: its entitlement is missing.",
            next: "Install the app again, or sign the helper with entitlements/bsm-vz-helper.plist.", details: text)
    case 2 where text.contains("not available on this hardware"):
        return BsmError(.vmLifecycleError, .hypervisor, "Virtualization is not available on this machine.",
            next: "Use a Mac with Apple silicon that is not a virtual machine itself.", details: text)
    case 2:
        return BsmError(.vmLifecycleError, .hypervisor, "The framework refuses the VM's configuration.",
            next: "Check kernel, disk, CPUs and memory; the details have its words.", details: text)
    case 3, 4:
        return BsmError(.vmLifecycleError, .hypervisor, "The VM was not in a state to \(step.rawValue).", next: startAgain, details: text)
    case 5:
        return BsmError(.vmLifecycleError, .hypervisor, "The framework does not take the root disk.",
            next: "Build the guest image again (npm run guest).", details: text)
    case 6:
        return BsmError(.vmLifecycleError, .hypervisor, "This Mac runs as many VMs as it may.", next: "Stop another VM.", details: text)
    case 8:
        return BsmError(.vmLifecycleError, .hypervisor, "The disk is full.", next: "Free space on the disk of the state directory.", details: text)
    case 9:
        return BsmError(.cancelled, .hypervisor, "The VM's \(step.rawValue) was cancelled.", next: startAgain, details: text)
    case 10:
        return BsmError(.fastSnapshotUnavailable, .hypervisor, "This Mac does not support that operation on a VM.",
            next: "Update macOS; until then every reset is a cold boot.", details: text)
    case 11:
        return BsmError(.vmLifecycleError, .hypervisor, "The VM could not be saved.",
            next: "Unlock the screen and look at the free space.", details: text)
    case 12 where isPermissionDenied(text):
        return BsmError(.vmLifecycleError, .hypervisor, "The saved VM may not be restored now: the screen may be locked.",
            next: "Unlock the screen; the VM boots from cold meanwhile.", details: text)
    case 12:
        return BsmError(.snapshotIncompatible, .hypervisor, "The framework does not take the saved VM.",
            next: "A new one is made by a cold boot.", details: text)
    default:
        return BsmError(.vmLifecycleError, .hypervisor, "The virtualization service failed to \(step.rawValue) the VM.", next: startAgain, details: text)
    }
}

/// `consoleLocked` as it is now; "permission denied" on an unlocked Mac is another host or account.
func restoreFailure(_ thrown: Error, consoleLocked: Bool) -> RestoreFailure {
    let error = thrown as NSError
    guard error.domain == "VZErrorDomain" else { return .service }
    switch error.code {
    case 12 where isPermissionDenied(rawText(error)): return consoleLocked ? .temporary : .permanent
    case 12: return .permanent
    default: return .service
    }
}

private func isPermissionDenied(_ text: String) -> Bool { text.lowercased().contains("permission denied") }

private func rawText(_ error: NSError) -> String {
    [
        "\(error.domain) \(error.code)", error.localizedDescription, error.localizedFailureReason,
        (error.userInfo[NSUnderlyingErrorKey] as? NSError)?.localizedDescription,
    ].compactMap { $0 }.joined(separator: ": ")
}

private let startAgain = "Start the VM again; if it stays so, restart this machine."
