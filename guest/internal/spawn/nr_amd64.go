package spawn

// System calls that Go's syscall package does not number
// (arch/x86/entry/syscalls/syscall_64.tbl). The guest is arm64; this table lets
// the confinement be tested on an amd64 host.
const (
	sysSeccomp  = 317
	sysExecveat = 322
	sysMemfd    = 319

	auditArch = 0xc000003e // AUDIT_ARCH_X86_64
	x32Bit    = 0x40000000
)
