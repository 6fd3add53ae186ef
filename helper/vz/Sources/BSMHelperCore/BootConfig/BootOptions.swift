/// What `boot` was asked for, as the command line gave it (§1).
struct BootOptions {
    var kernel: String?
    var rootfs: String?
    var initrd: String?
    var cmdline = "console=hvc0 root=/dev/vda rw"
    var cpus = "2"
    var memoryMib = "1024"
    var savedState: String?
}
