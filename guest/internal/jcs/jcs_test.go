package jcs

import (
	"math"
	"testing"

	"brainstorm-sandbox/guest/internal/strictjson"
)

// RFC 8785 appendix B.
func TestNumbersPrintAsECMAScriptDoes(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0",
		0x8000000000000000: "0",
		0x0000000000000001: "5e-324",
		0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308",
		0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992",
		0xc340000000000000: "-9007199254740992",
		0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23",
		0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000",
		0x444b1ae4d6e2ef4f: "999999999999999900000",
		0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332",
		0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334",
		0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		got, err := Marshal(math.Float64frombits(bits))
		if err != nil || string(got) != want {
			t.Errorf("%016x: %s, want %s (%v)", bits, got, want, err)
		}
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := Marshal(f); err == nil {
			t.Errorf("%v has a form", f)
		}
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	v, err := strictjson.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// RFC 8785 §3.2.2 and §3.2.3.
func TestTheExamplesOfTheRFC(t *testing.T) {
	got := canonical(t, `{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`)
	want := `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = canonical(t, `{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`)
	want = `{"\r":"Carriage Return","1":"One","` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKeysOrderByUTF16WhereOneIsThePrefixOfAnother(t *testing.T) {
	if got := canonical(t, `{"ab":1,"a":2,"":3,"a\ud83d\ude00":4,"a\uffff":5,"a\ud83d\ude01":6}`); got !=
		"{\"\":3,\"a\":2,\"ab\":1,\"a😀\":4,\"a😁\":6,\"a\uffff\":5}" {
		t.Error(got)
	}
}

func TestWhatHasNoFormIsRefused(t *testing.T) {
	for _, v := range []any{"\xff", int64(1)<<53 + 1, []string{}, strictjson.Of("a", 1, "a", 2)} {
		if out, err := Marshal(v); err == nil {
			t.Errorf("%v became %s", v, out)
		}
	}
}
