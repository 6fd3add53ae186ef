//go:build linux

package spawn

import "syscall"

// rule refuses one system call, with EPERM unless it names another errno.
type rule struct {
	nr    uint32
	errno uint32
}

const (
	eperm  = uint32(syscall.EPERM)
	enosys = uint32(syscall.ENOSYS)

	retAllow = 0x7fff0000 // linux/seccomp.h
	retErrno = 0x00050000
	retKill  = 0x80000000 // the whole process

	// Offsets in struct seccomp_data; both machines are little-endian.
	offsetNR   = 0
	offsetArch = 4
	offsetArg0 = 16
	offsetArg1 = 24

	// CLONE_NEWTIME is not in the mask of clone: there its bit is part of the
	// exit signal. unshare has both.
	namespaceFlags = 0x7e020000
	cloneNewTime   = 0x80
	tiocsti        = 0x5412

	// firstUnknown is the first system call that this list was not written for;
	// both machines number new ones alike (Linux 6.12 ends with mseal, 462). A
	// later kernel's tools find none of its news, as on an older kernel.
	firstUnknown = 463

	afUnix  = 1
	afInet  = 2
	afInet6 = 10
)

// sockFilter is struct sock_filter.
type sockFilter struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

const (
	opLoad = 0x20 // BPF_LD|BPF_W|BPF_ABS
	opJEQ  = 0x15
	opJSET = 0x45
	opJGE  = 0x35
	opRet  = 0x06
)

// confinementFilter is the seccomp program of every tool: everything is
// allowed but a list and what is newer than the list. The tool already has no capability; the list is what an
// ordinary user could still use to reach the kernel's or the dispatcher's far
// corners (wire protocol §3: no AF_VSOCK at all).
func confinementFilter() []sockFilter {
	p := []sockFilter{
		{opLoad, 0, 0, offsetArch},
		{opJEQ, 1, 0, auditArch},
		{opRet, 0, 0, retKill},
		{opLoad, 0, 0, offsetNR},
	}
	if x32Bit != 0 {
		p = append(p, sockFilter{opJGE, 0, 1, x32Bit}, sockFilter{opRet, 0, 0, retKill})
	}
	p = append(p, sockFilter{opJGE, 0, 1, firstUnknown}, sockFilter{opRet, 0, 0, retErrno | enosys})
	for _, r := range denied {
		errno := r.errno
		if errno == 0 {
			errno = eperm
		}
		p = append(p, sockFilter{opJEQ, 0, 1, r.nr}, sockFilter{opRet, 0, 0, retErrno | errno})
	}
	for _, nr := range []uint32{nrSocket, nrSocketpair} {
		p = append(p,
			sockFilter{opJEQ, 0, 6, nr},
			sockFilter{opLoad, 0, 0, offsetArg0},
			sockFilter{opJEQ, 3, 0, afUnix},
			sockFilter{opJEQ, 2, 0, afInet},
			sockFilter{opJEQ, 1, 0, afInet6},
			sockFilter{opRet, 0, 0, retErrno | eperm},
			sockFilter{opRet, 0, 0, retAllow})
	}
	p = append(p, whenArg(nrClone, offsetArg0, opJSET, namespaceFlags)...)
	p = append(p, whenArg(nrUnshare, offsetArg0, opJSET, namespaceFlags|cloneNewTime)...)
	p = append(p, whenArg(nrIoctl, offsetArg1, opJEQ, tiocsti)...)
	return append(p, sockFilter{opRet, 0, 0, retAllow})
}

// whenArg refuses a call whose argument fits the test and allows it otherwise.
func whenArg(nr, offset uint32, test uint16, k uint32) []sockFilter {
	return []sockFilter{
		{opJEQ, 0, 4, nr},
		{opLoad, 0, 0, offset},
		{test, 0, 1, k},
		{opRet, 0, 0, retErrno | eperm},
		{opRet, 0, 0, retAllow},
	}
}
