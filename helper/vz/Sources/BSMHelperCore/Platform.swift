// The one file that knows which system it is on. What it learns leaves it as values: see PlatformFacts.
import Foundation

#if os(Linux)
    import CLibCrypto
#else
    import CryptoKit
    import IOKit
    import IOKit.pwr_mgt
    import Security
#endif

// MARK: - SHA-256 and HMAC

/// SHA-256 of bytes that come piece by piece.
final class SHA256Stream {
    #if os(Linux)
        private let context = EVP_MD_CTX_new()

        init() { EVP_DigestInit_ex(context, EVP_sha256(), nil) }
        deinit { EVP_MD_CTX_free(context) }

        func update(_ bytes: UnsafeRawBufferPointer) {
            if bytes.count > 0 { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }
        }

        func finish() -> [UInt8] {
            var digest = [UInt8](repeating: 0, count: 32)
            EVP_DigestFinal_ex(context, &digest, nil)
            return digest
        }
    #else
        private var hash = CryptoKit.SHA256()

        func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bufferPointer: bytes) }
        func finish() -> [UInt8] { Array(hash.finalize()) }
    #endif

    func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }
}

func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
    #if os(Linux)
        var code = [UInt8](repeating: 0, count: 32)
        HMAC(EVP_sha256(), key, Int32(key.count), bytes, bytes.count, &code, nil)
        return code
    #else
        Array(CryptoKit.HMAC<CryptoKit.SHA256>.authenticationCode(for: bytes, using: SymmetricKey(data: key)))
    #endif
}

// MARK: - Facts

extension PlatformFacts {
    /// Of this machine, now. `frameworkSupported` is the framework's own word, which the caller asks.
    static func current(frameworkSupported: Bool) -> PlatformFacts {
        #if os(Linux)
            return PlatformFacts(
                system: .other(osRelease()), architecture: machineName(), isTranslated: false, isAppleSilicon: false,
                hasHypervisor: true, isInsideVM: false, hasEntitlement: true, frameworkSupported: frameworkSupported,
                isConsoleLocked: standInSwitch("console-locked") != nil, osBuild: kernelRelease(), hostId: machineId(),
                frameworkVersion: actedVersion(14))
        #else
            let version = ProcessInfo.processInfo.operatingSystemVersion
            return PlatformFacts(
                system: .macOS(major: version.majorVersion, minor: version.minorVersion, patch: version.patchVersion),
                architecture: machineName(), isTranslated: sysctlInt("sysctl.proc_translated") == 1,
                isAppleSilicon: sysctlInt("hw.optional.arm64") == 1, hasHypervisor: sysctlInt("kern.hv_support") == 1,
                isInsideVM: sysctlInt("kern.hv_vmm_present") == 1, hasEntitlement: hasVirtualizationEntitlement(),
                frameworkSupported: frameworkSupported, isConsoleLocked: consoleLocked(),
                osBuild: sysctlString("kern.osversion") ?? "unknown", hostId: platformUUID() ?? "unknown",
                frameworkVersion: actedVersion(version.majorVersion))
        #endif
    }
}

/// `BSM_VZ_AS_MACOS=13` lowers the framework to that macOS, so that the ways of older systems can be gone on a newer one.
private func actedVersion(_ real: Int) -> Int {
    let lowered = ProcessInfo.processInfo.environment["BSM_VZ_AS_MACOS"].flatMap { Int($0) }
    return min(real, lowered ?? real)
}

