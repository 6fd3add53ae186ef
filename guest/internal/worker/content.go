//go:build linux

package worker

import (
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"brainstorm-sandbox/guest/internal/evidence"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// openRegular opens without waiting (a FIFO would block for ever) and refuses
// whatever is no regular file.
func openRegular(path string, flags int, mode os.FileMode) (*os.File, os.FileInfo, error) {
	file, err := os.OpenFile(path, flags|syscall.O_NONBLOCK|syscall.O_CLOEXEC, mode)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = pathError(path, "is not a regular file but a "+kind(info.Mode()))
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func read(f *strictjson.Fields, stdout io.Writer) error {
	path := f.Text("path")
	offset, length := f.Int("offset", 0, 1<<53-1), f.Int("length", 0, evidence.WholeOutput)
	if err := f.Done(); err != nil {
		return err
	}
	file, _, err := openRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if offset > 0 {
		if _, err := file.Seek(offset, io.SeekStart); err != nil {
			return err
		}
	}
	_, err = io.Copy(stdout, io.LimitReader(file, length))
	return err
}

func write(f *strictjson.Fields) error {
	path := f.Text("path")
	mode, more := f.Int("mode", 0, 0o777), f.OptionalBool("append")
	var data []byte
	if f.Has("data_b64") {
		data = f.Base64("data_b64")
	} else {
		data = []byte(f.Text("text"))
	}
	if err := f.Done(); err != nil {
		return err
	}
	flags := os.O_TRUNC
	if more {
		flags = os.O_APPEND
	}
	return store(path, flags, mode, data)
}

// put writes the files that travel in with a dispatch.
func put(f *strictjson.Fields) error {
	files := f.OptionalList("files")
	if err := f.Done(); err != nil {
		return err
	}
	for _, v := range files {
		o, _ := v.(*strictjson.Object)
		if o == nil {
			o = &strictjson.Object{}
		}
		ff := strictjson.Read("file", o)
		path, mode, data := ff.Text("path"), ff.Int("mode", 0, 0o777), ff.Base64("data_b64")
		if err := ff.Done(); err != nil {
			return err
		}
		if err := store(path, os.O_TRUNC, mode, data); err != nil {
			return err
		}
	}
	return nil
}

func store(path string, flags int, mode int64, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, _, err := openRegular(path, os.O_WRONLY|os.O_CREATE|flags, 0o600)
	if err != nil {
		return err
	}
	if _, err = file.Write(data); err == nil {
		err = file.Chmod(os.FileMode(mode))
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// get reads the files that travel out: one entry a path, in the order asked.
func get(f *strictjson.Fields, stdout io.Writer) error {
	paths, budget := f.OptionalList("paths"), f.Int("budget", 0, 8<<20)
	if err := f.Done(); err != nil {
		return err
	}
	answers := make([]any, 0, len(paths))
	for _, v := range paths {
		path, _ := v.(string)
		answer, size, err := fetch(path, budget)
		if err != nil {
			answer = strictjson.Of("path", path, "error", problem(err))
		}
		budget -= size
		answers = append(answers, answer)
	}
	out, err := jcs.Marshal(answers)
	if err != nil {
		return err
	}
	_, err = stdout.Write(out)
	return err
}

func fetch(path string, budget int64) (*strictjson.Object, int64, error) {
	file, info, err := openRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	// Not the size that stat gives: a file in /proc says 0.
	data, err := io.ReadAll(io.LimitReader(file, budget+1))
	if err != nil {
		return nil, 0, err
	}
	if int64(len(data)) > budget {
		return nil, 0, pathError(path, "does not fit: files in and out may have 8 MiB together")
	}
	return strictjson.Of("path", path, "mode", int64(info.Mode().Perm()),
		"data_b64", base64.StdEncoding.EncodeToString(data)), int64(len(data)), nil
}
