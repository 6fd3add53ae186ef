//go:build linux

package control

import (
	"os"
	"syscall"
	"testing"
	"time"

	"brainstorm-sandbox/guest/internal/dispatch"
	"brainstorm-sandbox/guest/internal/frame"
	"brainstorm-sandbox/guest/internal/guest"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/query"
	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// host talks to a control port as the helper does.
type host struct {
	t        *testing.T
	state    *guest.State
	port     *server.Port
	file     *os.File
	reader   *frame.Reader
	poweroff chan bool
}

func serve(t *testing.T) *host {
	t.Helper()
	inspector, err := query.NewInspector("/proc", "/")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, state: guest.New("nonce"), poweroff: make(chan bool, 1)}
	h.port = &server.Port{Max: frame.MaxSmall, Service: &Service{
		State: h.state, Dispatch: &dispatch.Service{State: h.state}, Inspector: inspector,
		PowerOff: func() { h.poweroff <- true },
	}}
	t.Cleanup(func() { h.file.Close() })
	return h
}

// dial connects and gives what the guest says first.
func (h *host) dial() *strictjson.Fields {
	h.t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.file != nil {
		h.file.Close()
	}
	h.file = os.NewFile(uintptr(pair[1]), "host")
	h.reader = frame.NewReader(h.file, frame.MaxSmall)
	h.port.Take(os.NewFile(uintptr(pair[0]), "guest"))
	return h.next()
}

func (h *host) next() *strictjson.Fields {
	h.t.Helper()
	data, err := h.reader.Next()
	if err != nil {
		h.t.Fatal(err)
	}
	o, err := strictjson.ParseObject(data)
	if err != nil {
		h.t.Fatal(err)
	}
	return strictjson.Read("answer", o)
}

func (h *host) send(pairs ...any) {
	h.t.Helper()
	data, err := jcs.Marshal(strictjson.Of(pairs...))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := frame.Write(h.file, frame.End(append(frame.Begin(nil), data...), 0)); err != nil {
		h.t.Fatal(err)
	}
}

// expect sends a message and wants an answer of this type, of an Error this code.
func (h *host) expect(kind, code string, pairs ...any) {
	h.t.Helper()
	h.send(pairs...)
	answer := h.next()
	if got := answer.Text("type"); got != kind {
		h.t.Errorf("%v: %s instead of %s", pairs, got, kind)
	} else if kind == "Error" && (answer.Text("code") != code || answer.Text("refused") != pairs[1]) {
		h.t.Errorf("%v: %s, refused %s", pairs, answer.Text("code"), answer.Text("refused"))
	}
}

// thaw leaves out the steps of a Resume: they would set this machine's clock.
func (h *host) thaw() {
	h.t.Helper()
	if err := h.state.Resume(1, "t", func() error { return nil }); err != nil {
		h.t.Fatal(err)
	}
}

func TestHelloSaysWhetherTheGuestIsFrozen(t *testing.T) {
	h := serve(t)
	if !h.dial().OptionalBool("frozen") {
		t.Error("a guest that was just born is not frozen")
	}
	h.thaw()
	if h.dial().OptionalBool("frozen") {
		t.Error("frozen after a Resume")
	}
	h.expect("FreezeAck", "", "type", "Freeze")
	if !h.dial().OptionalBool("frozen") {
		t.Error("not frozen after a Freeze")
	}
}

func TestAFrozenGuestRunsNothing(t *testing.T) {
	h := serve(t)
	h.dial()
	h.expect("Error", "VM_LIFECYCLE_ERROR", "type", "Warmup")
	h.thaw()
	h.expect("FreezeAck", "", "type", "Freeze")
	h.expect("Error", "VM_LIFECYCLE_ERROR", "type", "Warmup")
	if err := h.state.Begin("c", func() {}); err == nil {
		t.Error("a dispatch was taken after a Freeze")
	}
	if f := h.state.Facts(); f.Dispatches != 0 || f.Nonce != "nonce" {
		t.Errorf("%+v", f)
	}
}

func TestFreezeIsRefusedWhileADispatchRuns(t *testing.T) {
	h := serve(t)
	h.dial()
	h.thaw()
	if err := h.state.Begin("c", func() {}); err != nil {
		t.Fatal(err)
	}
	h.expect("Error", "BUSY", "type", "Freeze")
	h.expect("Error", "BUSY", "type", "Warmup")
	h.expect("KillAck", "", "type", "Kill", "command_id", "c")
	h.state.End()
	h.expect("FreezeAck", "", "type", "Freeze")
}

func TestPowerOffEndsTheMachineAndOnlyPowerOff(t *testing.T) {
	h := serve(t)
	h.dial()
	h.expect("Error", "BAD_REQUEST", "type", "PowerOff", "delay", 5)
	h.expect("HeartbeatAck", "", "type", "Heartbeat", "seq", 1)
	select {
	case <-h.poweroff:
		t.Fatal("the machine was ended without a PowerOff")
	default:
	}
	h.send("type", "PowerOff")
	select {
	case <-h.poweroff:
	case <-time.After(30 * time.Second):
		t.Error("the machine goes on")
	}
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	h := serve(t)
	h.dial()
	for _, kind := range []string{"Freeze", "Warmup", "PowerOff"} {
		h.expect("Error", "BAD_REQUEST", "type", kind, "more", true)
	}
	h.expect("Error", "BAD_REQUEST", "type", "Resume", "epoch", 1)
}

func TestTheProductKnowsNoOtherMessage(t *testing.T) {
	h := serve(t)
	h.dial()
	h.send("type", "Thaw")
	if answer := h.next(); answer.Text("code") != "BAD_REQUEST" {
		t.Error("an unknown message was not refused")
	}
	if _, err := h.reader.Next(); err == nil {
		t.Error("the connection goes on")
	}
}
