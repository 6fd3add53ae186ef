//go:build linux

package dispatch

import (
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"brainstorm-sandbox/guest/internal/evidence"
	"brainstorm-sandbox/guest/internal/frame"
	"brainstorm-sandbox/guest/internal/guest"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/spawn"
	"brainstorm-sandbox/guest/internal/strictjson"
	"brainstorm-sandbox/guest/internal/tools"
	"brainstorm-sandbox/guest/internal/vital"
)

// Exit codes of our own making (protocol §3).
const (
	exitUnknownTool = 127
	exitKilled      = 137
	exitNotRun      = 254
)

// Service answers ToolDispatch on port 1024 and feeds port 1025.
type Service struct {
	State    *guest.State
	Runner   *Runner
	Evidence *EvidencePort

	mu      sync.Mutex
	running map[*server.Conn]string
}

// Connected implements server.Service.
func (s *Service) Connected(*server.Conn) *strictjson.Object { return nil }

// Disconnected cancels what the connection had running: nobody would hear of it.
func (s *Service) Disconnected(c *server.Conn) {
	s.mu.Lock()
	commandID := s.running[c]
	s.mu.Unlock()
	if commandID != "" {
		s.State.Kill(commandID)
	}
}

// Handle implements server.Service. The dispatch itself runs beside, so that
// the connection goes on answering Ping and notices its own end.
func (s *Service) Handle(c *server.Conn, kind string, message *strictjson.Object) error {
	if kind != "ToolDispatch" {
		return server.ErrUnknownType
	}
	r, err := decode(message)
	if err != nil {
		extra := []any{"refused", "ToolDispatch"}
		if r.commandID != "" {
			extra = append(extra, "command_id", r.commandID)
		}
		return c.SendError("BAD_REQUEST", err.Error(), extra...)
	}
	record, err := r.record(s.State.Facts().Epoch)
	if err != nil {
		return c.SendError("BAD_REQUEST", err.Error(), "refused", "ToolDispatch", "command_id", r.commandID)
	}
	stop := newStopper()
	out := &outcome{request: r, started: time.Now()}
	refusal := s.Evidence.ready()
	out.chain = evidence.NewChain(r.commandID, s.Evidence.send)
	plan, err := tools.Resolve(r.tool, r.params)
	switch {
	case refusal != nil:
		out.refuse(exitNotRun, refusal)
	case errors.Is(err, tools.ErrUnknown):
		out.refuse(exitUnknownTool, &guest.Refusal{Code: "TOOL_NOT_REGISTERED", Message: "the guest has no tool of this name"})
	case err != nil:
		out.refuse(exitNotRun, &guest.Refusal{Code: "BAD_REQUEST", Message: err.Error()})
	default:
		if err := s.State.Begin(r.commandID, func() { stop.stop("CANCELLED") }); err != nil {
			out.refuse(exitNotRun, err)
		}
	}
	if out.failure != nil {
		out.chain.Record(record, false)
		return c.Send(out.finish())
	}
	s.setRunning(c, r.commandID)
	vital.Go(func() {
		s.perform(out, plan, record, stop)
		s.setRunning(c, "")
		result := out.finish()
		s.State.End()
		c.Send(result)
		s.Runner.Replenish()
	})
	return nil
}

func (s *Service) setRunning(c *server.Conn, commandID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = map[*server.Conn]string{}
	}
	if commandID == "" {
		delete(s.running, c)
	} else {
		s.running[c] = commandID
	}
}

// perform runs the tool and fills the outcome.
func (s *Service) perform(out *outcome, plan tools.Plan, record []byte, stop *stopper) {
	r := out.request
	deadline := time.AfterFunc(time.Duration(r.deadline)*time.Millisecond, func() { stop.stop("SANDBOX_TOOL_TIMEOUT") })
	defer deadline.Stop()
	if err := out.chain.Record(record, false); err != nil {
		out.refuse(exitNotRun, evidenceLost())
		return
	}
	spec, stdin, err := specify(r, plan)
	if err != nil {
		out.refuse(exitNotRun, err)
		return
	}
	if len(r.filesIn) > 0 {
		if err := s.Runner.putFiles(spec, r.filesIn, stop); err != nil {
			out.refuse(exitNotRun, err)
			out.stopped(stop)
			return
		}
	}
	code, err := s.Runner.run(spec, stdin, out.sink(stop), stop)
	deadline.Stop()
	if err != nil {
		out.refuse(exitNotRun, err)
	} else {
		out.exitCode = code
	}
	out.stopped(stop)
	if r.askedOut && stop.stopped() != "CANCELLED" {
		out.files = s.Runner.getFiles(spec, r.filesIn, r.filesOut)
	}
}

// specify turns a plan into a process.
func specify(r *request, plan tools.Plan) (spawn.Spec, []byte, error) {
	spec := spawn.Spec{Argv: plan.Argv, Env: environment(r.env), Dir: r.cwd, Unconfined: plan.Root}
	if spec.Dir == "" {
		spec.Dir = home
	}
	stdin := r.stdin
	if r.hasStdin && stdin == nil {
		stdin = []byte{}
	}
	if plan.Stdin != nil {
		stdin = plan.Stdin
	}
	if plan.Worker == nil {
		spec.Path = plan.Argv[0]
		return spec, stdin, nil
	}
	order, err := jcs.Marshal(plan.Worker)
	spec.Argv = workerArgv
	return spec, order, err
}

