//go:build linux

// Package worker touches files for the dispatcher: a process like any tool,
// under the same confinement, never root. It takes one order as JSON on its
// standard input.
package worker

import (
	"errors"
	"io"
	"os"

	"brainstorm-sandbox/guest/internal/strictjson"
)

// Main carries out one order and returns the exit code: 0, or 1 with a sentence
// on stderr.
func Main(stdin io.Reader, stdout, stderr io.Writer) int {
	if err := carryOut(stdin, stdout); err != nil {
		io.WriteString(stderr, explain(err)+"\n")
		return 1
	}
	return 0
}

func carryOut(stdin io.Reader, stdout io.Writer) error {
	data, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	order, err := strictjson.ParseObject(data)
	if err != nil {
		return err
	}
	f := strictjson.Read("order", order)
	switch op := f.Text("op"); op {
	case "read":
		return read(f, stdout)
	case "write":
		return write(f)
	case "list":
		return list(f, stdout)
	case "stat":
		return stat(f, stdout)
	case "put":
		return put(f)
	case "get":
		return get(f, stdout)
	default:
		return errors.New("unknown order " + op)
	}
}

// explain makes a sentence of an error: path first, then what is wrong.
func explain(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return err.Error()
}

// problem is explain without the path, for an answer that names it already.
func problem(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func pathError(path, problem string) error {
	return &os.PathError{Op: "open", Path: path, Err: errors.New(problem)}
}
