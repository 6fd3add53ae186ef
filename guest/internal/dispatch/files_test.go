//go:build linux

package dispatch

import (
	"strings"
	"testing"

	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

func file(path string, size int) any {
	return strictjson.Of("path", path, "mode", int64(0o644), "data_b64", strings.Repeat("A", size))
}

func TestFilesThatAResultCannotCarryAreReplacedByTheReason(t *testing.T) {
	const room = 10_000
	files := fitting([]any{file("a", 4000), file("b", 4000), file("c", 4000)}, room)
	encoded, err := jcs.Marshal(files)
	if err != nil || len(encoded) > room {
		t.Fatalf("%d bytes in a room of %d: %v", len(encoded), room, err)
	}
	for i, kept := range []bool{true, true, false} {
		answer := files[i].(*strictjson.Object)
		if _, has := answer.Get("data_b64"); has != kept {
			t.Errorf("file %d kept: %v", i, has)
		}
		if _, has := answer.Get("error"); has == kept {
			t.Errorf("file %d has a reason: %v", i, has)
		}
	}
}

func TestFilesThatFitStay(t *testing.T) {
	files := fitting([]any{file("a", 4000), file("b", 4000)}, 10_000)
	for _, f := range files {
		if _, has := f.(*strictjson.Object).Get("data_b64"); !has {
			t.Error("a file that fits is gone")
		}
	}
}

func TestASentenceStaysShort(t *testing.T) {
	if n := len(sentence([]byte(strings.Repeat("x", 10_000)), "")); n > longestSentence {
		t.Errorf("%d bytes", n)
	}
}
