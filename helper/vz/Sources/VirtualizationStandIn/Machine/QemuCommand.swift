import Foundation

/// QEMU's command line and the descriptors that it inherits. A restored machine gets the same devices in the same order
/// as the saved one: device state fits no other.
struct QemuCommand {
  private(set) var arguments: [String]
  private(set) var handed: [Descriptor] = []

  /// Where a machine has its parts.
  struct Parts {
    let memory: Descriptor
    let kernel: Descriptor
    let initrd: Descriptor?
    let qmp: Descriptor
    let console: Descriptor?
    let ports: [UInt32: Descriptor]
    /// Where device state is saved to.
    let deviceState: Descriptor
    /// Device state to begin with instead of the kernel.
    let incoming: Descriptor?
  }

  /// The guest ports that the image's bridge carries.
  static let ports: [UInt32] = [1024, 1025, 1026, 1027]

  private(set) var deviceStateNumber = -1
  private(set) var incomingNumber = -1

  init(_ spec: MachineSpec, _ parts: Parts) {
    arguments = [getenv("BSM_QEMU").map { String(cString: $0) } ?? "/usr/bin/qemu-system-aarch64"]
    let megabytes = "\(spec.memoryBytes / mebibyte)M"
    let memory = hand(parts.memory)
    add("-M", "virt-7.2,gic-version=3,suppress-vmdesc=on,memory-backend=ram")
    add("-cpu", "cortex-a57")
    add("-accel", "tcg,thread=multi")
    add("-smp", "\(spec.cpus)")
    add("-m", megabytes)
    add("-object", "memory-backend-file,id=ram,size=\(megabytes),mem-path=/proc/self/fd/\(memory),share=on")
    add("-kernel", "/proc/self/fd/\(hand(parts.kernel))")
    if let initrd = parts.initrd { add("-initrd", "/proc/self/fd/\(hand(initrd))") }
    add("-append", spec.commandLine)
    add("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none")
    add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
    add("-chardev", "socket,id=qmp,fd=\(hand(parts.qmp))", "-mon", "chardev=qmp,mode=control")
    if let console = parts.console {
      add("-device", "virtio-serial-pci", "-chardev", "socket,id=con,fd=\(hand(console))")
      add("-device", "virtconsole,chardev=con")
    }
    if !parts.ports.isEmpty { add("-device", "virtio-serial-pci,id=ports") }
    for (number, port) in parts.ports.sorted(by: { $0.key < $1.key }) {
      add("-chardev", "socket,id=p\(number),fd=\(hand(port))")
      add("-device", "virtserialport,bus=ports.0,chardev=p\(number),id=port\(number),name=bsm.\(number)")
    }
    for (index, disk) in spec.disks.enumerated() { attach(disk, index) }
    if spec.hasEntropy { add("-device", "virtio-rng-pci") }
    add("-global", "migration.send-configuration=off")
    add("-S")
    deviceStateNumber = hand(parts.deviceState)
    if let incoming = parts.incoming {
      incomingNumber = hand(incoming)
      add("-incoming", "defer")
    }
  }

  /// By descriptor, not by path: the disk is the file that the attachment opened.
  private mutating func attach(_ disk: VZDiskImageStorageDeviceAttachment, _ index: Int) {
    let cache = disk.synchronizationMode == .none ? "unsafe" : "writeback"
    let access = disk.isReadOnly ? "on" : "off"
    add("-add-fd", "fd=\(hand(disk.file)),set=\(index + 1)")
    add(
      "-drive",
      "file=/dev/fdset/\(index + 1),format=raw,if=none,id=disk\(index),readonly=\(access),cache=\(cache),file.locking=off")
    add("-device", "virtio-blk-pci,drive=disk\(index)")
  }

  private mutating func add(_ words: String...) { arguments += words }

  /// The number under which QEMU finds it.
  private mutating func hand(_ descriptor: Descriptor) -> Int {
    handed.append(descriptor)
    return 2 + handed.count
  }
}