/// As `uname` has it, in Node's words.
private func machineName() -> String {
    var name = utsname()
    uname(&name)
    let machine = withUnsafeBytes(of: &name.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    switch machine {
    case "aarch64", "arm64": return "arm64"
    case "x86_64", "amd64": return "x64"
    default: return machine
    }
}

#if os(Linux)
    /// What the stand-in's switches say of the platform: `console-locked`, `host-sleep`, `patience:MS`.
    private func standInSwitch(_ name: String) -> String? {
        let switches = (ProcessInfo.processInfo.environment["BSM_STAND_IN_FAULTS"] ?? "").split(separator: ",")
        let parts = switches.lazy.map { $0.split(separator: ":", maxSplits: 1) }.first { $0.first.map(String.init) == name }
        return parts.map { $0.count == 2 ? String($0[1]) : "" }
    }

    private func osRelease() -> String {
        let text = (try? String(contentsOfFile: "/etc/os-release", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
        let name = line?.dropFirst("PRETTY_NAME=".count).trimmingCharacters(in: CharacterSet(charactersIn: "\""))
        return "\(name ?? "Linux"), Virtualization.framework stand-in (QEMU)"
    }

    private func kernelRelease() -> String {
        var name = utsname()
        uname(&name)
        return withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private func machineId() -> String {
        let text = try? String(contentsOfFile: "/etc/machine-id", encoding: .utf8)
        return text?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "unknown"
    }
#else
    private func sysctlInt(_ name: String) -> Int32? {
        var value: Int32 = 0
        var size = MemoryLayout<Int32>.size
        return sysctlbyname(name, &value, &size, nil, 0) == 0 ? value : nil
    }

    private func sysctlString(_ name: String) -> String? {
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: size)
        guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return nil }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    private func hasVirtualizationEntitlement() -> Bool {
        guard let task = SecTaskCreateFromSelf(nil) else { return false }
        let value = SecTaskCopyValueForEntitlement(task, "com.apple.security.virtualization" as CFString, nil)
        return (value as? Bool) == true
    }

    // Port 0 is the main port everywhere; its constant has the name that fits only from macOS 12 on.
    private func consoleLocked() -> Bool {
        let root = IORegistryGetRootEntry(0)
        defer { IOObjectRelease(root) }
        let value = IORegistryEntryCreateCFProperty(root, "IOConsoleLocked" as CFString, kCFAllocatorDefault, 0)
        return (value?.takeRetainedValue() as? Bool) == true
    }

    private func platformUUID() -> String? {
        let expert = IOServiceGetMatchingService(0, IOServiceMatching("IOPlatformExpertDevice"))
        guard expert != 0 else { return nil }
        defer { IOObjectRelease(expert) }
        let value = IORegistryEntryCreateCFProperty(expert, "IOPlatformUUID" as CFString, kCFAllocatorDefault, 0)
        return value?.takeRetainedValue() as? String
    }
#endif

/// Milliseconds that a completion of the framework may take. The stand-in's switch `patience:MS` shortens it, so that a
/// test of a completion that never comes need not sit through it.
func patience(_ ms: Double) -> Double {
    #if os(Linux)
        return min(ms, standInSwitch("patience").flatMap { Double($0) } ?? ms)
    #else
        return ms
    #endif
}

// MARK: - Host resources

extension HostFacts {
    static func current() -> HostFacts {
        // Two even on a host of one: the contract's default must boot everywhere.
        HostFacts(maxCpus: max(2, ProcessInfo.processInfo.activeProcessorCount), availableMemoryMib: memoryMib())
    }
}

/// MiB that a new VM may take.
private func memoryMib() -> Int {
    #if os(Linux)
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        let kib = line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0
        return kib / 1024
    #else
        // macOS compresses and swaps before it refuses: what is built in is the bound.
        return Int(ProcessInfo.processInfo.physicalMemory / 1_048_576)
    #endif
}

/// Free MiB where this directory is, or nil.
func freeMib(at path: String) -> Int? {
    var facts = statvfs()
    guard statvfs(path, &facts) == 0 else { return nil }
    return Int(UInt64(facts.f_bavail) * UInt64(facts.f_frsize) / 1_048_576)
}

// MARK: - Processes

/// Start of a process, in whatever unit the system has; nil when it is gone.
///
/// Numbers of processes come back, a number with its start does not.
func startOfProcess(_ pid: Int32) -> String? {
    #if os(Linux)
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = text.range(of: ")", options: .backwards)?.upperBound
        else { return nil }
        // The name in parentheses may hold anything; fields are counted from behind it.
        let fields = text[end...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z" else { return nil }
        return String(fields[19])
    #else
        var info = kinfo_proc()
        var size = MemoryLayout<kinfo_proc>.stride
        var name = [CTL_KERN, KERN_PROC, KERN_PROC_PID, pid]
        guard sysctl(&name, UInt32(name.count), &info, &size, nil, 0) == 0, size > 0, info.kp_proc.p_stat != SZOMB else { return nil }
        let start = info.kp_proc.p_starttime
        return "\(start.tv_sec).\(start.tv_usec)"
    #endif
}

/// A process in which the hypervisor runs a VM of ours.
struct VMProcess: Equatable {
    let pid: Int32
    let start: String
}

/// Every such process there is now. The framework does not say which belongs to which VM; whoever asks before and
/// after a start learns it.
func vmProcesses() -> [VMProcess] {
    #if os(Linux)
        let pids = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
        let found = pids.filter { processName($0).hasPrefix("qemu-system") && isDescendant($0) }
    #else
        var pids = [Int32](repeating: 0, count: 8192)
        let bytes = proc_listpids(UInt32(PROC_UID_ONLY), getuid(), &pids, Int32(pids.count * MemoryLayout<Int32>.stride))
        let found = pids.prefix(max(0, Int(bytes)) / MemoryLayout<Int32>.stride)
            .filter { $0 > 0 && processName($0).hasPrefix("com.apple.Virtualization.VirtualMachine") }
    #endif
    return found.compactMap { pid in startOfProcess(pid).map { VMProcess(pid: pid, start: $0) } }
}

/// Resident bytes, or nil when it is gone.
func residentBytes(of process: VMProcess) -> Int? {
    guard startOfProcess(process.pid) == process.start else { return nil }
    #if os(Linux)
        guard let text = try? String(contentsOfFile: "/proc/\(process.pid)/statm", encoding: .utf8) else { return nil }
        return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * Int(getpagesize()) }
    #else
        var info = proc_taskinfo()
        let size = Int32(MemoryLayout<proc_taskinfo>.size)
        return proc_pidinfo(process.pid, PROC_PIDTASKINFO, 0, &info, size) == size ? Int(info.pti_resident_size) : nil
    #endif
}

private func processName(_ pid: Int32) -> String {
    #if os(Linux)
        return (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) ?? ""
    #else
        var name = [UInt8](repeating: 0, count: 4096)
        let length = proc_pidpath(pid, &name, UInt32(name.count))
        return String(decoding: name.prefix(max(0, Int(length))), as: UTF8.self).split(separator: "/").last.map(String.init) ?? ""
    #endif
}

#if os(Linux)
    /// The stand-in starts its VMs through a launcher: they are grandchildren.
    private func isDescendant(_ pid: Int32) -> Bool {
        var next = pid
        for _ in 0..<4 {
            guard let text = try? String(contentsOfFile: "/proc/\(next)/stat", encoding: .utf8),
                let end = text.range(of: ")", options: .backwards)?.upperBound
            else { return false }
            let parent = text[end...].split(separator: " ").dropFirst().first.flatMap { Int32($0) } ?? 0
            if parent == getpid() { return true }
            next = parent
        }
        return false
    }
#endif

// MARK: - Files

/// Makes `target`, which must not exist, a private copy of `source`: a clone where the disk can, else byte by byte.
/// True when it is a clone.
@discardableResult
func clonePrivately(_ source: String, to target: String, isCancelled: () -> Bool = { false }) throws -> Bool {
    #if !os(Linux)
        if clonefile(source, target, UInt32(CLONE_NOFOLLOW | CLONE_NOOWNERCOPY)) == 0 {
            guard chmod(target, 0o600) == 0 else { throw SystemError("chmod \(target)") }
            return true
        }
        guard [ENOTSUP, EOPNOTSUPP, EXDEV].contains(errno) else { throw SystemError("clonefile \(target)") }
    #endif
    try copySparsely(source, to: target, isCancelled: isCancelled)
    return false
}

// MARK: - Sockets and threads

func unixSocketAddress(_ path: String) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    #if !os(Linux)
        address.sun_len = UInt8(MemoryLayout<sockaddr_un>.size)
    #endif
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix($0.count - 1)) }
    return address
}

