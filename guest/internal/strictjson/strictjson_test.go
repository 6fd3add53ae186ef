package strictjson

import (
	"runtime"
	"strings"
	"testing"
)

func TestParseRefusesWhatTwoReadersCouldReadDifferently(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                 ``,
		"only space":              ` `,
		"two values":              `{} {}`,
		"a duplicate key":         `{"a":1,"a":2}`,
		"an escaped duplicate":    `{"a":1,"\u0061":2}`,
		"a duplicate among many":  `{` + manyKeys(40) + `,"k3":1}`,
		"a trailing comma":        `{"a":1,}`,
		"an open object":          `{"a":1`,
		"an open array":           `[1`,
		"an open string":          `"a`,
		"a lone high surrogate":   `"\ud800"`,
		"a lone low surrogate":    `"\udc00"`,
		"two high surrogates":     `"\ud800\ud800"`,
		"invalid UTF-8":           "\"\xff\"",
		"an encoded surrogate":    "\"\xed\xa0\x80\"",
		"invalid UTF-8 after \\":  "\"\\n\xff\"",
		"a raw control character": "\"a\nb\"",
		"an unknown escape":       `"\x"`,
		"a cut escape":            `"\u12`,
		"a leading zero":          `01`,
		"a plus sign":             `+1`,
		"a bare point":            `1.`,
		"a bare exponent":         `1e`,
		"an overflow":             `1e400`,
		"NaN":                     `NaN`,
		"a wrong word":            `nul`,
		"single quotes":           `{'a':1}`,
		"a key without quotes":    `{a:1}`,
		"a missing colon":         `{"a" 1}`,
		"a byte order mark":       "\xef\xbb\xbf{}",
		"a comment":               `{} // x`,
		"nesting too deep":        strings.Repeat("[", 66) + strings.Repeat("]", 66),
	} {
		if v, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s was read as %v", name, v)
		}
	}
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = `"k` + string(rune('0'+i%10)) + strings.Repeat("x", i/10) + `":0`
	}
	return strings.Join(keys, ",")
}

func TestParseReadsEveryKindOfValue(t *testing.T) {
	o, err := ParseObject([]byte(` {"s":"é\ud83d\ude00\n\/","n":-1.5e3,"t":true,"f":false,"z":null,"a":[1,{}],"o":{"A":1,"a":2}} `))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := o.Get("s"); s != "é😀\n/" {
		t.Errorf("string: %q", s)
	}
	if n, _ := o.Get("n"); n != -1500.0 {
		t.Errorf("number: %v", n)
	}
	if z, ok := o.Get("z"); z != nil || !ok {
		t.Errorf("null: %v %v", z, ok)
	}
	if _, err := ParseObject([]byte(`[]`)); err == nil {
		t.Error("an array passed for an object")
	}
}

func TestNestingUpToTheLimitIsRead(t *testing.T) {
	if _, err := Parse([]byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))); err != nil {
		t.Error(err)
	}
}

func TestMemoryIsBoundedWhateverAFrameHolds(t *testing.T) {
	for _, unit := range []string{"[],", "{},", "0,", `{"":[]},`} {
		text := []byte("[" + strings.Repeat(unit, (16<<20)/len(unit)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse(text)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "values") {
			t.Errorf("%s: %v", unit, err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 32<<20 {
			t.Errorf("%s took %d MiB", unit, taken>>20)
		}
	}
	most := "[" + strings.Repeat("0,", MaxValues-2) + "0]"
	if _, err := Parse([]byte(most)); err != nil {
		t.Error(err)
	}
}

func TestFieldsRefuseWhatWasNotAskedFor(t *testing.T) {
	read := func(text string) error {
		o, err := ParseObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f := Read("Thing", o)
		f.Text("name")
		f.OptionalInt("count", 1, 9, 1)
		f.OptionalBool("deep")
		return f.Done()
	}
	if err := read(`{"name":"x","count":3,"deep":true}`); err != nil {
		t.Error(err)
	}
	for text, sentence := range map[string]string{
		`{"name":"x","other":1}`:    `unknown field "other"`,
		`{"name":"x","Count":1}`:    `must be spelled "count"`,
		`{"NAME":"x"}`:              `"name" is missing`,
		`{}`:                        `"name" is missing`,
		`{"name":1}`:                `must be a string`,
		`{"name":null}`:             `must be a string`,
		`{"name":"x","count":1.5}`:  `must be an integer`,
		`{"name":"x","count":"1"}`:  `must be an integer`,
		`{"name":"x","count":10}`:   `between 1 and 9`,
		`{"name":"x","deep":1}`:     `true or false`,
		`{"name":"x","count":null}`: `must be an integer`,
	} {
		if err := read(text); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBase64IsTakenInItsOneStandardFormOnly(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "aGk=": true, "aGk": false, "aGl=": false, "aG\\nk=": false, "a-_=": false} {
		o, err := ParseObject([]byte(`{"b":"` + text + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		f := Read("Thing", o)
		f.Base64("b")
		if (f.Done() == nil) != ok {
			t.Errorf("%q: %v", text, f.Done())
		}
	}
}
