// swift-tools-version:5.9
import PackageDescription

// On macOS, Virtualization and CryptoKit come with the system. On Linux, where nothing of the kind exists, a target
// of the same module name stands in for the first (a real VM under QEMU behind it) and libcrypto for the second.
#if os(Linux)
  let platform: [Target] = [
    .target(name: "CStandIn"),
    .target(name: "Virtualization", dependencies: ["CStandIn"], path: "Sources/VirtualizationStandIn"),
    .systemLibrary(name: "CLibCrypto"),
    .executableTarget(
      name: "stand-in-trap", dependencies: ["Virtualization"], path: "Tests/StandInTrap"),
    .testTarget(
      name: "VirtualizationStandInTests", dependencies: ["Virtualization", "stand-in-trap"]),
  ]
  let platformModules: [Target.Dependency] = ["Virtualization", "CLibCrypto"]
  let standInOnly: [String] = []
#else
  let platform: [Target] = []
  let platformModules: [Target.Dependency] = []
  // They ask the stand-in for the faults of a Mac.
  let standInOnly = ["FaultTests.swift"]
#endif

let package = Package(
  name: "bsm-vz-helper",
  platforms: [.macOS(.v11)],
  products: [.executable(name: "bsm-vz-helper", targets: ["bsm-vz-helper"])],
  targets: [
    .target(name: "BSMHelperCore", dependencies: platformModules),
    .executableTarget(name: "bsm-vz-helper", dependencies: ["BSMHelperCore"]),
    .testTarget(name: "BSMHelperCoreTests", dependencies: ["BSMHelperCore"], exclude: standInOnly),
  ] + platform
)
