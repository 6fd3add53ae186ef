//go:build linux

package server

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"brainstorm-sandbox/guest/internal/frame"
	"brainstorm-sandbox/guest/internal/strictjson"
	"brainstorm-sandbox/guest/internal/vsock"
)

func TestWhoMayConnect(t *testing.T) {
	for _, c := range []struct {
		cid, port uint32
		bridged   bool
		want      bool
	}{
		{vsock.CIDHost, 5000, false, true},
		{vsock.CIDHost, 5000, true, true},
		{vsock.CIDLocal, 1023, true, true},
		{vsock.CIDLocal, 1024, true, false},
		{vsock.CIDLocal, 1023, false, false},
		{3, 1023, true, false},
		{0, 1, true, false},
		{vsock.CIDAny, 1, true, false},
	} {
		if got := Allowed(vsock.Peer{CID: c.cid, Port: c.port}, c.bridged); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

type echo struct{ gone chan bool }

func (e *echo) Connected(*Conn) *strictjson.Object { return strictjson.Of("type", "Hi") }
func (e *echo) Disconnected(c *Conn)               { e.gone <- true }
func (e *echo) Handle(c *Conn, kind string, m *strictjson.Object) error {
	if kind != "Echo" {
		return ErrUnknownType
	}
	return c.Send(m)
}

// host is the other end of a served connection.
type host struct {
	t      *testing.T
	file   *os.File
	reader *frame.Reader
	gone   chan bool
}

func connect(t *testing.T) *host {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	service := &echo{make(chan bool, 1)}
	port := &Port{Max: frame.MaxSmall, Service: service}
	port.Take(os.NewFile(uintptr(fds[1]), "guest"))
	file := os.NewFile(uintptr(fds[0]), "host")
	t.Cleanup(func() { file.Close() })
	h := &host{t, file, frame.NewReader(file, frame.MaxLarge), service.gone}
	if got := h.receive(); got != `{"type":"Hi"}` {
		t.Fatal(got)
	}
	return h
}

func (h *host) send(text string) {
	h.t.Helper()
	if err := frame.Write(h.file, frame.End(append(frame.Begin(nil), text...), 0)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) receive() string {
	h.t.Helper()
	data, err := h.reader.Next()
	if err != nil {
		return "closed: " + err.Error()
	}
	return string(data)
}

func TestMessagesAndPingsAreAnswered(t *testing.T) {
	h := connect(t)
	h.send(`{"type":"Echo","x":[1]}`)
	if got := h.receive(); got != `{"type":"Echo","x":[1]}` {
		t.Error(got)
	}
	h.send(`{"type":"Ping","nonce":"é"}`)
	if got := h.receive(); got != `{"nonce":"é","type":"Pong"}` {
		t.Error(got)
	}
	h.send(`{"type":"Ping"}`)
	if got := h.receive(); !strings.Contains(got, "BAD_REQUEST") {
		t.Error(got)
	}
	h.send(`{"type":"Ping","nonce":1,"more":1}`)
	if got := h.receive(); !strings.Contains(got, `unknown field \"more\"`) {
		t.Error(got)
	}
}

func TestWhatCannotBeUnderstoodIsNamedAndClosesTheConnection(t *testing.T) {
	for text, code := range map[string]string{
		`{"type":"Other"}`:           "BAD_REQUEST",
		`{"Type":"Echo"}`:            "BAD_REQUEST",
		`{"type":1}`:                 "BAD_REQUEST",
		`{}`:                         "BAD_REQUEST",
		`[]`:                         "FRAME_MALFORMED",
		`{"type":"Echo"`:             "FRAME_MALFORMED",
		`{"type":"Echo","type":"x"}`: "FRAME_MALFORMED",
		"{\"type\":\"\xff\"}":        "FRAME_MALFORMED",
		strings.Repeat(" ", 70_000):  "FRAME_TOO_LARGE",
	} {
		h := connect(t)
		h.send(text)
		if got := h.receive(); !strings.Contains(got, `"code":"`+code+`"`) || !strings.Contains(got, `"type":"Error"`) {
			t.Errorf("%.40q: %s", text, got)
		}
		if got := h.receive(); !strings.HasPrefix(got, "closed") {
			t.Errorf("%.40q: still open: %s", text, got)
		}
		select {
		case <-h.gone:
		case <-time.After(5 * time.Second):
			t.Errorf("%.40q: the service was not told", text)
		}
	}
}

func TestABridgedConnectionBeginsWithTheByteOfItsAcceptance(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := &Port{Max: frame.MaxSmall, Bridged: true, Service: &echo{make(chan bool, 1)}}
	port.Take(os.NewFile(uintptr(fds[1]), "guest"))
	file := os.NewFile(uintptr(fds[0]), "bridge")
	defer file.Close()
	file.SetReadDeadline(time.Now().Add(5 * time.Second))
	var first [1]byte
	if _, err := file.Read(first[:]); err != nil || first[0] != Accepted {
		t.Fatal(first, err)
	}
	if greeting, err := frame.NewReader(file, frame.MaxSmall).Next(); err != nil || string(greeting) != `{"type":"Hi"}` {
		t.Errorf("%q %v", greeting, err)
	}
}
