// The intruder is sent into the guest and run by a tool: it tries what a tool must not be able to do
// and prints, as one JSON object, what came of each attempt: "allowed", or the error.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"
)

// Numbers of ARM64 Linux (asm-generic/unistd.h).
const (
	sysPivotRoot       = 41
	sysMount           = 40
	sysChroot          = 51
	sysUnshare         = 97
	sysKexecLoad       = 104
	sysInitModule      = 105
	sysClockSettime    = 112
	sysPtrace          = 117
	sysReboot          = 142
	sysSetuid          = 146
	sysSethostname     = 161
	sysSettimeofday    = 170
	sysSocket          = 198
	sysAddKey          = 217
	sysRequestKey      = 218
	sysKeyctl          = 219
	sysClone           = 220
	sysSwapon          = 224
	sysPerfEventOpen   = 241
	sysOpenByHandle    = 265
	sysSetns           = 268
	sysProcessVMReadv  = 270
	sysProcessVMWritev = 271
	sysFinitModule     = 273
	sysBpf             = 280
	sysUserfaultfd     = 282
	sysKexecFileLoad   = 294
	sysIoUringSetup    = 425
	sysOpenTree        = 428
	sysFsopen          = 430
	sysClone3          = 435
	sysPidfdGetfd      = 438

	cloneNewUser = 0x10000000
	cloneNewNS   = 0x00020000
	cloneNewPid  = 0x20000000
	cloneNewNet  = 0x40000000

	afUnix   = 1
	afInet   = 2
	afInet6  = 10
	afPacket = 17
	afPPPoX  = 24
	afTIPC   = 30
	afAlg    = 38
	afVsock  = 40
	afXDP    = 44

	stream, datagram, raw = 1, 2, 3
	ptraceSeize           = 0x4206 // which, unlike attaching, stops nobody
	icmp                  = 1
)

func call(number uintptr, args ...uintptr) error {
	var all [6]uintptr
	copy(all[:], args)
	result, _, errno := syscall.Syscall6(number, all[0], all[1], all[2], all[3], all[4], all[5])
	if errno != 0 {
		return errno
	}
	if number == sysClone || number == sysClone3 {
		if result == 0 {
			syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
		}
	}
	return nil
}

func at(bytes []byte) uintptr { return uintptr(unsafe.Pointer(&bytes[0])) }

func text(s string) uintptr { return at(append([]byte(s), 0)) }

func open(path string, flags int) error {
	fd, err := syscall.Open(path, flags|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err == nil {
		// A file that opens and cannot be read gives nothing away.
		_, err = syscall.Read(fd, make([]byte, 16))
	}
	return err
}

func socket(family, kind, protocol int) func() error {
	return func() error { return call(sysSocket, uintptr(family), uintptr(kind), uintptr(protocol)) }
}

// sending opens a socket and sends a few bytes to an address.
func sending(family, kind, protocol int, to syscall.Sockaddr) func() error {
	return func() error {
		fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, protocol)
		if err != nil {
			return err
		}
		// Most are asked for nothing but to be let through: whether someone answers is another matter.
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1)
		if kind == stream {
			if err := syscall.Connect(fd, to); err != syscall.EINPROGRESS {
				return err
			}
			return nil // on its way
		}
		return syscall.Sendto(fd, []byte("\x08\x00\xf7\xff\x00\x00\x00\x00"), 0, to)
	}
}

func inet(port int, a, b, c, d byte) syscall.Sockaddr {
	return &syscall.SockaddrInet4{Port: port, Addr: [4]byte{a, b, c, d}}
}

func unshare(flags uintptr) func() error { return func() error { return call(sysUnshare, flags) } }

func anyOf(pattern string, try func(path string) error) func() error {
	return func() error {
		paths, _ := filepath.Glob(pattern)
		if len(paths) == 0 {
			return syscall.ENOENT
		}
		said := error(syscall.ENODEV)
		for _, path := range paths {
			err := try(path)
			if err == nil {
				return nil
			}
			// A name without a device says nothing of those that have one.
			if !errors.Is(err, syscall.ENODEV) && !errors.Is(err, syscall.ENXIO) {
				said = err
			}
		}
		return said
	}
}

func reading(pattern string) func() error {
	return anyOf(pattern, func(path string) error { return open(path, syscall.O_RDONLY) })
}

func writing(pattern string) func() error {
	return anyOf(pattern, func(path string) error {
		fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			syscall.Close(fd)
		}
		return err
	})
}

// creating leaves a file in a folder.
func creating(path string) func() error {
	return func() error {
		fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
		if err == nil {
			syscall.Close(fd)
		}
		return err
	}
}

