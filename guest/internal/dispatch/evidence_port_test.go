//go:build linux

package dispatch

import (
	"errors"
	"testing"
	"time"

	"brainstorm-sandbox/guest/internal/guest"
	"brainstorm-sandbox/guest/internal/server"
)

func TestADispatchWaitsForAnEvidenceConnectionThatIsBeingAccepted(t *testing.T) {
	e := &EvidencePort{}
	time.AfterFunc(20*time.Millisecond, func() { e.Connected(&server.Conn{}) })
	if err := e.ready(); err != nil {
		t.Error(err)
	}
}

func TestADispatchWithoutAnEvidenceConnectionIsRefused(t *testing.T) {
	var refusal *guest.Refusal
	if err := (&EvidencePort{}).ready(); !errors.As(err, &refusal) || refusal.Code != "GUEST_UNREACHABLE" {
		t.Error(err)
	}
}

func TestTheEndOfAReplacedConnectionLeavesItsSuccessor(t *testing.T) {
	e := &EvidencePort{}
	old, next := &server.Conn{}, &server.Conn{}
	e.Connected(old)
	e.Connected(next)
	e.Disconnected(old)
	if e.current() != next {
		t.Error("the port lost its connection")
	}
}
