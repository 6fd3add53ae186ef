//go:build linux

package dispatch

import (
	"os"
	"sync"

	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// EvidencePort is port 1025: it only sends.
type EvidencePort struct {
	mu   sync.Mutex
	conn *server.Conn
}

// Connected implements server.Service.
func (e *EvidencePort) Connected(c *server.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = c
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

func (e *EvidencePort) ready() error {
	if e.current() == nil {
		return evidenceLost()
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
