package guest

import (
	"errors"
	"testing"
)

func nothing() error { return nil }

func refusal(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func TestAGuestIsBornFrozenWithItsNonce(t *testing.T) {
	s := New("abc")
	if f := s.Facts(); !f.Frozen || f.Nonce != "abc" || f.Dispatches != 0 {
		t.Errorf("%+v", f)
	}
	if err := s.Begin("c", nil); refusal(err) != "VM_LIFECYCLE_ERROR" {
		t.Error(err)
	}
	if f := s.Facts(); f.Nonce != "abc" || f.Dispatches != 0 {
		t.Errorf("a refused dispatch left a trace: %+v", f)
	}
}

func TestTheFirstResumeBindsEpochAndToken(t *testing.T) {
	s := New("n")
	if err := s.Resume(5, "t", nothing); err != nil {
		t.Fatal(err)
	}
	for _, other := range []struct {
		epoch int64
		token string
	}{{6, "t"}, {5, "u"}, {4, "t"}, {5, ""}} {
		ran := false
		if err := s.Resume(other.epoch, other.token, func() error { ran = true; return nil }); refusal(err) != "UNAUTHORIZED" || ran {
			t.Errorf("%+v: %v, steps ran: %v", other, err, ran)
		}
	}
	if s.Facts().Frozen {
		t.Error("a refused Resume froze the guest")
	}
	ran := false
	if err := s.Resume(5, "t", func() error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("the repeat: %v, steps ran: %v", err, ran)
	}
}

func TestAFailedStepLeavesTheGuestFrozen(t *testing.T) {
	s := New("n")
	fail := func() error { return errors.New("no entropy") }
	if err := s.Resume(1, "t", fail); err == nil || !s.Facts().Frozen {
		t.Errorf("first: %v", err)
	}
	if err := s.Resume(2, "u", nothing); err != nil {
		t.Errorf("a failed Resume bound the guest: %v", err)
	}
	if err := s.Resume(2, "u", fail); err == nil || !s.Facts().Frozen {
		t.Errorf("repeat: %v", err)
	}
}

func TestTheNonceIsGoneBeforeTheFirstDispatchStarts(t *testing.T) {
	s := New("n")
	s.Resume(1, "t", nothing)
	if err := s.Begin("c", func() {}); err != nil {
		t.Fatal(err)
	}
	if f := s.Facts(); f.Nonce != "" || f.Dispatches != 1 {
		t.Errorf("%+v", f)
	}
	if err := s.Begin("d", func() {}); refusal(err) != "BUSY" {
		t.Error(err)
	}
	if err := s.Freeze(); refusal(err) != "BUSY" {
		t.Error(err)
	}
	s.End()
	if err := s.Freeze(); err != nil {
		t.Error(err)
	}
	if err := s.Begin("e", nil); refusal(err) != "VM_LIFECYCLE_ERROR" {
		t.Error(err)
	}
}

func TestAWarmupLeavesNoTrace(t *testing.T) {
	s := New("n")
	s.Resume(1, "t", nothing)
	if err := s.Warm(); err != nil {
		t.Fatal(err)
	}
	if err := s.Warm(); refusal(err) != "BUSY" {
		t.Error(err)
	}
	if err := s.Freeze(); refusal(err) != "BUSY" {
		t.Error(err)
	}
	s.End()
	if f := s.Facts(); f.Nonce != "n" || f.Dispatches != 0 || f.Frozen {
		t.Errorf("%+v", f)
	}
}

func TestAFrozenGuestTakesNoWarmup(t *testing.T) {
	s := New("n")
	if err := s.Warm(); refusal(err) != "VM_LIFECYCLE_ERROR" {
		t.Errorf("newly born: %v", err)
	}
	s.Resume(1, "t", nothing)
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := s.Warm(); refusal(err) != "VM_LIFECYCLE_ERROR" {
		t.Errorf("frozen again: %v", err)
	}
	s.Resume(1, "t", nothing)
	if err := s.Begin("c", func() {}); err != nil {
		t.Errorf("a refused warm-up holds on to the guest: %v", err)
	}
}

func TestKillReachesOnlyTheRunningCommand(t *testing.T) {
	s := New("n")
	s.Resume(1, "t", nothing)
	cancelled := 0
	s.Begin("c", func() { cancelled++ })
	if s.Kill("x") || cancelled != 0 {
		t.Error("another command's Kill reached it")
	}
	if !s.Kill("c") || cancelled != 1 {
		t.Error("its Kill did not reach it")
	}
	s.End()
	if s.Kill("c") || s.Kill("") {
		t.Error("a Kill found something with nothing running")
	}
}
