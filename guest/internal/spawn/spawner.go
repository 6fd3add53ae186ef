//go:build linux

// Package spawn starts tools: as an unprivileged user, without capabilities,
// under a seccomp filter, born inside a cgroup of their own.
//
// A process between us and the tool (a re-executed helper that confines itself)
// would cost Go's start-up on every dispatch. Instead one thread gives up what
// threads can give up for ever, and forks all tools; the rest happens in the
// child between clone3(CLONE_INTO_CGROUP) and exec. There is no moment at which
// a tool runs outside of its limits.
//
// Tools get no namespaces of their own: they may not mount, see no process but
// theirs (hidepid) and no interface but lo, and are killed whole by their cgroup.
// An IPC namespace alone would double the cost of a start under emulation.
package spawn

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// User is the uid and gid of every tool.
const User = 1000

const (
	prCapBsetDrop   = 24
	prSetNoNewPrivs = 38
	prSetDumpable   = 4
)

// Spec says what to run. All descriptors stay the caller's.
type Spec struct {
	// Path is the program; empty means our own executable as a worker.
	Path                  string
	Argv, Env             []string
	Dir                   string
	Stdin, Stdout, Stderr int
	Group                 *Group // nil only in tests
	Unconfined            bool   // the test image's root tool
}

// Process is a started tool.
type Process struct {
	Pid  int
	Done <-chan syscall.WaitStatus
}

// Spawner owns the thread that forks.
type Spawner struct {
	requests chan request
	filter   []sockFilter
	reaper   *Reaper
	self     int
}

type request struct {
	child *child
	reply chan reply
}

type reply struct {
	process *Process
	err     error
}

// New starts the spawner's thread. self is a descriptor of our own executable.
func New(reaper *Reaper, self int) (*Spawner, error) {
	s := &Spawner{requests: make(chan request), filter: confinementFilter(), reaper: reaper, self: self}
	ready := make(chan error)
	go s.serve(ready)
	return s, <-ready
}

// serve never unlocks its thread. Go makes no new threads from a locked one
// (runtime.newm), so what is given up here stays with this thread.
func (s *Spawner) serve(ready chan<- error) {
	runtime.LockOSThread()
	if err := renounce(); err != nil {
		ready <- err
		return
	}
	ready <- nil
	for r := range s.requests {
		process, err := s.start(r.child)
		r.reply <- reply{process, err}
	}
}

// start forks from the calling thread, which has to be locked.
func (s *Spawner) start(c *child) (*Process, error) {
	process, err := s.reaper.watch(c.fork)
	if err == nil && c.errno != 0 {
		<-process.Done
		return nil, c.failure()
	}
	return process, err
}

// renounce drops the bounding set and the right to gain privileges by exec.
func renounce() error {
	for capability := uintptr(0); ; capability++ {
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prCapBsetDrop, capability, 0, 0, 0, 0); errno == syscall.EINVAL {
			break
		} else if errno != 0 {
			return os.NewSyscallError("prctl(PR_CAPBSET_DROP)", errno)
		}
	}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", errno)
	}
	return nil
}

// Start runs spec and returns once its program has been executed.
func (s *Spawner) Start(spec Spec) (*Process, error) {
	c, err := s.prepare(spec)
	if err != nil {
		return nil, err
	}
	if spec.Group != nil {
		group, err := spec.Group.open()
		if err != nil {
			return nil, err
		}
		defer syscall.Close(group)
		c.clone.flags |= cloneIntoCgroup
		c.clone.cgroup = uint64(group)
	}
	if spec.Unconfined {
		// Not from the spawner's thread, which has no capability to pass on.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return s.start(c)
	}
	reply := make(chan reply, 1)
	s.requests <- request{c, reply}
	r := <-reply
	runtime.KeepAlive(c)
	return r.process, r.err
}

func (s *Spawner) prepare(spec Spec) (*child, error) {
	argv, err := syscall.SlicePtrFromStrings(spec.Argv)
	if err != nil {
		return nil, errors.New("an argument contains a NUL byte")
	}
	envv, err := syscall.SlicePtrFromStrings(spec.Env)
	if err != nil {
		return nil, errors.New("an environment variable contains a NUL byte")
	}
	directory, err := syscall.BytePtrFromString(spec.Dir)
	if err != nil {
		return nil, errors.New("the working directory contains a NUL byte")
	}
	path, err := syscall.BytePtrFromString(spec.Path)
	if err != nil {
		return nil, errors.New("the program's path contains a NUL byte")
	}
	cwd := atFDCWD
	c := &child{
		clone:      cloneArgs{flags: cloneVM | cloneVfork, exitSignal: uint64(syscall.SIGCHLD)},
		stdin:      uintptr(spec.Stdin),
		stdout:     uintptr(spec.Stdout),
		stderr:     uintptr(spec.Stderr),
		directory:  directory,
		identity:   User,
		confined:   !spec.Unconfined,
		filter:     sockFprog{uint16(len(s.filter)), &s.filter[0]},
		core:       syscall.Rlimit{},
		files:      syscall.Rlimit{Cur: 1024, Max: 4096},
		capHeader:  capHeader{version: capVersion3},
		executable: uintptr(cwd),
		path:       path,
		argv:       &argv[0],
		envv:       &envv[0],
	}
	if spec.Path == "" {
		c.executable, c.execFlags = uintptr(s.self), atEmptyPath
	}
	return c, nil
}

// DirectoryError says that the working directory asked for cannot be entered.
type DirectoryError struct{ Cause error }

func (e *DirectoryError) Error() string {
	return "the tool could not enter its working directory: " + e.Cause.Error()
}

func (c *child) failure() error {
	if c.stage == stageDirectory {
		return &DirectoryError{c.errno}
	}
	what := map[uintptr]string{
		stageSession:      "could not begin a session",
		stageStdio:        "could not connect its standard streams",
		stageLimits:       "could not set its limits",
		stageIdentity:     "could not become the sandbox user",
		stageCapabilities: "could not drop its capabilities",
		stageSeccomp:      "could not install its seccomp filter",
		stageExec:         "could not be executed",
	}[c.stage]
	return fmt.Errorf("the tool %s: %w", what, c.errno)
}

// Memfd returns a descriptor to read data from, sealed: the tool that gets it
// as standard input cannot change it.
func Memfd(data []byte) (int, error) {
	const (
		cloexec, allowSealing     = 1, 2
		addSeals, allSeals        = 1033, 0xf // F_SEAL_SEAL|SHRINK|GROW|WRITE
		whenceStart           int = 0
	)
	name, _ := syscall.BytePtrFromString("stdin")
	r, _, errno := syscall.Syscall(sysMemfd, uintptr(unsafe.Pointer(name)), cloexec|allowSealing, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("memfd_create", errno)
	}
	fd := int(r)
	for rest := data; len(rest) > 0; {
		n, err := syscall.Write(fd, rest)
		if err != nil {
			syscall.Close(fd)
			return -1, os.NewSyscallError("write", err)
		}
		rest = rest[n:]
	}
	if _, err := syscall.Seek(fd, 0, whenceStart); err != nil {
		syscall.Close(fd)
		return -1, os.NewSyscallError("lseek", err)
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), addSeals, allSeals); errno != 0 {
		syscall.Close(fd)
		return -1, os.NewSyscallError("fcntl(F_ADD_SEALS)", errno)
	}
	return fd, nil
}
