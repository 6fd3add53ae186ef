// netns runs a program in a network namespace of its own, where every address is the namespace's own: whatever the
// program and its children send over any network goes over the loopback, is counted in /proc/PID/net/dev, and goes
// nowhere. What is counted before the program starts is written to a file.
//
//	netns COUNTED PROGRAM ARG…
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const counters = "/proc/thread-self/net/dev"

func main() {
	if len(os.Args) < 3 {
		fail("usage", errors.New("netns COUNTED PROGRAM ARG…"))
	}
	// A namespace is a thread's until the exec, which happens on this one.
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		fail("unshare", err)
	}
	if err := loopbackUp(); err != nil {
		fail("loopback", err)
	}
	families := []int{syscall.AF_INET}
	if hasIPv6() {
		families = append(families, syscall.AF_INET6)
	}
	for _, family := range families {
		if err := everywhereIsHere(family); err != nil {
			fail(fmt.Sprint("route of family ", family), err)
		}
	}
	if err := counts(families); err != nil {
		fail("count", err)
	}
	counted, err := os.ReadFile(counters)
	if err == nil {
		err = os.WriteFile(os.Args[1], counted, 0o644)
	}
	if err != nil {
		fail("counted", err)
	}
	path, err := exec.LookPath(os.Args[2])
	if err != nil {
		fail("program", err)
	}
	fail("exec", syscall.Exec(path, os.Args[2:], os.Environ()))
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

// hasIPv6 says whether the kernel gave the loopback ::1. Where it did not, nobody sends anything over IPv6.
func hasIPv6() bool {
	addresses, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	return err == nil && len(addresses) > 0
}

// everywhereIsHere makes every address local, as `ip route add local default dev lo` does: what is sent to it
// passes the loopback, and nobody listens there.
func everywhereIsHere(family int) error {
	const loopback = 1 // of every namespace
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	message := struct {
		header syscall.NlMsghdr
		route  syscall.RtMsg
		oif    syscall.RtAttr
		index  uint32
	}{
		header: syscall.NlMsghdr{
			Type:  syscall.RTM_NEWROUTE,
			Flags: syscall.NLM_F_REQUEST | syscall.NLM_F_ACK | syscall.NLM_F_CREATE | syscall.NLM_F_EXCL,
		},
		route: syscall.RtMsg{
			Family:   uint8(family),
			Table:    syscall.RT_TABLE_MAIN,
			Protocol: syscall.RTPROT_STATIC,
			Scope:    syscall.RT_SCOPE_HOST,
			Type:     syscall.RTN_LOCAL,
		},
		oif:   syscall.RtAttr{Len: 8, Type: syscall.RTA_OIF},
		index: loopback,
	}
	message.header.Len = uint32(unsafe.Sizeof(message))
	request := unsafe.Slice((*byte)(unsafe.Pointer(&message)), message.header.Len)
	if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseNetlinkMessage(answer[:n])
	if err != nil {
		return err
	}
	if len(messages) != 1 || messages[0].Header.Type != syscall.NLMSG_ERROR {
		return fmt.Errorf("netlink answers %x", answer[:n])
	}
	if errno := *(*int32)(unsafe.Pointer(&messages[0].Data[0])); errno != 0 {
		return syscall.Errno(-errno)
	}
	return nil
}

// counts makes sure that what goes to the internet is counted: were it not, nothing sent would be nothing shown.
// Each attempt is over, with its answer, before the next.
func counts(families []int) error {
	to := map[int]syscall.Sockaddr{
		syscall.AF_INET: &syscall.SockaddrInet4{Port: 443, Addr: [4]byte{1, 1, 1, 1}},
		syscall.AF_INET6: &syscall.SockaddrInet6{
			Port: 443, Addr: [16]byte{0x26, 0x06, 0x47, 0x00, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11},
		},
	}
	for _, family := range families {
		for _, kind := range []int{syscall.SOCK_STREAM, syscall.SOCK_DGRAM} {
			before, err := sent()
			if err != nil {
				return err
			}
			if err := knock(family, kind, to[family]); err != syscall.ECONNREFUSED {
				return fmt.Errorf("family %d, kind %d: %v", family, kind, err)
			}
			after, err := sent()
			if err != nil {
				return err
			}
			if after <= before {
				return fmt.Errorf("family %d, kind %d: not counted", family, kind)
			}
		}
	}
	return nil
}

// knock connects, or sends a datagram and waits for what comes of it.
func knock(family, kind int, to syscall.Sockaddr) error {
	fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, to); err != nil {
		return err
	}
	if _, err := syscall.Write(fd, []byte("knock")); err != nil {
		return err
	}
	_, err = syscall.Read(fd, make([]byte, 16))
	return err
}

// sent is how many bytes any interface sent.
func sent() (int, error) {
	lines, err := os.ReadFile(counters)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, line := range strings.Split(string(lines), "\n")[2:] {
		if _, counts, found := strings.Cut(line, ":"); found {
			bytes, err := strconv.Atoi(strings.Fields(counts)[8])
			if err != nil {
				return 0, err
			}
			sum += bytes
		}
	}
	return sum, nil
}

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, "netns:", what, err)
	os.Exit(1)
}
