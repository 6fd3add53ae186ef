// Package dispatch runs one tool for the host and reports what it did.
package dispatch

import (
	"errors"
	"regexp"
	"strings"

	"brainstorm-sandbox/guest/internal/evidence"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

const (
	minDeadline = 100       // milliseconds
	maxDeadline = 3_600_000 // milliseconds
	maxFiles    = 256
	maxOutPaths = 512 << 10 // as JSON
	// MaxFileBytes bounds files in and out together (protocol §2).
	MaxFileBytes = 8 << 20
	maxPath      = 4095
)

var commandIDForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

type fileIn struct {
	path   string
	mode   int64
	data   []byte
	base64 string
}

type request struct {
	commandID string
	tool      string
	params    *strictjson.Object
	deadline  int64
	filesIn   []fileIn
	filesOut  []string
	askedOut  bool
	hasStdin  bool
	stdin     []byte
	cwd       string
	env       *strictjson.Object
}

// decode reads a ToolDispatch. Its error is for a message that yields no
// evidence chain, because what was asked cannot be told from it.
func decode(message *strictjson.Object) (*request, error) {
	f := strictjson.Read("ToolDispatch", message)
	f.Text("type")
	r := &request{
		commandID: f.Text("command_id"),
		tool:      f.Text("tool"),
		params:    f.Object("params"),
		deadline:  f.Int("deadline_ms", minDeadline, maxDeadline),
	}
	if !commandIDForm.MatchString(r.commandID) {
		f.Fail(`"command_id" must have 1 to 128 letters, digits or ._:-`)
	}
	r.decodeFiles(f)
	if r.hasStdin = f.Has("stdin_b64"); r.hasStdin {
		r.stdin = f.Base64("stdin_b64")
	} else {
		f.Any("stdin_b64")
	}
	r.cwd = f.OptionalText("cwd")
	if f.Has("cwd") && !plainPath(r.cwd) {
		f.Fail(`"cwd" must have 1 to %d bytes and no NUL`, maxPath)
	}
	if f.Has("env") {
		r.env = f.Object("env")
		for _, m := range r.env.Members {
			value, ok := m.Value.(string)
			if !ok || m.Key == "" || strings.ContainsAny(m.Key, "=\x00") || strings.IndexByte(value, 0) >= 0 {
				f.Fail(`"env" must map names to strings without NUL`)
			}
		}
	} else {
		f.Any("env")
	}
	return r, f.Done()
}

func (r *request) decodeFiles(f *strictjson.Fields) {
	total := 0
	in, out := f.OptionalList("files_in"), f.OptionalList("files_out")
	r.askedOut = f.Has("files_out")
	if len(in) > maxFiles || len(out) > maxFiles {
		f.Fail("at most %d files go in and %d come out", maxFiles, maxFiles)
		return
	}
	for _, v := range in {
		o, ok := v.(*strictjson.Object)
		if !ok {
			f.Fail(`"files_in" must hold objects`)
			return
		}
		ff := strictjson.Read("files_in", o)
		file := fileIn{path: ff.Text("path"), mode: ff.Int("mode", 0, 0o777), data: ff.Base64("data_b64"), base64: ff.Text("data_b64")}
		if err := ff.Done(); err != nil {
			f.Fail("%v", err)
		}
		if !plainPath(file.path) {
			f.Fail(`a path of "files_in" must have 1 to %d bytes and no NUL`, maxPath)
		}
		total += len(file.data)
		r.filesIn = append(r.filesIn, file)
	}
	if total > MaxFileBytes {
		f.Fail("the files in have more than 8 MiB together")
	}
	for _, v := range out {
		p, ok := v.(string)
		if !ok || !plainPath(p) {
			f.Fail(`"files_out" must hold paths of 1 to %d bytes without NUL`, maxPath)
		}
		r.filesOut = append(r.filesOut, p)
	}
	// The result record names every one again, and it has to fit a chunk.
	if encoded, err := jcs.Marshal(out); err == nil && len(encoded) > maxOutPaths {
		f.Fail(`the paths of "files_out" have more than %d KiB together`, maxOutPaths>>10)
	}
}

func plainPath(p string) bool {
	return p != "" && len(p) <= maxPath && strings.IndexByte(p, 0) < 0
}

// record is the dispatch record, which the host builds as well and compares.
func (r *request) record(epoch int64) ([]byte, error) {
	o := strictjson.Of("command_id", r.commandID, "tool", r.tool, "params", r.params,
		"deadline_ms", r.deadline, "epoch", epoch)
	if r.filesIn != nil {
		list := make([]any, 0, len(r.filesIn))
		for _, file := range r.filesIn {
			list = append(list, strictjson.Of("path", file.path, "mode", file.mode, "digest", evidence.Digest(file.data)))
		}
		o.Set("files_in", list)
	}
	if r.askedOut {
		list := make([]any, 0, len(r.filesOut))
		for _, p := range r.filesOut {
			list = append(list, p)
		}
		o.Set("files_out", list)
	}
	if r.hasStdin {
		o.Set("stdin", evidence.Digest(r.stdin))
	}
	if r.cwd != "" {
		o.Set("cwd", r.cwd)
	}
	if r.env != nil {
		o.Set("env", r.env)
	}
	record, err := jcs.Marshal(o)
	if err == nil && len(record) > evidence.MaxChunk {
		err = errors.New("the dispatch record is larger than 1 MiB; send large data as files_in or stdin_b64")
	}
	return record, err
}
