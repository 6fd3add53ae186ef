/// Can this machine run the VM, and how? (§1)
struct Preflight {
    struct Finding {
        let code: String
        let message: String
        let remedy: String

        var json: JSON { .record(["code": JSON(code), "message": JSON(message), "remedy": JSON(remedy)]) }
    }

    let facts: PlatformFacts
    let rejections: [Finding]
    let warnings: [Finding]

    init(_ facts: PlatformFacts) {
        self.facts = facts
        rejections = Preflight.rejections(facts)
        warnings = Preflight.warnings(facts)
    }

    var isUsable: Bool { rejections.isEmpty }

    private static func rejections(_ facts: PlatformFacts) -> [Finding] {
        var found: [Finding] = []
        if let major = facts.macOSMajor, major < 11 {
            found.append(
                Finding(code: "MACOS_TOO_OLD", message: "macOS \(major) has no Virtualization.framework for Linux guests.",
                    remedy: "Update to macOS 11 or newer; from macOS 14 on, resets are fast."))
        }
        if facts.isTranslated {
            found.append(
                Finding(code: "TRANSLATED_PROCESS", message: "The helper runs under Rosetta, which virtual machines do not.",
                    remedy: "Start the app without Rosetta: clear \"Open using Rosetta\" in its Finder information."))
        } else if facts.isMac && !facts.isAppleSilicon {
            found.append(
                Finding(code: "INTEL_UNSUPPORTED", message: "This Mac has an Intel processor, and the guest is ARM64.",
                    remedy: "Use a Mac with Apple silicon."))
        }
        if facts.isMac && !facts.hasEntitlement {
            found.append(
                Finding(code: "ENTITLEMENT_MISSING",
                    message: "The helper is not signed with the entitlement com.apple.security.virtualization.",
                    remedy: "Install the app again, or sign the helper: codesign -f -s - --entitlements entitlements/bsm-vz-helper.plist PATH"))
        }
        if let unavailable = unavailability(facts) { found.append(unavailable) }
        return found
    }

    private static func unavailability(_ facts: PlatformFacts) -> Finding? {
        if facts.isMac && facts.isInsideVM {
            return Finding(code: "VIRTUALIZATION_UNAVAILABLE", message: "This Mac is a virtual machine itself and cannot run another.",
                remedy: "Use a Mac that is not virtual.")
        }
        if !facts.frameworkSupported || !facts.hasHypervisor {
            return Finding(code: "VIRTUALIZATION_UNAVAILABLE", message: "Virtualization is not available on this machine.",
                remedy: facts.isMac
                    ? "Update macOS; if that does not help, this Mac cannot run virtual machines."
                    : "Install QEMU for ARM64: apt-get install qemu-system-arm")
        }
        return nil
    }

    private static func warnings(_ facts: PlatformFacts) -> [Finding] {
        var found: [Finding] = []
        if facts.isConsoleLocked {
            found.append(
                Finding(code: "CONSOLE_LOCKED", message: "The screen is locked: saved states can be neither written nor restored meanwhile.",
                    remedy: "Unlock the screen for fast resets; until then every reset is a cold boot."))
        }
        if !facts.isMac {
            found.append(
                Finding(code: "EMULATED", message: "The VM is emulated (TCG): its times say nothing about hardware virtualization.",
                    remedy: "Use a Mac with Apple silicon for real times."))
        }
        return found
    }

    var json: JSON {
        var version: String?
        var host: String
        switch facts.system {
        case .macOS(let major, let minor, let patch):
            version = "\(major).\(minor).\(patch)"
            host = "macOS \(major).\(minor).\(patch) (\(facts.osBuild))"
        case .other(let name): host = name
        }
        return .record([
            "ok": JSON(isUsable), "macos_version": JSON(orNull: version), "arch": JSON(facts.architecture),
            "fast_snapshot_supported": JSON(facts.canSaveState), "entitlement_present": JSON(facts.hasEntitlement),
            "backend": JSON("vz"), "accelerator": JSON(facts.accelerator), "host_os": JSON(host),
            "rejections": .array(rejections.map(\.json)), "warnings": .array(warnings.map(\.json)),
        ])
    }
}