// onOthers tries the bridge where it can be seen; else every number whose process cannot, and the bridge has one.
func onOthers(try func(pid int) error) func() error {
	return func() error {
		names, _ := filepath.Glob("/proc/[0-9]*/comm")
		for _, path := range names {
			if name, _ := os.ReadFile(path); string(name) == "bsm-bridge\n" {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				return try(pid)
			}
		}
		said := error(syscall.ESRCH)
		for pid := 2; pid < os.Getpid(); pid++ { // they were there before us
			if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
				continue // our own
			}
			if err := try(pid); err == nil {
				return nil
			} else if err != syscall.ESRCH {
				said = err
			}
		}
		return said
	}
}

var attempts = map[string]func() error{
	// What must work, or every refusal above would prove nothing.
	"control-open-own":    reading("/proc/self/status"),
	"control-socket-unix": socket(afUnix, stream, 0),
	"control-loopback":    sending(afInet, datagram, 0, inet(9, 127, 0, 0, 1)),

	"tcp-gateway":     sending(afInet, stream, 0, inet(80, 10, 0, 2, 2)),
	"tcp-metadata":    sending(afInet, stream, 0, inet(80, 169, 254, 169, 254)),
	"tcp-internet":    sending(afInet, stream, 0, inet(443, 1, 1, 1, 1)),
	"udp-dns":         sending(afInet, datagram, 0, inet(53, 8, 8, 8, 8)),
	"udp-dns-gateway": sending(afInet, datagram, 0, inet(53, 10, 0, 2, 3)),
	"udp-broadcast":   sending(afInet, datagram, 0, inet(67, 255, 255, 255, 255)),
	"udp-multicast":   sending(afInet, datagram, 0, inet(5353, 224, 0, 0, 251)),
	"icmp-echo":       sending(afInet, datagram, icmp, inet(0, 8, 8, 8, 8)),
	"ipv6-tcp": sending(afInet6, stream, 0, &syscall.SockaddrInet6{
		Port: 443, Addr: [16]byte{0x26, 0x06, 0x47, 0x00, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11},
	}),
	"ipv6-multicast": sending(afInet6, datagram, 0, &syscall.SockaddrInet6{
		Port: 5353, Addr: [16]byte{0xff, 0x02, 15: 0xfb},
	}),
	"socket-raw":   socket(afInet, raw, icmp),
	"socket-xdp":   socket(afXDP, raw, 0),
	"socket-pppox": socket(afPPPoX, stream, 0),
	"socket-tipc":  socket(afTIPC, stream, 0),
	"socket-alg":   socket(afAlg, 5, 0),

	"socket-vsock-stream":  socket(afVsock, stream, 0),
	"socket-vsock-dgram":   socket(afVsock, datagram, 0),
	"socket-vsock-cloexec": socket(afVsock, 1|0o2000000, 0),
	"socket-vsock-high":    func() error { return call(sysSocket, 0xdead_0000_0000_0000>>1<<1|afVsock, 1, 0) },
	"socket-packet":        socket(afPacket, raw, 0),
	"unshare-user":         unshare(cloneNewUser),
	"unshare-mount":        unshare(cloneNewNS),
	"unshare-pid":          unshare(cloneNewPid),
	"unshare-net":          unshare(cloneNewNet),
	"clone-user":           func() error { return call(sysClone, cloneNewUser|17) },
	"clone3-user": func() error {
		args := make([]byte, 88)
		*(*uint64)(unsafe.Pointer(&args[0])) = cloneNewUser
		*(*uint64)(unsafe.Pointer(&args[32])) = 17
		return call(sysClone3, at(args), 88)
	},
	"setns":            func() error { return call(sysSetns, 0, 0) },
	"ptrace-init":      func() error { return call(sysPtrace, ptraceSeize, 1, 0, 0) },
	"ptrace-traceme":   func() error { return call(sysPtrace, 0) },
	"vm-readv":         func() error { return call(sysProcessVMReadv, 1) },
	"vm-writev":        func() error { return call(sysProcessVMWritev, 1) },
	"pidfd-getfd":      func() error { return call(sysPidfdGetfd, 3, 0, 0) },
	"io-uring":         func() error { return call(sysIoUringSetup, 1, at(make([]byte, 120))) },
	"bpf":              func() error { return call(sysBpf, 0, at(make([]byte, 72)), 72) },
	"perf":             func() error { return call(sysPerfEventOpen, at(make([]byte, 112)), 0, ^uintptr(0), ^uintptr(0), 0) },
	"userfaultfd":      func() error { return call(sysUserfaultfd, 0) },
	"keyctl":           func() error { return call(sysKeyctl, 0, ^uintptr(3)+1, 0) },
	"add-key":          func() error { return call(sysAddKey, text("user"), text("a"), text("b"), 1, ^uintptr(3)+1) },
	"request-key":      func() error { return call(sysRequestKey, text("user"), text("a"), 0, 0) },
	"mount-tmpfs":      func() error { return call(sysMount, text("t"), text("/tmp"), text("tmpfs"), 0, 0) },
	"mount-remount":    func() error { return call(sysMount, 0, text("/"), 0, 0x20, 0) },
	"fsopen":           func() error { return call(sysFsopen, text("tmpfs"), 0) },
	"open-tree":        func() error { return call(sysOpenTree, 0, text("/"), 1) },
	"pivot-root":       func() error { return call(sysPivotRoot, text("/tmp"), text("/tmp")) },
	"chroot":           func() error { return call(sysChroot, text("/tmp")) },
	"open-by-handle":   func() error { return call(sysOpenByHandle, 3, at(make([]byte, 16)), 0) },
	"init-module":      func() error { return call(sysInitModule, at(make([]byte, 8)), 8, text("")) },
	"finit-module":     func() error { return call(sysFinitModule, 0, text(""), 0) },
	"kexec":            func() error { return call(sysKexecLoad, 0, 0, 0, 0) },
	"kexec-file":       func() error { return call(sysKexecFileLoad, 0, 0, 0, 0, 0) },
	"reboot":           func() error { return call(sysReboot, 0xfee1dead, 672274793, 0x89abcdef, 0) },
	"swapon":           func() error { return call(sysSwapon, text("/tmp/none"), 0) },
	"settimeofday":     func() error { return call(sysSettimeofday, at(make([]byte, 16)), 0) },
	"clock-settime":    func() error { return call(sysClockSettime, 0, at(make([]byte, 16))) },
	"sethostname":      func() error { return call(sysSethostname, text("x"), 1) },
	"setuid-root":      func() error { return call(sysSetuid, 0) },
	"mknod-vda":        func() error { return syscall.Mknod("/tmp/probe-vda", syscall.S_IFBLK|0o600, 254<<8) },
	"mknod-mem":        func() error { return syscall.Mknod("/tmp/probe-mem", syscall.S_IFCHR|0o600, 1<<8|1) },
	"kill-init":        func() error { return syscall.Kill(1, syscall.SIGURG) }, // does no harm where it is let through
	"kill-others":      onOthers(func(pid int) error { return syscall.Kill(pid, syscall.SIGURG) }),
	"ptrace-others":    onOthers(func(pid int) error { return call(sysPtrace, ptraceSeize, uintptr(pid), 0, 0) }),
	"read-vport":       reading("/dev/vport*"),
	"write-vport":      writing("/dev/vport*"),
	"read-virtio-port": reading("/dev/virtio-ports/*"),
	"read-hvc":         reading("/dev/hvc*"),
	"write-hvc":        writing("/dev/hvc*"),
	"read-vsock-dev":   reading("/dev/vsock"),
	"read-vda":         reading("/dev/vda"),
	"write-vda":        writing("/dev/vda"),
	"read-mem":         reading("/dev/mem"),
	"read-kmsg":        reading("/dev/kmsg"),
	"read-kcore":       reading("/proc/kcore"),
	"read-hwrng":       reading("/dev/hwrng"),
	"read-init-env":    reading("/proc/1/environ"),
	"read-init-mem":    func() error { return open("/proc/1/mem", syscall.O_RDWR) },
	"read-init-maps":   reading("/proc/1/maps"),
	"list-init-fds":    reading("/proc/1/fd/*"),
	"write-sysrq":      writing("/proc/sysrq-trigger"),
	"write-sysctl":     writing("/proc/sys/kernel/core_pattern"),
	"write-cgroup":     writing("/sys/fs/cgroup/cgroup.procs"),
	"write-oom":        func() error { return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0) },
	"read-init-exe":    reading("/proc/1/exe"),
	"write-run-bsm":    creating("/run/bsm/intruder"),
	"write-overlay":    creating("/run/bsm/overlay/upper/intruder"),
	"write-passwd":     writing("/etc/passwd"),
	"write-power":      writing("/sys/power/state"),
	"write-unbind":     writing("/sys/bus/virtio/drivers/*/unbind"),
	"write-pci-config": writing("/sys/bus/pci/devices/*/config"),
	"read-sections":    reading("/sys/module/*/sections/.text"),
}

func main() {
	if len(os.Args) == 2 {
		// What succeeds where it should not, is not to harm the attempts after it.
		_ = syscall.Unshare(cloneNewNS)
		if err := attempts[os.Args[1]](); err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		return
	}
	// Each in a process of its own: a filter may kill instead of refusing.
	outcomes := map[string]string{}
	for name := range attempts {
		output, err := exec.Command("/proc/self/exe", name).CombinedOutput()
		switch {
		case err == nil:
			outcomes[name] = "allowed"
		case len(output) > 0:
			outcomes[name] = string(output)
		default:
			outcomes[name] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(outcomes); err != nil {
		os.Exit(2)
	}
}
