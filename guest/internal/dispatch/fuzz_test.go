package dispatch

import (
	"bytes"
	"testing"

	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// A dispatch that is taken is within its limits and has a record that reads and
// writes as itself; the rest is refused with a sentence.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"type":"ToolDispatch","command_id":"a-1","tool":"sh","params":{"command":"id"},"deadline_ms":1000}`,
		`{"type":"ToolDispatch","command_id":"a-1","tool":"sh","params":{},"deadline_ms":1000,"files_in":[{"path":"/tmp/a","mode":420,"data_b64":"aGk="}],"files_out":["/tmp/b"],"stdin_b64":"eA==","cwd":"/tmp","env":{"A":"b"}}`,
		`{"type":"ToolDispatch","command_id":"","tool":"","params":{},"deadline_ms":99}`,
		`{"type":"ToolDispatch","command_id":"x","tool":"sh","params":{"a":1},"deadline_ms":1000,"env":{"A=":"\u0000"}}`,
		`{"type":"ToolDispatch","command_id":"x","tool":"sh","params":{},"deadline_ms":1000,"files_out":["/a\u0000b",1]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		message, err := strictjson.ParseObject(data)
		if err != nil {
			return
		}
		r, err := decode(message)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("refused without a sentence")
			}
			return
		}
		if r.deadline < minDeadline || r.deadline > maxDeadline || !commandIDForm.MatchString(r.commandID) {
			t.Fatalf("taken beyond its limits: %+v", r)
		}
		total := len(r.stdin)
		for _, file := range r.filesIn {
			if !plainPath(file.path) || file.mode < 0 || file.mode > 0o777 {
				t.Fatalf("taken with the file %q, mode %o", file.path, file.mode)
			}
			total += len(file.data)
		}
		if len(r.filesIn) > maxFiles || len(r.filesOut) > maxFiles || total > 2*MaxFileBytes {
			t.Fatalf("taken with %d files, %d bytes", len(r.filesIn), total)
		}
		record, err := r.record(7)
		if err != nil {
			t.Fatalf("taken, and has no record: %v", err)
		}
		value, err := strictjson.Parse(record)
		if err != nil {
			t.Fatalf("its record %q cannot be read: %v", record, err)
		}
		if again, err := jcs.Marshal(value); err != nil || !bytes.Equal(again, record) {
			t.Fatalf("its record %q is written again as %q (%v)", record, again, err)
		}
	})
}
