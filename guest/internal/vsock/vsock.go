//go:build linux

// Package vsock speaks AF_VSOCK through raw system calls: Go 1.19's syscall
// package knows no such address, and the guest has no other dependency.
package vsock

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	family = 40 // AF_VSOCK, linux/socket.h
	// CIDAny binds to every context id, CIDLocal is this machine, CIDHost the
	// hypervisor (linux/vm_sockets.h).
	CIDAny   = 0xffffffff
	CIDLocal = 1
	CIDHost  = 2
	// PrivilegedPort is the first source port that needs no CAP_NET_BIND_SERVICE.
	PrivilegedPort = 1024

	ioctlLocalCID = 0x7b9 // IOCTL_VM_SOCKETS_GET_LOCAL_CID
)

// sockaddr is struct sockaddr_vm, 16 bytes.
type sockaddr struct {
	family   uint16
	reserved uint16
	port     uint32
	cid      uint32
	flags    uint8
	zero     [3]uint8
}

// Peer is where a connection comes from.
type Peer struct {
	CID, Port uint32
}

// Listener accepts connections on one port.
type Listener struct {
	file *os.File
	raw  syscall.RawConn
}

func socket() (int, error) {
	return syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
}

func call(trap, a, b, c uintptr) error {
	for {
		_, _, errno := syscall.Syscall(trap, a, b, c)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return errno
		}
	}
}

func bind(fd int, cid, port uint32) error {
	sa := sockaddr{family: family, port: port, cid: cid}
	return call(syscall.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
}

// Listen binds port on every CID.
func Listen(port uint32) (*Listener, error) {
	fd, err := socket()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := bind(fd, CIDAny, port); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	if err := syscall.Listen(fd, 16); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("listen", err)
	}
	file := os.NewFile(uintptr(fd), "vsock:"+strconv.Itoa(int(port)))
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &Listener{file, raw}, nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (*os.File, Peer, error) {
	var sa sockaddr
	var fd uintptr
	var errno syscall.Errno
	err := l.raw.Read(func(listener uintptr) bool {
		for {
			size := uint32(unsafe.Sizeof(sa))
			fd, _, errno = syscall.Syscall6(syscall.SYS_ACCEPT4, listener, uintptr(unsafe.Pointer(&sa)),
				uintptr(unsafe.Pointer(&size)), syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0, 0)
			if errno != syscall.EINTR && errno != syscall.ECONNABORTED {
				return errno != syscall.EAGAIN
			}
		}
	})
	if err != nil {
		return nil, Peer{}, err
	}
	if errno != 0 {
		return nil, Peer{}, os.NewSyscallError("accept", errno)
	}
	return os.NewFile(fd, "vsock"), Peer{CID: sa.cid, Port: sa.port}, nil
}

// sourcePorts is how many ports below PrivilegedPort are dialled from in turn.
const sourcePorts = 900

// dials makes each dial use another source port than those just before. The
// late RST of a closed connection is addressed by ports alone: it would end the
// next connection between the same two ports (seen once in about 8 restores).
var dials uint32

// DialLocal connects to a port of this machine from a source port below 1024.
// Among connections to one's own machine this is immediate: no deadline.
func DialLocal(port uint32) (*os.File, error) {
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = syscall.EADDRINUSE
	for try := uint32(0); try < sourcePorts && err == syscall.EADDRINUSE; try++ {
		err = bind(fd, CIDAny, PrivilegedPort-1-atomic.AddUint32(&dials, 1)%sourcePorts)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	sa := sockaddr{family: family, port: port, cid: CIDLocal}
	if err := call(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa)); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// LocalCID is this guest's context id as its virtio socket device gives it;
// false where there is no such device.
func LocalCID(device string) (uint32, bool) {
	fd, err := syscall.Open(device, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer syscall.Close(fd)
	var cid uint32
	if err := call(syscall.SYS_IOCTL, uintptr(fd), ioctlLocalCID, uintptr(unsafe.Pointer(&cid))); err != nil {
		return 0, false
	}
	return cid, cid > CIDHost && cid != CIDAny
}
