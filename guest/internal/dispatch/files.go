//go:build linux

package dispatch

import (
	"strings"
	"time"

	"brainstorm-sandbox/guest/internal/guest"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/spawn"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// collectDeadline bounds fetching the files out, which comes after the tool's
// own deadline.
const collectDeadline = 10 * time.Second

// longestSentence bounds what is repeated for every file of a list.
const longestSentence = 512

// asWorker is the same process setting with our file worker in it; files are
// never touched as root.
func asWorker(spec spawn.Spec) spawn.Spec {
	return spawn.Spec{Argv: workerArgv, Env: environment(nil), Dir: spec.Dir}
}

func (r *Runner) putFiles(spec spawn.Spec, files []fileIn, stop *stopper) error {
	list := make([]any, 0, len(files))
	for _, file := range files {
		list = append(list, strictjson.Of("path", file.path, "mode", file.mode, "data_b64", file.base64))
	}
	order, err := jcs.Marshal(strictjson.Of("op", "put", "files", list))
	if err != nil {
		return err
	}
	_, complaint, code, err := r.collect(asWorker(spec), order, 64<<10, stop)
	if err != nil {
		return err
	}
	if code != 0 {
		return &guest.Refusal{Code: "BAD_REQUEST", Message: sentence(complaint, "the files could not be written")}
	}
	return nil
}

// getFiles always answers with one entry a path, in the order asked.
func (r *Runner) getFiles(spec spawn.Spec, in []fileIn, paths []string) []any {
	budget := int64(MaxFileBytes)
	for _, file := range in {
		budget -= int64(len(file.data))
	}
	list := make([]any, 0, len(paths))
	for _, p := range paths {
		list = append(list, p)
	}
	order, err := jcs.Marshal(strictjson.Of("op", "get", "paths", list, "budget", budget))
	if err != nil {
		return failedFiles(paths, err.Error())
	}
	stop := newStopper()
	timer := time.AfterFunc(collectDeadline, func() { stop.stop("TIMEOUT") })
	defer timer.Stop()
	out, complaint, code, err := r.collect(asWorker(spec), order, 14<<20, stop)
	if err != nil {
		return failedFiles(paths, err.Error())
	}
	if code != 0 {
		return failedFiles(paths, sentence(complaint, "the file could not be read"))
	}
	v, err := strictjson.Parse(out)
	files, ok := v.([]any)
	if err != nil || !ok || len(files) != len(paths) {
		return failedFiles(paths, "the file could not be read")
	}
	return files
}

// fitting replaces the files that a result of at most room more bytes cannot
// carry, beginning with the last, by the reason.
func fitting(files []any, room int) []any {
	sizes := make([]int, len(files))
	total := 0
	for i, file := range files {
		encoded, err := jcs.Marshal(file)
		if err != nil {
			return files
		}
		sizes[i] = len(encoded) + 1
		total += sizes[i]
	}
	for i := len(files) - 1; i >= 0 && total > room; i-- {
		file := files[i].(*strictjson.Object)
		if _, content := file.Get("data_b64"); !content {
			continue
		}
		path, _ := file.Get("path")
		files[i] = strictjson.Of("path", path, "error", "does not fit: the result with its output and files is limited to 16 MiB")
		encoded, _ := jcs.Marshal(files[i])
		total += len(encoded) + 1 - sizes[i]
	}
	return files
}

func failedFiles(paths []string, why string) []any {
	list := make([]any, 0, len(paths))
	for _, p := range paths {
		list = append(list, strictjson.Of("path", p, "error", why))
	}
	return list
}

func sentence(complaint []byte, otherwise string) string {
	if len(complaint) > longestSentence {
		complaint = complaint[:longestSentence]
	}
	s := strings.TrimSpace(strings.ToValidUTF8(string(complaint), "\uFFFD"))
	if s == "" {
		return otherwise
	}
	return s
}
