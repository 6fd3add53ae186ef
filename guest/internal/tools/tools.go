// Package tools says what each tool's parameters mean: an explicit mapping to a
// program and its arguments, or to an operation of the file worker.
package tools

import (
	_ "embed"
	"errors"
	"strings"

	"brainstorm-sandbox/guest/internal/evidence"
	"brainstorm-sandbox/guest/internal/strictjson"
)

//go:embed tools.json
var catalog []byte

// maxArgument is the longest single argument Linux takes (MAX_ARG_STRLEN less
// its NUL).
const maxArgument = 128<<10 - 1

// Plan is a dispatch's tool, ready to run.
type Plan struct {
	// Argv with its program's path first; nil for the file worker.
	Argv []string
	// Worker is the operation of the file worker, given to it as JSON.
	Worker *strictjson.Object
	// Stdin replaces the dispatch's standard input where it is not nil.
	Stdin []byte
	// Root runs the tool unconfined; only the test image has such a tool.
	Root bool
}

// ErrUnknown says that there is no tool of that name.
var ErrUnknown = errors.New("no such tool")

type mapping func(f *strictjson.Fields) Plan

var registry = map[string]mapping{
	"echo": func(f *strictjson.Fields) Plan {
		// By way of standard input: an argument has a length limit, and echo's
		// own would read "-n" as an option.
		return Plan{Argv: []string{"/bin/cat"}, Stdin: []byte(f.Text("text") + "\n")}
	},
	"whoami": fixed("/bin/whoami"),
	"uname":  fixed("/bin/uname", "-a"),
	"env":    fixed("/bin/env"),
	"cat": func(f *strictjson.Fields) Plan {
		return Plan{Argv: []string{"/bin/cat", "--", argument(path(f))}}
	},
	"ls": func(f *strictjson.Fields) Plan {
		argv := []string{"/bin/ls"}
		if f.OptionalBool("all") {
			argv = append(argv, "-a")
		}
		if f.OptionalBool("long") {
			argv = append(argv, "-l")
		}
		where := "."
		if f.Has("path") {
			where = path(f)
		}
		return Plan{Argv: append(argv, "--", argument(where))}
	},
	"sh": func(f *strictjson.Fields) Plan {
		return Plan{Argv: []string{"/bin/sh", "-c", command(f)}}
	},
	"fs.read": func(f *strictjson.Fields) Plan {
		return worker("op", "read", "path", path(f),
			"offset", f.OptionalInt("offset", 0, 1<<53-1, 0),
			"length", f.OptionalInt("length", 0, evidence.WholeOutput, evidence.WholeOutput))
	},
	"fs.write": func(f *strictjson.Fields) Plan {
		plan := worker("op", "write", "path", path(f),
			"mode", f.OptionalInt("mode", 0, 0o777, 0o644),
			"append", f.OptionalBool("append"))
		if f.Has("text") == f.Has("data_b64") {
			f.Fail(`give either "text" or "data_b64"`)
		}
		if f.Has("data_b64") {
			f.Base64("data_b64")
			plan.Worker.Set("data_b64", f.Text("data_b64"))
		} else {
			plan.Worker.Set("text", f.OptionalText("text"))
		}
		return plan
	},
	"fs.list": func(f *strictjson.Fields) Plan { return worker("op", "list", "path", path(f)) },
	"fs.stat": func(f *strictjson.Fields) Plan { return worker("op", "stat", "path", path(f)) },
}

func fixed(argv ...string) mapping {
	return func(*strictjson.Fields) Plan { return Plan{Argv: argv} }
}

func worker(pairs ...any) Plan { return Plan{Worker: strictjson.Of(pairs...)} }

func path(f *strictjson.Fields) string {
	p := f.Text("path")
	if p == "" || len(p) > 4095 || strings.IndexByte(p, 0) >= 0 {
		f.Fail(`"path" must have 1 to 4095 bytes and no NUL`)
	}
	return p
}

func command(f *strictjson.Fields) string {
	c := f.Text("command")
	if c == "" || len(c) > maxArgument || strings.IndexByte(c, 0) >= 0 {
		f.Fail(`"command" must have 1 to %d bytes and no NUL; send more through stdin or a file`, maxArgument)
	}
	return c
}

// argument keeps "-" from meaning standard input.
func argument(p string) string {
	if p == "-" {
		return "./-"
	}
	return p
}

// Resolve maps a tool and its parameters, or says what is wrong with them.
func Resolve(tool string, params *strictjson.Object) (Plan, error) {
	m, ok := registry[tool]
	if !ok {
		return Plan{}, ErrUnknown
	}
	f := strictjson.Read("params of "+tool, params)
	plan := m(f)
	return plan, f.Done()
}

// Catalog is the tools array of the image manifest and of Hello.
func Catalog() ([]any, error) {
	v, err := strictjson.Parse(catalog)
	if err != nil {
		return nil, err
	}
	return append(v.([]any), extraCatalog()...), nil
}
