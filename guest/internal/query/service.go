//go:build linux

package query

import (
	"sync"
	"time"

	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
	"brainstorm-sandbox/guest/internal/vital"
)

// maxInFlight bounds how many queries are worked on at a time.
const maxInFlight = 64

// Service answers GuestQuery.
type Service struct {
	Inspector *Inspector

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
	if len(id) == 0 || len(id) > 128 {
		f.Fail(`"query_id" must have 1 to 128 bytes`)
	}
	if err := f.Done(); err != nil {
		return c.SendError("BAD_REQUEST", err.Error(), "refused", "GuestQuery")
	}
	answer, known := s.answers()[what]
	if !known {
		return respond(c, id, what, "error", problem("BAD_REQUEST", "the query_kind is unknown"))
	}
	if refusal := s.enter(id); refusal != nil {
		return respond(c, id, what, "error", refusal)
	}
	vital.Go(func() {
		defer s.leave(id)
		result, err := answer()
		if err != nil {
			respond(c, id, what, "error", problem("INTERNAL_BUG", "the guest could not read it: "+err.Error()))
			return
		}
		respond(c, id, what, "result", result)
	})
	return nil
}

func (s *Service) answers() map[string]func() (*strictjson.Object, error) {
	return map[string]func() (*strictjson.Object, error){
		"OpenFdCount": func() (*strictjson.Object, error) {
			n, err := s.Inspector.OpenFDs()
			return strictjson.Of("open_fd_count", n), err
		},
		"MemUsage": func() (*strictjson.Object, error) {
			used, total, err := s.Inspector.Memory()
			return strictjson.Of("bytes_used", used, "bytes_total", total), err
		},
		"ProcessList": func() (*strictjson.Object, error) {
			processes, err := s.Inspector.Processes(MaxProcesses)
			list := make([]any, 0, len(processes))
			for _, p := range processes {
				list = append(list, strictjson.Of("name", p.Name, "pid", p.PID))
			}
			return strictjson.Of("processes", list), err
		},
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
