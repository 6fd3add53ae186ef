package bridge

import (
	"bytes"
	"fmt"
	"testing"
)

// Records are the same wherever the bytes are cut, and no more than one is ever
// held back.
func FuzzFeed(f *testing.F) {
	f.Add(bytes.Join([][]byte{record(7, Open, ""), record(7, Data, "hello"), record(7, Close, "")}, nil), uint8(1))
	f.Add(record(0, Open, ""), uint8(4))
	f.Add(record(1, Close, "x"), uint8(9))
	f.Add([]byte{0, 0, 0, 1, 2, 0xff, 0xff, 0xff, 0xff}, uint8(8))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		feed := func(step int) (got []string, broken bool) {
			p := &Parser{}
			for rest := data; len(rest) > 0; {
				n := step
				if n > len(rest) {
					n = len(rest)
				}
				err := p.Feed(rest[:n], func(r Record) {
					got = append(got, fmt.Sprintf("%d/%d/%x", r.ConnID, r.Kind, r.Data))
				})
				if err != nil {
					return got, true
				}
				if len(p.pending) > headerSize+MaxData {
					t.Fatalf("%d bytes are held", len(p.pending))
				}
				rest = rest[n:]
			}
			return got, false
		}
		whole, wholeBroken := feed(len(data) + 1)
		cut, cutBroken := feed(int(size) + 1)
		if fmt.Sprint(whole) != fmt.Sprint(cut) || wholeBroken != cutBroken {
			t.Fatalf("%v (%v) whole, %v (%v) in pieces of %d", whole, wholeBroken, cut, cutBroken, int(size)+1)
		}
	})
}
