//go:build linux

package dispatch

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"time"

	"brainstorm-sandbox/guest/internal/frame"
	"brainstorm-sandbox/guest/internal/guest"
	"brainstorm-sandbox/guest/internal/server"
)

// rehearsalLimit bounds a whole warm-up.
const rehearsalLimit = 10 * time.Second

// rehearsal is a dispatch as a host sends it, with a shell. What ran once an
// emulator has translated, and the pages it touched are the restored VM's own.
// A second one costs every restore more than it saves the first dispatch.
const rehearsal = `{"type":"ToolDispatch","command_id":"warmup","tool":"sh","params":{"command":"echo warm"},"deadline_ms":10000}`

// Warmup goes the whole way of a dispatch, from frame to frame, so that neither
// page faults nor cold code meet the first one. It leaves no trace: the
// connections and the state that count it are the rehearsal's own.
func (s *Service) Warmup() error {
	if err := s.State.Warm(); err != nil {
		return err
	}
	defer s.State.End()
	stage := &Service{State: guest.New(""), Evidence: &EvidencePort{}, Runner: s.Runner}
	if err := stage.State.Resume(1, "", func() error { return nil }); err != nil {
		return err
	}
	evidence, err := connect(stage.Evidence)
	if err != nil {
		return err
	}
	defer evidence.Close()
	go io.Copy(io.Discard, evidence)
	host, err := connect(stage)
	if err != nil {
		return err
	}
	defer host.Close()
	defer time.AfterFunc(rehearsalLimit, func() { host.Close() }).Stop()

	if err := frame.Write(host, frame.End(append(frame.Begin(nil), rehearsal...), 0)); err != nil {
		return err
	}
	result, err := frame.NewReader(host, frame.MaxLarge).Next()
	if err != nil {
		return err
	}
	if !bytes.Contains(result, []byte(`"exit_code":0,`)) || !bytes.Contains(result, []byte(`"stdout":"warm\n"`)) {
		return &guest.Refusal{Code: "VM_LIFECYCLE_ERROR", Message: "the warm-up failed: " + string(result)}
	}
	return nil
}

// connect gives the host's end of a connection to service.
func connect(service server.Service) (*os.File, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	port := &server.Port{Max: frame.MaxLarge, Service: service}
	port.Take(os.NewFile(uintptr(pair[0]), "rehearsal"))
	return os.NewFile(uintptr(pair[1]), "rehearsal"), nil
}
