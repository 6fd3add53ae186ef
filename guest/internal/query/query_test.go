//go:build linux

package query

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func inspector(t *testing.T) *Inspector {
	t.Helper()
	i, err := NewInspector("/proc", "/")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func TestAStatLineIsReadWhateverTheNameHolds(t *testing.T) {
	for line, want := range map[string]struct {
		name   string
		kernel bool
	}{
		"1 (init) S 0 1 1 0 -1 4194560 1 2":         {"init", false},
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0":     {"kthreadd", true},
		"9 (a) S 1 (b) c) R 1 9 9 0 -1 4194304 0 0": {"a) S 1 (b) c", false},
		"9 (bad\xff) R 1 9 9 0 -1 4194304 0 0":      {"bad\uFFFD", false},
		"cut off":                                   {"", true},
		"9 (x)":                                     {"", true},
	} {
		if name, kernel := parseStat([]byte(line)); name != want.name || kernel != want.kernel {
			t.Errorf("%q: %q %v", line, name, kernel)
		}
	}
}

func TestTheCountSeesOneMoreDescriptorAndNoSocket(t *testing.T) {
	i := inspector(t)
	own := func() int {
		// Other processes of the host come and go: only our own are compared.
		n, err := i.count(strconv.Itoa(os.Getpid()), soon())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := own()
	if again := own(); again != before {
		t.Errorf("counting itself changed the count from %d to %d", before, again)
	}
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if with := own(); with != before+1 {
		t.Errorf("one more file: %d after %d", with, before)
	}
	file.Close()
	if after := own(); after != before {
		t.Errorf("closed again: %d after %d", after, before)
	}
	if total, err := i.OpenFDs(soon()); err != nil || total < before {
		t.Errorf("all processes: %d, this one %d, %v", total, before, err)
	}
}

func TestMemoryAndProcessesAreRead(t *testing.T) {
	i := inspector(t)
	used, total, err := i.Memory()
	if err != nil || used <= 0 || used >= total {
		t.Errorf("%d of %d, %v", used, total, err)
	}
	list, err := i.Processes(3, soon())
	if err != nil || len(list) == 0 || len(list) > 3 {
		t.Errorf("%v %v", list, err)
	}
}

func TestWhatTakesTooLongIsGivenUp(t *testing.T) {
	i := inspector(t)
	past := time.Now().Add(-time.Second)
	if n, err := i.OpenFDs(past); err != ErrLate {
		t.Errorf("%d %v", n, err)
	}
	if list, err := i.Processes(3, past); err != ErrLate {
		t.Errorf("%v %v", list, err)
	}
}

func TestTheHeartbeatsFactsWaitForNoCount(t *testing.T) {
	i := inspector(t)
	read := make(chan error)
	i.Quiet(func() {
		go func() {
			_, _, err := i.Memory()
			read <- err
		}()
		select {
		case err := <-read:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Memory waits for whoever counts descriptors")
		}
	})
}

func TestAQueryIDIsRefusedWhileInFlight(t *testing.T) {
	s := &Service{}
	if refusal := s.enter("a"); refusal != nil {
		t.Error(refusal)
	}
	refusal := s.enter("a")
	if refusal == nil {
		t.Fatal("a repeated query_id was taken")
	}
	if code, _ := refusal.Get("code"); code != "GUEST_QUERY_DUPLICATE" {
		t.Error(code)
	}
	s.leave("a")
	if refusal := s.enter("a"); refusal != nil {
		t.Error(refusal)
	}
}
