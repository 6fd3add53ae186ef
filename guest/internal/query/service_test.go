//go:build linux

package query

import (
	"os"
	"syscall"
	"testing"
	"time"

	"brainstorm-sandbox/guest/internal/frame"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
)

const id = "6f1c1f2e-7d0a-4b8f-9c3d-2a1b0c9d8e7f"

// stuck is a kernel that gives no answer until it is let go.
type stuck struct{ release chan bool }

func (s stuck) OpenFDs(time.Time) (int, error)              { <-s.release; return 7, nil }
func (s stuck) Memory() (int64, int64, error)               { <-s.release; return 1, 2, nil }
func (s stuck) Processes(int, time.Time) ([]Process, error) { <-s.release; return nil, nil }
func ask(t *testing.T, host *os.File, id, kind string)      { send(t, host, "GuestQuery", id, kind) }
func send(t *testing.T, host *os.File, message, id, kind string) {
	t.Helper()
	data, err := jcs.Marshal(strictjson.Of("type", message, "query_id", id, "query_kind", kind, "ts", "2026-01-01T00:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	if err := frame.Write(host, frame.End(append(frame.Begin(nil), data...), 0)); err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, facts Facts) (host *os.File, next func() *strictjson.Object) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := &server.Port{Max: frame.MaxSmall, Service: &Service{Inspector: facts}}
	port.Take(os.NewFile(uintptr(pair[0]), "guest"))
	host = os.NewFile(uintptr(pair[1]), "host")
	silence := time.AfterFunc(30*time.Second, func() { host.Close() })
	t.Cleanup(func() { silence.Stop(); host.Close() })
	reader := frame.NewReader(host, frame.MaxSmall)
	return host, func() *strictjson.Object {
		t.Helper()
		data, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		o, err := strictjson.ParseObject(data)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
}

func errorCode(o *strictjson.Object) any {
	problem, _ := o.Get("error")
	if problem == nil {
		return nil
	}
	code, _ := problem.(*strictjson.Object).Get("code")
	return code
}

func TestEveryKindIsAnswered(t *testing.T) {
	host, next := serve(t, inspector(t))
	for kind, member := range map[string]string{"OpenFdCount": "open_fd_count", "MemUsage": "bytes_used", "ProcessList": "processes"} {
		ask(t, host, id, kind)
		answer := next()
		result, _ := answer.Get("result")
		o, ok := result.(*strictjson.Object)
		if !ok {
			t.Fatalf("%s: %v", kind, errorCode(answer))
		}
		if _, ok := o.Get(member); !ok {
			t.Errorf("%s has no %s", kind, member)
		}
	}
}

func TestAQueryNeedsARandomUUID(t *testing.T) {
	host, next := serve(t, stuck{make(chan bool)})
	for _, bad := range []string{
		"", "a", "query-1", "6f1c1f2e7d0a4b8f9c3d2a1b0c9d8e7f", id + "0", " " + id, id + "\n",
		"6f1c1f2e-7d0a-1b8f-9c3d-2a1b0c9d8e7f", // version 1
		"6f1c1f2e-7d0a-4b8f-7c3d-2a1b0c9d8e7f", // another variant
		"00000000-0000-0000-0000-000000000000",
	} {
		ask(t, host, bad, "MemUsage")
		answer := next()
		kind, _ := answer.Get("type")
		code, _ := answer.Get("code")
		if kind != "Error" || code != "BAD_REQUEST" {
			t.Errorf("%q: %v %v", bad, kind, code)
		}
	}
}

func TestALateAnswerIsSaidToBeLate(t *testing.T) {
	facts := stuck{make(chan bool)}
	host, next := serve(t, facts)
	for kind, id := range map[string]string{"OpenFdCount": id, "MemUsage": "7" + id[1:]} {
		asked := time.Now()
		ask(t, host, id, kind)
		answer := next()
		if code := errorCode(answer); code != "TIMEOUT" {
			t.Errorf("%s: %v", kind, code)
		}
		if waited := time.Since(asked); waited < time.Second {
			t.Errorf("%s was given up after %s", kind, waited)
		}
		// Nobody reads it any more, but it is still being worked on.
		ask(t, host, id, kind)
		if code := errorCode(next()); code != "GUEST_QUERY_DUPLICATE" {
			t.Errorf("%s repeated: %v", kind, code)
		}
		facts.release <- true
	}
}
