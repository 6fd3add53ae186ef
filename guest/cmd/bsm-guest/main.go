//go:build linux

// Command bsm-guest is everything of ours in the guest: /init of the initramfs,
// then the dispatcher as PID 1, and by argv[0] the bridge and the file worker.
package main

import (
	"os"
	"syscall"
	"unsafe"

	"brainstorm-sandbox/guest/internal/worker"
)

// init comes before anything can open a file, and still runs on the first
// thread, whose name is the process's.
func init() {
	names := map[string]string{"/init": "bsm-dispatcher", "bsm-bridge": "bsm-bridge"}
	name, ok := names[os.Args[0]]
	if !ok {
		return
	}
	// The kernel starts /init without standard streams: the console's driver is
	// a module. Left free, Go's epoll would become descriptor 0, 1 or 2.
	for fd := 0; fd < 3; {
		var err error
		if fd, err = syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0); err != nil {
			break
		}
		if fd >= 3 {
			syscall.Close(fd)
		}
	}
	const prSetName = 15
	text, _ := syscall.BytePtrFromString(name)
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetName, uintptr(unsafe.Pointer(text)), 0)
}

func main() {
	switch os.Args[0] {
	case "bsm-files":
		os.Exit(worker.Main(os.Stdin, os.Stdout, os.Stderr))
	case "bsm-bridge":
		bridgeMain()
	default:
		if os.Getpid() != 1 {
			os.Stderr.WriteString("bsm-guest is the init of a Brainstorm Sandbox guest and does nothing elsewhere.\n")
			os.Exit(2)
		}
		initMain()
	}
}
