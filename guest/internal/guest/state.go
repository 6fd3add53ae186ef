// Package guest is the one state all ports share: whether the guest is frozen,
// which epoch it belongs to, and what runs in it.
package guest

import (
	"crypto/subtle"
	"sync"
)

// Refusal is a request that was understood and not done.
type Refusal struct {
	Code    string
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// State begins frozen, without an epoch (protocol §3).
type State struct {
	mu         sync.Mutex
	frozen     bool
	bound      bool
	epoch      int64
	token      string
	nonce      string
	dispatches int64
	commandID  string
	cancel     func()
}

// New is a guest that was just born, with the nonce drawn at its boot.
func New(nonce string) *State { return &State{frozen: true, nonce: nonce} }

// Facts are what Hello and ResumeAck report.
type Facts struct {
	Frozen     bool
	Nonce      string
	Dispatches int64
	Epoch      int64
}

// Facts reads the state.
func (s *State) Facts() Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Facts{s.frozen, s.nonce, s.dispatches, s.epoch}
}

// Resume thaws the guest if the epoch and the token are the bound ones, or the
// first, and every step worked. A failed step leaves it frozen: its entropy or
// its clock may be those of another epoch.
func (s *State) Resume(epoch int64, token string, steps func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound && (s.epoch != epoch || subtle.ConstantTimeCompare([]byte(s.token), []byte(token)) != 1) {
		return &Refusal{"UNAUTHORIZED", "this guest already belongs to another epoch or token"}
	}
	s.frozen = true
	if err := steps(); err != nil {
		return &Refusal{"VM_LIFECYCLE_ERROR", err.Error()}
	}
	s.bound, s.epoch, s.token, s.frozen = true, epoch, token, false
	return nil
}

// Freeze refuses dispatch from now on. It does not wait for a running one.
func (s *State) Freeze() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.commandID != "" {
		return &Refusal{"BUSY", "a dispatch is running; kill it or wait for it before freezing"}
	}
	s.frozen = true
	return nil
}

// Begin starts a dispatch. The nonce is erased before the first one: whoever
// sees it later knows that nothing ran in between.
func (s *State) Begin(commandID string, cancel func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return &Refusal{"VM_LIFECYCLE_ERROR", "the guest is frozen; it takes no dispatch before a Resume"}
	}
	if s.commandID != "" {
		return &Refusal{"BUSY", "another dispatch is running"}
	}
	s.nonce = ""
	s.dispatches++
	s.commandID, s.cancel = commandID, cancel
	return nil
}

// Warm reserves the guest as Begin does, but leaves no trace. A frozen guest
// runs nothing: it may be about to be saved, and its random numbers are those of
// whatever else was made from the same memory.
func (s *State) Warm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return &Refusal{"VM_LIFECYCLE_ERROR", "the guest is frozen; it takes no warm-up before a Resume"}
	}
	if s.commandID != "" {
		return &Refusal{"BUSY", "a dispatch is running"}
	}
	s.commandID, s.cancel = " warmup", func() {}
	return nil
}

// End frees the guest for the next dispatch.
func (s *State) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commandID, s.cancel = "", nil
}

// Kill cancels the running dispatch if it is that one.
func (s *State) Kill(commandID string) bool {
	s.mu.Lock()
	cancel := s.cancel
	running := cancel != nil && s.commandID == commandID
	s.mu.Unlock()
	if running {
		cancel()
	}
	return running
}
