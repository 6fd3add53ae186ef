//go:build linux

package bridge

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"brainstorm-sandbox/guest/internal/server"
)

// linked gives a link being pumped, the dispatcher's end of it, and what the
// host would read.
func linked(t *testing.T) (dispatcher, host *os.File) {
	t.Helper()
	host, device, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := device.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	dispatcher = os.NewFile(uintptr(pair[0]), "dispatcher")
	l := &link{id: 7, conn: os.NewFile(uintptr(pair[1]), "bridge"), closed: make(chan struct{})}
	p := &port{number: 1025, raw: raw, live: l}
	go p.pump(l)
	t.Cleanup(func() { dispatcher.Close(); device.Close(); host.Close() })
	return dispatcher, host
}

func expect(t *testing.T, host *os.File, want []byte) {
	t.Helper()
	host.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(host, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x %v, wanted %x", got, err, want)
	}
}

func TestTheHostHearsOfALinkOnceTheDispatcherHasAcceptedIt(t *testing.T) {
	dispatcher, host := linked(t)
	host.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := host.Read(make([]byte, 1)); n != 0 || !os.IsTimeout(err) {
		t.Fatal("answered before the dispatcher was there:", n, err)
	}
	dispatcher.Write([]byte{server.Accepted})
	expect(t, host, record(7, Open, ""))
	dispatcher.Write([]byte("hello"))
	expect(t, host, record(7, Data, "hello"))
	dispatcher.Close()
	expect(t, host, record(7, Close, ""))
}

func TestALinkThatTheDispatcherDoesNotTakeIsClosed(t *testing.T) {
	dispatcher, host := linked(t)
	dispatcher.Close()
	expect(t, host, record(7, Close, ""))
}
