package spawn

// System calls that Go's syscall package does not number (asm-generic/unistd.h).
const (
	sysSeccomp  = 277
	sysExecveat = 281
	sysMemfd    = 279

	auditArch = 0xc00000b7 // AUDIT_ARCH_AARCH64
	x32Bit    = 0          // no second numbering under the same arch
)
