//go:build linux

package spawn

import (
	"syscall"
	"unsafe"
)

// cloneArgs is struct clone_args (linux/sched.h), 88 bytes since Linux 5.7.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls,
	setTID, setTIDSize, cgroup uint64
}

const (
	cloneVM         = 0x100
	cloneVfork      = 0x4000
	cloneIntoCgroup = 0x200000000

	atFDCWD           = -100
	atEmptyPath       = 0x1000
	closeRangeCloexec = 4
	sysCloseRange     = 436
	capVersion3       = 0x20080522
	seccompSetFilter  = 1
)

// Stages a child may fail at, for the sentence in the result.
const (
	stageNone = iota
	stageSession
	stageStdio
	stageLimits
	stageDirectory
	stageIdentity
	stageCapabilities
	stageSeccomp
	stageExec
)

type capHeader struct {
	version uint32
	pid     int32
}

type capData struct{ effective, permitted, inheritable uint32 }

type sockFprog struct {
	length uint16
	filter *sockFilter
}

// child is everything the new process touches between clone and exec. It is
// made before the clone: the child shares our memory and may neither allocate
// nor call anything but raw system calls. Its failure comes back through here.
type child struct {
	clone cloneArgs

	stdin, stdout, stderr uintptr
	directory             *byte
	identity              uintptr // uid and gid
	confined              bool
	filter                sockFprog

	core, files syscall.Rlimit
	capHeader   capHeader
	capData     [2]capData

	executable uintptr // directory descriptor or, with an empty path, the file itself
	path       *byte
	execFlags  uintptr
	argv, envv **byte

	stage uintptr
	errno syscall.Errno
}

//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()

//go:linkname runtimeAfterForkInChild syscall.runtime_AfterForkInChild
func runtimeAfterForkInChild()

func vforkClone3(args unsafe.Pointer, size uintptr) (pid, errno uintptr)

// fork starts the child and returns when it has executed its program or failed.
// It may only be called from the spawner's thread.
//
//go:norace
func (c *child) fork() (int, syscall.Errno) {
	pid, errno := c.forkAndExec()
	runtimeAfterFork()
	return int(pid), syscall.Errno(errno)
}

// forkAndExec is kept apart from fork, as in Go's syscall.forkAndExecInChild1:
// the child works in this frame and never leaves it, the parent leaves it at
// once.
//
//go:noinline
//go:norace
func (c *child) forkAndExec() (pid, errno uintptr) {
	var err syscall.Errno

	runtimeBeforeFork()
	pid, errno = vforkClone3(unsafe.Pointer(&c.clone), unsafe.Sizeof(c.clone))
	if errno != 0 || pid != 0 {
		return pid, errno
	}

	// In the child. No allocation, no call but raw system calls.
	runtimeAfterForkInChild()

	c.stage = stageSession
	if _, _, err = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0); err != 0 {
		goto failed
	}

	c.stage = stageStdio
	if _, _, err = syscall.RawSyscall(syscall.SYS_DUP3, c.stdin, 0, 0); err != 0 {
		goto failed
	}
	if _, _, err = syscall.RawSyscall(syscall.SYS_DUP3, c.stdout, 1, 0); err != 0 {
		goto failed
	}
	if _, _, err = syscall.RawSyscall(syscall.SYS_DUP3, c.stderr, 2, 0); err != 0 {
		goto failed
	}
	if _, _, err = syscall.RawSyscall(sysCloseRange, 3, ^uintptr(0)&0xffffffff, closeRangeCloexec); err != 0 {
		goto failed
	}

	c.stage = stageLimits
	if _, _, err = syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, syscall.RLIMIT_CORE, uintptr(unsafe.Pointer(&c.core)), 0, 0, 0); err != 0 {
		goto failed
	}
	if _, _, err = syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&c.files)), 0, 0, 0); err != 0 {
		goto failed
	}

	if c.confined {
		c.stage = stageIdentity
		if _, _, err = syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0); err != 0 {
			goto failed
		}
		if _, _, err = syscall.RawSyscall(syscall.SYS_SETRESGID, c.identity, c.identity, c.identity); err != 0 {
			goto failed
		}
		if _, _, err = syscall.RawSyscall(syscall.SYS_SETRESUID, c.identity, c.identity, c.identity); err != 0 {
			goto failed
		}
		c.stage = stageCapabilities
		if _, _, err = syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&c.capHeader)), uintptr(unsafe.Pointer(&c.capData[0])), 0); err != 0 {
			goto failed
		}
	}

	// After the change of identity: the tool must be able to enter it itself.
	c.stage = stageDirectory
	if _, _, err = syscall.RawSyscall(syscall.SYS_CHDIR, uintptr(unsafe.Pointer(c.directory)), 0, 0); err != 0 {
		goto failed
	}

	if c.confined {
		c.stage = stageSeccomp
		if _, _, err = syscall.RawSyscall(sysSeccomp, seccompSetFilter, 0, uintptr(unsafe.Pointer(&c.filter))); err != 0 {
			goto failed
		}
	}

	c.stage = stageExec
	_, _, err = syscall.RawSyscall6(sysExecveat, c.executable, uintptr(unsafe.Pointer(c.path)),
		uintptr(unsafe.Pointer(c.argv)), uintptr(unsafe.Pointer(c.envv)), c.execFlags, 0)

failed:
	c.errno = err
	for {
		syscall.RawSyscall(syscall.SYS_EXIT, 126, 0, 0)
	}
}
