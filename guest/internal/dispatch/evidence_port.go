//go:build linux

package dispatch

import (
	"os"
	"sync"
	"time"

	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// EvidencePort is port 1025: it only sends.
type EvidencePort struct {
	mu   sync.Mutex
	conn *server.Conn
}

// Connected implements server.Service.
func (e *EvidencePort) Connected(c *server.Conn) *strictjson.Object {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = c
	return nil
}

// Disconnected implements server.Service.
func (e *EvidencePort) Disconnected(c *server.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == c {
		e.conn = nil
	}
}

// Handle implements server.Service.
func (e *EvidencePort) Handle(*server.Conn, string, *strictjson.Object) error {
	return server.ErrUnknownType
}

func (e *EvidencePort) current() *server.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conn
}

// acceptance is how long a dispatch waits for the evidence connection: of a host
// that dials every port at once, this one may be the last to be accepted.
const acceptance = 500 * time.Millisecond

func (e *EvidencePort) ready() error {
	for end := time.Now().Add(acceptance); e.current() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return evidenceLost()
		}
	}
	return nil
}

func (e *EvidencePort) send(message []byte) error {
	c := e.current()
	if c == nil {
		return os.ErrClosed
	}
	return c.SendRaw(message)
}