const home = "/home/sandbox"

var workerArgv = []string{"bsm-files"}

var baseEnvironment = [][2]string{
	{"HOME", home}, {"LANG", "C.UTF-8"}, {"LOGNAME", "sandbox"},
	{"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}, {"SHELL", "/bin/sh"}, {"USER", "sandbox"},
}

func environment(extra *strictjson.Object) []string {
	if extra == nil {
		extra = &strictjson.Object{}
	}
	list := make([]string, 0, len(baseEnvironment)+len(extra.Members))
	for _, pair := range baseEnvironment {
		if _, replaced := extra.Get(pair[0]); !replaced {
			list = append(list, pair[0]+"="+pair[1])
		}
	}
	for _, m := range extra.Members {
		list = append(list, m.Key+"="+m.Value.(string))
	}
	return list
}

// outcome gathers what a dispatch came to.
type outcome struct {
	request  *request
	chain    *evidence.Chain
	started  time.Time
	exitCode int
	failure  *guest.Refusal
	files    []any
	mu       sync.Mutex
	captures [2]evidence.Capture
}

func (o *outcome) refuse(code int, err error) {
	var refusal *guest.Refusal
	var directory *spawn.DirectoryError
	if errors.As(err, &directory) {
		refusal = &guest.Refusal{Code: "BAD_REQUEST", Message: err.Error()}
	} else if !errors.As(err, &refusal) {
		refusal = &guest.Refusal{Code: "VM_LIFECYCLE_ERROR", Message: err.Error()}
	}
	o.exitCode, o.failure = code, refusal
}

// stopped lets the reason of a stop prevail over how the tool then ended.
func (o *outcome) stopped(stop *stopper) {
	sentences := map[string]string{
		"SANDBOX_TOOL_TIMEOUT": "the tool was killed at its deadline",
		"OUTPUT_LIMIT":         "the tool was killed because it put out more than 64 MiB",
		"CANCELLED":            "the tool was cancelled",
	}
	switch reason := stop.stopped(); reason {
	case "":
	case "GUEST_UNREACHABLE":
		o.refuse(exitNotRun, evidenceLost())
	default:
		o.refuse(exitKilled, &guest.Refusal{Code: reason, Message: sentences[reason]})
	}
}

func evidenceLost() error {
	return &guest.Refusal{Code: "GUEST_UNREACHABLE", Message: "the evidence connection is not there; reconnect port 1025"}
}

// sink records output in the chain and for the result, up to the limit.
func (o *outcome) sink(stop *stopper) sinkFunc {
	return func(stream byte, data []byte) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		room := evidence.MaxOutput - int(o.captures[0].Bytes+o.captures[1].Bytes)
		over := len(data) > room
		if over {
			data = data[:room]
		}
		if len(data) > 0 {
			if err := o.chain.Output(stream, data); err != nil {
				stop.stop("GUEST_UNREACHABLE")
				return err
			}
			o.captures[stream-1].Write(data)
		}
		if over {
			stop.stop("OUTPUT_LIMIT")
			return errStop
		}
		return nil
	}
}

// finish ends the chain and makes the ToolResult. The files are made to fit the
// result before the result record names them.
func (o *outcome) finish() *strictjson.Object {
	duration := time.Since(o.started).Milliseconds()
	truncated := strictjson.Of("stdout", o.captures[0].Truncated(), "stderr", o.captures[1].Truncated())
	stdout, stdoutEncoding := o.captures[0].Text()
	stderr, stderrEncoding := o.captures[1].Text()
	result := strictjson.Of("type", "ToolResult", "command_id", o.request.commandID, "exit_code", o.exitCode,
		"stdout", stdout, "stderr", stderr, "truncated", truncated,
		"stdout_bytes", o.captures[0].Bytes, "stderr_bytes", o.captures[1].Bytes,
		"encoding", strictjson.Of("stdout", stdoutEncoding, "stderr", stderrEncoding), "duration_ms", duration)
	terminal := strictjson.Of("exit_code", o.exitCode, "truncated", truncated, "duration_ms", duration)
	if o.failure != nil {
		terminal.Set("error", o.failure.Code)
		result.Set("error", strictjson.Of("code", o.failure.Code, "message", o.failure.Message))
	}
	if o.files != nil {
		if encoded, err := jcs.Marshal(result); err == nil {
			o.files = fitting(o.files, frame.MaxLarge-len(encoded)-resultMargin)
		}
		terminal.Set("files", fileDigests(o.files))
		result.Set("files", o.files)
	}
	if record, err := jcs.Marshal(terminal); err == nil {
		o.chain.Record(record, true)
	}
	result.Set("evidence_hash", o.chain.Hash())
	return result
}

// resultMargin is for what a result gets after it was measured: its hash and
// the files' key.
const resultMargin = 256

func fileDigests(files []any) []any {
	list := make([]any, 0, len(files))
	for _, v := range files {
		file := v.(*strictjson.Object)
		data, ok := file.Get("data_b64")
		if !ok {
			list = append(list, file)
			continue
		}
		bytes, _ := base64.StdEncoding.DecodeString(data.(string))
		path, _ := file.Get("path")
		mode, _ := file.Get("mode")
		list = append(list, strictjson.Of("path", path, "mode", mode, "digest", evidence.Digest(bytes)))
	}
	return list
}
