//go:build linux

package bridge

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/vsock"
)

// recordSize is the most the driver takes in one write (virtio_console.c: 32 KiB).
// A record that goes out in one write can never be cut in two by a host that
// disconnects, so the next host connection starts at a record's beginning.
const recordSize = 32 << 10

// Ports finds the virtio serial ports that belong to us by the names the
// hypervisor gave them: port number → device path. Without udev nothing else
// tells /dev/vportNpM apart.
func Ports(sysDir, devDir string) map[uint32]string {
	found := map[uint32]string{}
	entries, err := os.ReadDir(sysDir)
	if err != nil {
		return found
	}
	for _, entry := range entries {
		name, err := os.ReadFile(sysDir + "/" + entry.Name() + "/name")
		if err != nil {
			continue
		}
		switch strings.TrimSpace(string(name)) {
		case "bsm.1024":
			found[1024] = devDir + "/" + entry.Name()
		case "bsm.1025":
			found[1025] = devDir + "/" + entry.Name()
		case "bsm.1026":
			found[1026] = devDir + "/" + entry.Name()
		case "bsm.1027":
			found[1027] = devDir + "/" + entry.Name()
		}
	}
	return found
}

// Run joins every port and returns when one of them fails for good.
func Run(ports map[uint32]string) error {
	failed := make(chan error)
	for number, device := range ports {
		fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: device, Err: err}
		}
		file := os.NewFile(uintptr(fd), device)
		raw, err := file.SyscallConn()
		if err != nil {
			return err
		}
		p := &port{number: number, raw: raw}
		go func() { failed <- p.serve() }()
	}
	return <-failed
}

type port struct {
	number uint32
	raw    syscall.RawConn
	parser Parser

	mu      sync.Mutex
	live    *link
	reads   uint64 // how often bytes arrived
	hungUp  bool   // the parser is to be reset before the next bytes
	waiting bool   // confirmHangup is about to look
}

// link is the one live connection between the host and the dispatcher.
type link struct {
	id     uint32
	conn   *os.File
	closed chan struct{}
	once   sync.Once
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		l.conn.Close()
	})
}

// serve reads records for ever. RawConn waits on Go's edge-triggered epoll,
// which does not spin on the HUP of a port nobody is connected to.
func (p *port) serve() error {
	buf := make([]byte, recordSize)
	for {
		n, err := p.read(buf)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.reads++
		if p.hungUp {
			p.hungUp = false
			p.parser.Reset()
		}
		p.mu.Unlock()
		if err := p.parser.Feed(buf[:n], p.handle); err != nil {
			p.drop(nil)
		}
	}
}

func (p *port) read(buf []byte) (n int, err error) {
	waitErr := p.raw.Read(func(fd uintptr) bool {
		for {
			n, err = syscall.Read(int(fd), buf)
			switch {
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return false
			case err == nil && n == 0:
				p.suspectHangup()
				return false
			default:
				return true
			}
		}
	})
	if waitErr != nil {
		return 0, waitErr
	}
	return n, err
}

// hangupDelay is how long the driver may take to learn that a host connected
// whose first bytes are already there.
const hangupDelay = 10 * time.Millisecond

// suspectHangup follows a read of zero bytes: no host is connected. That may be
// out of date: the driver learns of a connection in a work queue and of bytes in
// an interrupt, so a new connection's OPEN can be read before it counts as
// connected. Only what still holds a moment later is a hangup.
func (p *port) suspectHangup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		return
	}
	p.waiting = true
	reads := p.reads
	time.AfterFunc(hangupDelay, func() { p.confirmHangup(reads) })
}

func (p *port) confirmHangup(reads uint64) {
	// Taken before asking: a link made after the answer is not dropped by it.
	p.mu.Lock()
	live := p.live
	p.mu.Unlock()
	gone := false
	p.raw.Control(func(fd uintptr) { gone = hangup(fd) })
	p.mu.Lock()
	p.waiting = false
	if gone && p.reads == reads {
		p.hungUp = true
	}
	p.mu.Unlock()
	if gone && live != nil {
		p.drop(live)
	}
}

// hangup asks the driver whether a host is connected.
func hangup(fd uintptr) bool {
	const pollhup = 0x10
	request := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd)}
	var now syscall.Timespec
	syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&request)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return request.revents&pollhup != 0
}

func (p *port) handle(r Record) {
	p.mu.Lock()
	live := p.live
	p.mu.Unlock()
	switch {
	case r.Kind == Open:
		p.open(r.ConnID)
	case live == nil || live.id != r.ConnID:
	case r.Kind == Close:
		p.drop(live)
	default:
		if _, err := live.conn.Write(r.Data); err != nil {
			p.end(live)
		}
	}
}

func (p *port) open(id uint32) {
	p.drop(nil)
	l := &link{id: id, closed: make(chan struct{})}
	conn, err := vsock.DialLocal(p.number)
	if err != nil {
		go p.writeAlways(AppendHeader(nil, id, Close, 0))
		return
	}
	l.conn = conn
	p.mu.Lock()
	p.live = l
	p.mu.Unlock()
	// OPEN goes out from the link's own goroutine: this one has to keep reading,
	// or a host that does not read yet could not even hang up.
	go p.pump(l)
}

// pump carries what the dispatcher sends to the host, which hears of the link
// once the dispatcher has accepted it.
func (p *port) pump(l *link) {
	buf := make([]byte, recordSize)
	if _, err := l.conn.Read(buf[:1]); err != nil || buf[0] != server.Accepted {
		p.end(l)
		return
	}
	if p.write(l, AppendHeader(nil, l.id, Open, 0)) != nil {
		p.drop(l)
		return
	}
	for {
		n, err := l.conn.Read(buf[headerSize:])
		if n > 0 {
			AppendHeader(buf[:0], l.id, Data, n)
			err = p.write(l, buf[:headerSize+n])
		}
		if err != nil {
			p.end(l)
			return
		}
	}
}

// drop closes a link, or with nil whichever is live.
func (p *port) drop(l *link) {
	p.mu.Lock()
	if l == nil {
		l = p.live
	}
	if l == p.live {
		p.live = nil
	}
	p.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// end drops a link that the dispatcher closed, and tells the host. A link that
// was dropped before ended from the host's side.
func (p *port) end(l *link) {
	select {
	case <-l.closed:
	default:
		p.drop(l)
		go p.writeAlways(AppendHeader(nil, l.id, Close, 0))
	}
}

var errDropped = errors.New("the connection was dropped")

func (p *port) writeAlways(record []byte) {
	p.write(&link{closed: make(chan struct{})}, record)
}

// write sends one record, waiting while the host does not read. The driver
// answers EAGAIN also while no host is connected; HUP and the next connect are
// both edges, so the wait ends, and a late record carries an id the host ignores.
func (p *port) write(l *link, record []byte) error {
	var result error
	err := p.raw.Write(func(fd uintptr) bool {
		for {
			select {
			case <-l.closed:
				result = errDropped
				return true
			default:
			}
			n, err := syscall.Write(int(fd), record)
			switch {
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return false
			case err == nil && n < len(record):
				// The driver takes nothing, without an error, when its queue is full.
				record = record[n:]
				time.Sleep(time.Millisecond)
			default:
				result = err
				return true
			}
		}
	})
	if err != nil {
		return err
	}
	return result
}
