//go:build linux

package worker

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"brainstorm-sandbox/guest/internal/evidence"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

func do(t *testing.T, pairs ...any) (out, complaint string, code int) {
	t.Helper()
	order, err := jcs.Marshal(strictjson.Of(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code = Main(bytes.NewReader(order), &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

func TestBytesComeBackAsTheyWereWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a/b/c")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if _, why, code := do(t, "op", "write", "path", path, "mode", 0o640, "append", false, "data_b64", base64.StdEncoding.EncodeToString(all)); code != 0 {
		t.Fatal(why)
	}
	if _, why, code := do(t, "op", "write", "path", path, "mode", 0o600, "append", true, "text", "é"); code != 0 {
		t.Fatal(why)
	}
	if out, why, code := do(t, "op", "read", "path", path, "offset", 0, "length", 1000); code != 0 || out != string(all)+"é" {
		t.Errorf("%d bytes, %s", len(out), why)
	}
	if out, _, _ := do(t, "op", "read", "path", path, "offset", 250, "length", 3); out != "\xfa\xfb\xfc" {
		t.Errorf("%q", out)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestWhatIsNoRegularFileIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{fifo: "fifo", dir: "directory", "/dev/zero": "device"} {
		if _, why, code := do(t, "op", "read", "path", path, "offset", 0, "length", 10); code != 1 || !strings.Contains(why, "not a regular file but a "+kind) {
			t.Errorf("%s: %d %q", path, code, why)
		}
	}
	if _, why, code := do(t, "op", "write", "path", fifo, "mode", 0o600, "append", false, "text", "x"); code != 1 {
		t.Errorf("a fifo was written to: %q", why)
	}
}

func TestFilesOutAreAnsweredOneByOneWithinTheBudget(t *testing.T) {
	dir := t.TempDir()
	small, big := filepath.Join(dir, "small"), filepath.Join(dir, "big")
	os.WriteFile(small, []byte("hi"), 0o644)
	os.WriteFile(big, make([]byte, 100), 0o644)
	out, why, code := do(t, "op", "get", "budget", 50, "paths", []any{small, big, dir + "/none", small})
	if code != 0 {
		t.Fatal(why)
	}
	v, err := strictjson.Parse([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	list := v.([]any)
	if len(list) != 4 {
		t.Fatal(out)
	}
	for i, want := range []string{"aGk=", "", "", "aGk="} {
		data, ok := list[i].(*strictjson.Object).Get("data_b64")
		if want == "" {
			if problem, _ := list[i].(*strictjson.Object).Get("error"); problem == nil || ok {
				t.Errorf("%d: %v", i, list[i])
			}
		} else if data != want {
			t.Errorf("%d: %v", i, data)
		}
	}
}

func TestAFolderIsListedInOrder(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "b"), []byte("12"), 0o640)
	os.WriteFile(filepath.Join(dir, "bad\xff"), nil, 0o600)
	os.Mkdir(filepath.Join(dir, "a"), 0o755)
	os.Symlink("b", filepath.Join(dir, "c"))
	out, why, code := do(t, "op", "list", "path", dir)
	if code != 0 {
		t.Fatal(why)
	}
	if strings.Index(out, `"name":"a"`) > strings.Index(out, `"name":"b"`) || !strings.Contains(out, `"type":"symlink"`) ||
		!strings.Contains(out, `"name_b64":"YmFk/w=="`) || !strings.Contains(out, `"truncated":false`) {
		t.Error(out)
	}
	if out, _, _ := do(t, "op", "stat", "path", filepath.Join(dir, "c")); !strings.Contains(out, `"target":"b"`) {
		t.Error(out)
	}
}

func TestALargeFileComesWholeInPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	all := make([]byte, 2*evidence.WholeOutput+12345)
	for i := range all {
		all[i] = byte(i * 7 >> 3)
	}
	os.WriteFile(path, all, 0o600)
	var got []byte
	for {
		out, why, code := do(t, "op", "read", "path", path, "offset", len(got), "length", evidence.WholeOutput)
		if code != 0 {
			t.Fatal(why)
		}
		var capture evidence.Capture
		capture.Write([]byte(out))
		if capture.Truncated() {
			t.Fatalf("a page of %d bytes would be cut", len(out))
		}
		got = append(got, out...)
		if len(out) < evidence.WholeOutput {
			break
		}
	}
	if !bytes.Equal(got, all) {
		t.Errorf("%d bytes that differ from the %d there were", len(got), len(all))
	}
}

func TestAListingIsNeverCut(t *testing.T) {
	dir := t.TempDir()
	const files = 1200
	for i := 0; i < files; i++ {
		name := strings.Repeat("\x01", 240) + strconv.Itoa(i) // six bytes of JSON each
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, why, code := do(t, "op", "list", "path", dir)
	if code != 0 {
		t.Fatal(why)
	}
	if len(out) > evidence.WholeOutput || len(out) < evidence.WholeOutput*9/10 {
		t.Errorf("%d bytes", len(out))
	}
	o, err := strictjson.ParseObject([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	f := strictjson.Read("listing", o)
	if n := len(f.OptionalList("entries")); n == 0 || n >= files || !f.OptionalBool("truncated") {
		t.Errorf("%d entries", n)
	}
}

func TestFilesInReplaceWhatWasThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x/y")
	for _, content := range []string{"longer", "new"} {
		file := strictjson.Of("path", path, "mode", 0o755, "data_b64", base64.StdEncoding.EncodeToString([]byte(content)))
		if _, why, code := do(t, "op", "put", "files", []any{file}); code != 0 {
			t.Fatal(why)
		}
	}
	if data, err := os.ReadFile(path); string(data) != "new" || err != nil {
		t.Errorf("%q %v", data, err)
	}
}

func TestANonsenseOrderIsRefused(t *testing.T) {
	for _, text := range []string{``, `{}`, `{"op":"dance"}`, `{"op":"read"}`, `{"op":"read","path":"x","offset":0,"length":1,"z":1}`} {
		var stdout, stderr bytes.Buffer
		if code := Main(strings.NewReader(text), &stdout, &stderr); code != 1 || stderr.Len() == 0 {
			t.Errorf("%s: %d %q", text, code, stderr.String())
		}
	}
}
