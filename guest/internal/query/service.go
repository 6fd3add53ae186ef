//go:build linux

package query

import (
	"regexp"
	"sync"
	"time"

	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
	"brainstorm-sandbox/guest/internal/vital"
)

// maxInFlight bounds how many queries are worked on at a time.
const maxInFlight = 64

// uuid4 is a random UUID (RFC 9562 §5.4), in either case.
var uuid4 = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$`)

// limits are how long an answer may take (protocol §3).
var limits = map[string]time.Duration{
	"OpenFdCount": time.Second,
	"MemUsage":    time.Second,
	"ProcessList": 5 * time.Second,
}

// Facts is where the answers come from; Inspector in a guest.
type Facts interface {
	OpenFDs(until time.Time) (int, error)
	Memory() (used, total int64, err error)
	Processes(limit int, until time.Time) ([]Process, error)
}

// Service answers GuestQuery.
type Service struct {
	Inspector Facts

	mu       sync.Mutex
	inFlight map[string]bool
}

// Connected implements server.Service.
func (s *Service) Connected(*server.Conn) *strictjson.Object { return nil }

// Disconnected implements server.Service.
func (s *Service) Disconnected(*server.Conn) {}

// Handle implements server.Service.
func (s *Service) Handle(c *server.Conn, kind string, message *strictjson.Object) error {
	if kind != "GuestQuery" {
		return server.ErrUnknownType
	}
	f := strictjson.Read("GuestQuery", message)
	f.Text("type")
	id, what := f.Text("query_id"), f.Text("query_kind")
	f.Text("ts")
	if !uuid4.MatchString(id) {
		f.Fail(`"query_id" must be a UUID of version 4`)
	}
	if err := f.Done(); err != nil {
		return c.SendError("BAD_REQUEST", err.Error(), "refused", "GuestQuery")
	}
	limit, known := limits[what]
	if !known {
		return respond(c, id, what, "error", problem("BAD_REQUEST", "the query_kind is unknown"))
	}
	if refusal := s.enter(id); refusal != nil {
		return respond(c, id, what, "error", refusal)
	}
	// Read in a goroutine of its own: the answer is due even if the kernel is slow
	// to give what it is made of. Until that has ended the query is in flight.
	read := make(chan reading, 1)
	until := time.Now().Add(limit)
	vital.Go(func() {
		result, err := s.read(what, until)
		s.leave(id) // before the answer: who has it may use the id again
		read <- reading{result, err}
	})
	vital.Go(func() {
		late := time.NewTimer(limit)
		defer late.Stop()
		select {
		case r := <-read:
			r.respond(c, id, what)
		case <-late.C:
			reading{err: ErrLate}.respond(c, id, what)
		}
	})
	return nil
}

type reading struct {
	result *strictjson.Object
	err    error
}

func (r reading) respond(c *server.Conn, id, what string) {
	switch r.err {
	case nil:
		respond(c, id, what, "result", r.result)
	case ErrLate:
		respond(c, id, what, "error", problem("TIMEOUT", "the guest could not find it out within "+limits[what].String()))
	default:
		respond(c, id, what, "error", problem("INTERNAL_BUG", "the guest could not read it: "+r.err.Error()))
	}
}

func (s *Service) read(what string, until time.Time) (*strictjson.Object, error) {
	switch what {
	case "OpenFdCount":
		n, err := s.Inspector.OpenFDs(until)
		return strictjson.Of("open_fd_count", n), err
	case "MemUsage":
		used, total, err := s.Inspector.Memory()
		return strictjson.Of("bytes_used", used, "bytes_total", total), err
	default:
		processes, err := s.Inspector.Processes(MaxProcesses, until)
		list := make([]any, 0, len(processes))
		for _, p := range processes {
			list = append(list, strictjson.Of("name", p.Name, "pid", p.PID))
		}
		return strictjson.Of("processes", list), err
	}
}

func (s *Service) enter(id string) *strictjson.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight == nil {
		s.inFlight = map[string]bool{}
	}
	if s.inFlight[id] {
		return problem("GUEST_QUERY_DUPLICATE", "a query with this query_id is still being answered")
	}
	if len(s.inFlight) >= maxInFlight {
		return problem("BUSY", "too many queries are being answered")
	}
	s.inFlight[id] = true
	return nil
}

func (s *Service) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, id)
}

func problem(code, message string) *strictjson.Object {
	return strictjson.Of("code", code, "message", message)
}

func respond(c *server.Conn, id, kind, member string, value *strictjson.Object) error {
	return c.Send(strictjson.Of("type", "GuestResponse", "query_id", id, "query_kind", kind, member, value,
		"ts", time.Now().UTC().Format("2006-01-02T15:04:05.000Z")))
}
