//go:build linux

package spawn

import (
	"encoding/binary"
	"syscall"
	"testing"
)

// evaluate runs a classic BPF program over struct seccomp_data as the kernel
// would; only the operations the filter uses are known.
func evaluate(t *testing.T, program []sockFilter, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data, nr)
	binary.LittleEndian.PutUint32(data[4:], arch)
	for i, arg := range args {
		binary.LittleEndian.PutUint64(data[16+8*i:], arg)
	}
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		jump := false
		switch in.code {
		case opLoad:
			a = binary.LittleEndian.Uint32(data[in.k:])
			continue
		case opRet:
			return in.k
		case opJEQ:
			jump = a == in.k
		case opJSET:
			jump = a&in.k != 0
		case opJGE:
			jump = a >= in.k
		default:
			t.Fatalf("unknown operation 0x%x at %d", in.code, pc)
		}
		if jump {
			pc += int(in.jt)
		} else {
			pc += int(in.jf)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

func TestTheFilterDeniesTheListAndAllowsTheRest(t *testing.T) {
	program := confinementFilter()
	for _, r := range denied {
		want := retErrno | r.errno
		if r.errno == 0 {
			want = retErrno | uint32(syscall.EPERM)
		}
		if got := evaluate(t, program, auditArch, r.nr); got != want {
			t.Errorf("system call %d: 0x%x", r.nr, got)
		}
	}
	for name, nr := range map[string]uint32{
		"read": syscall.SYS_READ, "write": syscall.SYS_WRITE, "openat": syscall.SYS_OPENAT, "execve": syscall.SYS_EXECVE,
		"exit_group": syscall.SYS_EXIT_GROUP, "mmap": syscall.SYS_MMAP, "futex": syscall.SYS_FUTEX, "kill": syscall.SYS_KILL,
		"clock_gettime": syscall.SYS_CLOCK_GETTIME, "execveat": sysExecveat, "seccomp": sysSeccomp,
	} {
		if got := evaluate(t, program, auditArch, nr); got != retAllow {
			t.Errorf("%s: 0x%x", name, got)
		}
	}
}

func TestAnotherArchitectureIsKilled(t *testing.T) {
	for _, arch := range []uint32{0, 0x40000028 /* ARM */, 0x40000003 /* i386 */, auditArch ^ 1} {
		if got := evaluate(t, confinementFilter(), arch, syscall.SYS_READ); got != retKill {
			t.Errorf("0x%x: 0x%x", arch, got)
		}
	}
}

func TestWhatIsNewerThanTheListDoesNotExist(t *testing.T) {
	for _, nr := range []uint32{463, 464, 467, 500, 1 << 20} {
		if got := evaluate(t, confinementFilter(), auditArch, nr); got != retErrno|enosys {
			t.Errorf("system call %d: 0x%x", nr, got)
		}
	}
	if got := evaluate(t, confinementFilter(), auditArch, 462); got != retAllow {
		t.Errorf("mseal: 0x%x", got)
	}
}

func TestOnlyLocalAndInternetSocketsAreAllowed(t *testing.T) {
	for family := uint64(0); family < 64; family++ {
		want := uint32(retErrno | eperm)
		if family == afUnix || family == afInet || family == afInet6 {
			want = retAllow
		}
		for _, nr := range []uint32{nrSocket, nrSocketpair} {
			if got := evaluate(t, confinementFilter(), auditArch, nr, family); got != want {
				t.Errorf("call %d, family %d: 0x%x", nr, family, got)
			}
			// The kernel takes an int: what stands above 32 bits does not count.
			if got := evaluate(t, confinementFilter(), auditArch, nr, family|1<<32); got != want {
				t.Errorf("call %d, family %d with high bits: 0x%x", nr, family, got)
			}
		}
	}
}

func TestNamespacesCannotBeMade(t *testing.T) {
	for bit := 0; bit < 32; bit++ {
		flag := uint64(1) << bit
		wantClone, wantUnshare := uint32(retAllow), uint32(retAllow)
		if flag&namespaceFlags != 0 {
			wantClone, wantUnshare = retErrno|eperm, retErrno|eperm
		}
		if flag == cloneNewTime {
			wantUnshare = retErrno | eperm
		}
		if got := evaluate(t, confinementFilter(), auditArch, nrClone, flag|uint64(syscall.SIGCHLD)&^cloneNewTime); got != wantClone {
			t.Errorf("clone 0x%x: 0x%x", flag, got)
		}
		if got := evaluate(t, confinementFilter(), auditArch, nrUnshare, flag); got != wantUnshare {
			t.Errorf("unshare 0x%x: 0x%x", flag, got)
		}
	}
}

func TestATerminalCannotBeTypedInto(t *testing.T) {
	if got := evaluate(t, confinementFilter(), auditArch, nrIoctl, 0, tiocsti); got != retErrno|eperm {
		t.Errorf("TIOCSTI: 0x%x", got)
	}
	if got := evaluate(t, confinementFilter(), auditArch, nrIoctl, 0, 0x5413); got != retAllow {
		t.Errorf("TIOCGWINSZ: 0x%x", got)
	}
}
