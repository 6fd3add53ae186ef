//go:build linux

package worker

import (
	"encoding/base64"
	"io"
	"os"
	"sort"
	"syscall"
	"unicode/utf8"

	"brainstorm-sandbox/guest/internal/evidence"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// maxEntries bounds a listing; the rest is left out and said to be.
const maxEntries = 10_000

func list(f *strictjson.Fields, stdout io.Writer) error {
	path := f.Text("path")
	if err := f.Done(); err != nil {
		return err
	}
	folder, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer folder.Close()
	found, err := folder.Readdir(maxEntries + 1)
	if err != nil && err != io.EOF {
		return err
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Name() < found[j].Name() })
	truncated := len(found) > maxEntries
	if truncated {
		found = found[:maxEntries]
	}
	answer := func(entries []any) *strictjson.Object {
		return strictjson.Of("path", path, "entries", entries, "truncated", truncated)
	}
	frame, err := jcs.Marshal(answer(nil))
	if err != nil {
		return err
	}
	// What a result cannot carry whole would be cut, and be no JSON any more.
	room := evidence.WholeOutput - len(frame) - len("\n")
	entries := make([]any, 0, len(found))
	for _, info := range found {
		entry := describe(info)
		encoded, err := jcs.Marshal(entry)
		if err != nil {
			return err
		}
		if room -= len(encoded) + len(","); room < 0 {
			truncated = true
			break
		}
		entries = append(entries, entry)
	}
	return emit(stdout, answer(entries))
}

func stat(f *strictjson.Fields, stdout io.Writer) error {
	path := f.Text("path")
	if err := f.Done(); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	o := describe(info)
	o.Set("path", path)
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		o.Set("uid", int64(sys.Uid))
		o.Set("gid", int64(sys.Gid))
	}
	if target, err := os.Readlink(path); err == nil && utf8.ValidString(target) {
		o.Set("target", target)
	}
	return emit(stdout, o)
}

// describe gives a name that is no UTF-8 as name_b64.
func describe(info os.FileInfo) *strictjson.Object {
	o := strictjson.Of("type", kind(info.Mode()), "size", info.Size(),
		"mode", int64(info.Mode().Perm()), "mtime_ms", info.ModTime().UnixMilli())
	if utf8.ValidString(info.Name()) {
		o.Set("name", info.Name())
	} else {
		o.Set("name_b64", base64.StdEncoding.EncodeToString([]byte(info.Name())))
	}
	return o
}

func kind(mode os.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "directory"
	case mode&os.ModeSymlink != 0:
		return "symlink"
	case mode&os.ModeNamedPipe != 0:
		return "fifo"
	case mode&os.ModeSocket != 0:
		return "socket"
	default:
		return "device"
	}
}

func emit(stdout io.Writer, o *strictjson.Object) error {
	out, err := jcs.Marshal(o)
	if err != nil {
		return err
	}
	_, err = stdout.Write(append(out, '\n'))
	return err
}