/// `SOCK_STREAM`, which Linux imports as a type of its own.
#if os(Linux)
    let streamSocket = Int32(SOCK_STREAM.rawValue)
#else
    let streamSocket = SOCK_STREAM
#endif

func newUnixSocket() throws -> Int32 {
    let fd = socket(AF_UNIX, streamSocket, 0)
    guard fd >= 0 else { throw SystemError("socket") }
    _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
    return fd
}

/// For code on threads of our own: on macOS, what the frameworks hand out is given back at its end.
func withMemoryPool(_ body: () -> Void) {
    #if os(Linux)
        body()
    #else
        autoreleasepool(invoking: body)
    #endif
}

/// No core dumps: they would hold the guest's memory and the epoch's token.
func forbidCoreDumps() {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    #if os(Linux)
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &none)
    #else
        setrlimit(RLIMIT_CORE, &none)
    #endif
}

// MARK: - Sleep

/// Tells of the host's sleep and wake. Off macOS nobody says so: with the stand-in's switch `host-sleep`, SIGUSR1 and
/// SIGUSR2 do.
final class HostSleep {
    private let willSleep: () -> Void
    private let didWake: () -> Void
    private let queue = DispatchQueue(label: "bsm.sleep")
    #if os(Linux)
        private var sources: [DispatchSourceSignal] = []
    #else
        private var port: IONotificationPortRef?
        private var notifier: io_object_t = 0
        private var root: io_connect_t = 0
    #endif

    init(willSleep: @escaping () -> Void, didWake: @escaping () -> Void) {
        self.willSleep = willSleep
        self.didWake = didWake
        #if os(Linux)
            guard standInSwitch("host-sleep") != nil else { return }
            for (number, said) in [(SIGUSR1, willSleep), (SIGUSR2, didWake)] {
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
                source.setEventHandler(handler: said)
                source.resume()
                sources.append(source)
            }
        #else
            let context = Unmanaged.passUnretained(self).toOpaque()
            root = IORegisterForSystemPower(
                context, &port,
                { context, _, message, argument in
                    guard let context = context else { return }
                    Unmanaged<HostSleep>.fromOpaque(context).takeUnretainedValue().took(message, argument)
                }, &notifier)
            if let port = port { IONotificationPortSetDispatchQueue(port, queue) }
        #endif
    }

    #if !os(Linux)
        // The values of kIOMessageCanSystemSleep and its kin, which are macros that Swift does not import.
        private func took(_ message: UInt32, _ argument: UnsafeMutableRawPointer?) {
            switch message {
            case 0xe000_0270: IOAllowPowerChange(root, Int(bitPattern: argument))
            case 0xe000_0280:
                willSleep()
                IOAllowPowerChange(root, Int(bitPattern: argument))
            case 0xe000_0300: didWake()
            default: break
            }
        }

        deinit {
            IODeregisterForSystemPower(&notifier)
            if let port = port { IONotificationPortDestroy(port) }
            IOServiceClose(root)
        }
    #endif
}
