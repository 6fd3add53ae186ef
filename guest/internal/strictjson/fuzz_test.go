package strictjson_test

import (
	"bytes"
	"testing"

	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// What is read has one canonical text, and that text reads as the same: two
// readers of one message cannot see two things in it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `-0`, `1e-7`, `{"a":[1,2.5,true,null,"x"]}`, `{"a":1,"a":2}`,
		`{"type":"Resume","epoch":4,"token":"00","entropy":"AA==","wall_clock_ns":"1"}`,
		`"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", `{"\u0061":1,"a":2}`, ` { "k" : [ { } ] } `,
		`[[[[[[[[[[1]]]]]]]]]]`, `123456789012345678901234567890`, `1.7976931348623157e308`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := strictjson.Parse(data)
		if err != nil {
			return
		}
		first, err := jcs.Marshal(value)
		if err != nil {
			t.Fatalf("%q was read and cannot be written: %v", data, err)
		}
		again, err := strictjson.Parse(first)
		if err != nil {
			t.Fatalf("%q was written as %q, which cannot be read: %v", data, first, err)
		}
		second, err := jcs.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%q is %q and then %q (%v)", data, first, second, err)
		}
	})
}
