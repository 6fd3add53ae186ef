import Foundation
import Virtualization

extension MachinePlan {
    /// The framework's configuration: Linux boot loader, generic platform, one read-only disk, vsock, serial
    /// console, entropy; no network, no balloon, no shared directory. Validated.
    func configuration(console: FileHandle) throws -> VZVirtualMachineConfiguration {
        let configuration = VZVirtualMachineConfiguration()
        let loader = VZLinuxBootLoader(kernelURL: URL(fileURLWithPath: kernel))
        loader.commandLine = cmdline
        loader.initialRamdiskURL = initrd.map { URL(fileURLWithPath: $0) }
        configuration.bootLoader = loader
        configuration.cpuCount = cpus
        configuration.memorySize = UInt64(memoryMib) * 1_048_576
        try setPlatform(of: configuration)
        configuration.storageDevices = [VZVirtioBlockDeviceConfiguration(attachment: try diskAttachment())]
        configuration.socketDevices = [VZVirtioSocketDeviceConfiguration()]
        let serial = VZVirtioConsoleDeviceSerialPortConfiguration()
        serial.attachment = VZFileHandleSerialPortAttachment(fileHandleForReading: nil, fileHandleForWriting: console)
        configuration.serialPorts = [serial]
        configuration.entropyDevices = [VZVirtioEntropyDeviceConfiguration()]
        do {
            try configuration.validate()
        } catch {
            throw frameworkError(error, during: .validate)
        }
        return configuration
    }

    /// Does the framework save machines of this configuration? It alone knows, and only at run time.
    func canBeSaved(_ configuration: VZVirtualMachineConfiguration) -> Bool {
        guard features.canSaveState, #available(macOS 14.0, *) else { return false }
        return (try? configuration.validateSaveRestoreSupport()) != nil
    }

    static func newMachineIdentifier(_ features: FrameworkFeatures) -> String? {
        guard features.hasMachineIdentifier, #available(macOS 13.0, *) else { return nil }
        return VZGenericMachineIdentifier().dataRepresentation.base64EncodedString()
    }

    private func setPlatform(of configuration: VZVirtualMachineConfiguration) throws {
        guard #available(macOS 12.0, *), features.hasStopAndDiskModes else { return }
        let platform = VZGenericPlatformConfiguration()
        if #available(macOS 13.0, *), let text = machineIdentifier {
            guard let data = Data(base64Encoded: text), let identifier = VZGenericMachineIdentifier(dataRepresentation: data) else {
                throw BsmError(.snapshotCorrupt, .helper, "The machine identifier of the snapshot is damaged.",
                    next: "A new one is made by a cold boot.")
            }
            platform.machineIdentifier = identifier
        }
        configuration.platform = platform
    }

    private func diskAttachment() throws -> VZDiskImageStorageDeviceAttachment {
        let url = URL(fileURLWithPath: disk)
        do {
            if #available(macOS 12.0, *), features.hasStopAndDiskModes {
                // `.automatic` caching corrupts ext4 in ARM Linux guests (lima#1957, UTM#4840).
                return try VZDiskImageStorageDeviceAttachment(
                    url: url, readOnly: true, cachingMode: .cached, synchronizationMode: .fsync)
            }
            return try VZDiskImageStorageDeviceAttachment(url: url, readOnly: true)
        } catch {
            throw frameworkError(error, during: .validate)
        }
    }
}
