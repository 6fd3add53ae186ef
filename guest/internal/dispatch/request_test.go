//go:build linux

package dispatch

import (
	"strings"
	"testing"

	"brainstorm-sandbox/guest/internal/strictjson"
)

func parse(t *testing.T, text string) *strictjson.Object {
	t.Helper()
	o, err := strictjson.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

const plain = `"type":"ToolDispatch","command_id":"c-1","tool":"sh","params":{"command":"true"},"deadline_ms":5000`

func TestTheRecordSaysWhatWasAskedAndNoMore(t *testing.T) {
	for extra, want := range map[string]string{
		``: `{"command_id":"c-1","deadline_ms":5000,"epoch":3,"params":{"command":"true"},"tool":"sh"}`,
		`,"stdin_b64":""`: `{"command_id":"c-1","deadline_ms":5000,"epoch":3,"params":{"command":"true"},` +
			`"stdin":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","tool":"sh"}`,
		`,"files_out":[],"cwd":"/tmp","env":{"B":"2","A":"1"}`: `{"command_id":"c-1","cwd":"/tmp","deadline_ms":5000,` +
			`"env":{"A":"1","B":"2"},"epoch":3,"files_out":[],"params":{"command":"true"},"tool":"sh"}`,
		`,"files_in":[{"path":"a","mode":420,"data_b64":"aGk="}]`: `{"command_id":"c-1","deadline_ms":5000,"epoch":3,` +
			`"files_in":[{"digest":"sha256:8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4","mode":420,"path":"a"}],` +
			`"params":{"command":"true"},"tool":"sh"}`,
	} {
		r, err := decode(parse(t, `{`+plain+extra+`}`))
		if err != nil {
			t.Errorf("%s: %v", extra, err)
			continue
		}
		if got, err := r.record(3); err != nil || string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s (%v)", extra, got, want, err)
		}
	}
}

func TestAnIllFormedDispatchIsRefused(t *testing.T) {
	for text, sentence := range map[string]string{
		`{"type":"ToolDispatch"}`:                                                           "command_id",
		`{` + strings.Replace(plain, "c-1", "a b", 1) + `}`:                                 "letters, digits",
		`{` + strings.Replace(plain, "5000", "99", 1) + `}`:                                 "between 100 and 3600000",
		`{` + strings.Replace(plain, "5000", "3600001", 1) + `}`:                            "between",
		`{` + strings.Replace(plain, `{"command":"true"}`, "[]", 1) + `}`:                   "must be an object",
		`{` + plain + `,"extra":1}`:                                                         "unknown field",
		`{` + plain + `,"Cwd":"/"}`:                                                         `spelled "cwd"`,
		`{` + plain + `,"cwd":""}`:                                                          `"cwd"`,
		`{` + plain + `,"stdin_b64":"!"}`:                                                   "not base64",
		`{` + plain + `,"env":{"A":1}}`:                                                     `"env"`,
		`{` + plain + `,"env":{"A=B":"1"}}`:                                                 `"env"`,
		`{` + plain + `,"env":{"A":"\u0000"}}`:                                              `"env"`,
		`{` + plain + `,"files_in":[1]}`:                                                    `"files_in"`,
		`{` + plain + `,"files_in":[{"path":"a","mode":512,"data_b64":""}]}`:                "between 0 and 511",
		`{` + plain + `,"files_in":[{"path":"a","mode":1,"data_b64":"","x":1}]}`:            "unknown field",
		`{` + plain + `,"files_in":[{"path":"","mode":1,"data_b64":""}]}`:                   "path",
		`{` + plain + `,"files_out":[1]}`:                                                   `"files_out"`,
		`{` + plain + `,"files_out":[` + strings.Repeat(`"a",`, 256) + `"a"]}`:              "at most 256",
		`{` + plain + `,"files_in":[` + tooMuch() + `]}`:                                    "8 MiB",
		`{` + strings.Replace(plain, `"ToolDispatch"`, `"ToolDispatch","tool2":1`, 1) + `}`: "unknown field",
	} {
		if _, err := decode(parse(t, text)); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%.120s: %v, want %q", text, err, sentence)
		}
	}
}

func tooMuch() string {
	return `{"path":"a","mode":1,"data_b64":"` + strings.Repeat("AAAA", (8<<20)/3+1) + `"}`
}

func TestARecordThatFitsNoChunkIsRefused(t *testing.T) {
	r, err := decode(parse(t, `{`+strings.Replace(plain, "true", strings.Repeat("x", 1<<20), 1)+`}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.record(1); err == nil || !strings.Contains(err.Error(), "files_in or stdin_b64") {
		t.Error(err)
	}
}

func TestTheEnvironmentIsOursWithTheDispatchsOnTop(t *testing.T) {
	got := strings.Join(environment(strictjson.Of("PATH", "/x", "http_proxy", "a", "HTTP_PROXY", "b")), " ")
	want := "HOME=/home/sandbox LANG=C.UTF-8 LOGNAME=sandbox SHELL=/bin/sh USER=sandbox PATH=/x http_proxy=a HTTP_PROXY=b"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
