// netns runs a program in a network namespace of its own, in which only the loopback is up: whatever the program and
// its children send over any network is counted there, in /proc/PID/net/dev, and goes nowhere.
//
//	netns PROGRAM ARG…
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage", fmt.Errorf("netns PROGRAM ARG…"))
	}
	// A namespace is a thread's until the exec, which happens on this one.
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		fail("unshare", err)
	}
	if err := loopbackUp(); err != nil {
		fail("loopback", err)
	}
	path, err := exec.LookPath(os.Args[1])
	if err != nil {
		fail("program", err)
	}
	fail("exec", syscall.Exec(path, os.Args[1:], os.Environ()))
}

func loopbackUp() error {
	const siocsifflags, up, running = 0x8914, 1, 0x40
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = up | running
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), siocsifflags, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, "netns:", what, err)
	os.Exit(1)
}
