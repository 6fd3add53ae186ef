package bridge

import (
	"bytes"
	"fmt"
	"testing"
)

func record(id uint32, kind byte, data string) []byte {
	return append(AppendHeader(nil, id, kind, len(data)), data...)
}

func collect(p *Parser, pieces ...[]byte) (got []string, err error) {
	for _, piece := range pieces {
		if e := p.Feed(piece, func(r Record) { got = append(got, fmt.Sprintf("%d/%d/%s", r.ConnID, r.Kind, r.Data)) }); e != nil {
			err = e
		}
	}
	return got, err
}

func TestRecordsAreFoundHoweverTheyWereSplitOrGlued(t *testing.T) {
	stream := bytes.Join([][]byte{record(7, Open, ""), record(7, Data, "hello"), record(7, Data, ""), record(7, Close, ""), record(8, Open, "")}, nil)
	want := "[7/1/ 7/2/hello 7/2/ 7/3/ 8/1/]"
	for size := 1; size <= len(stream); size++ {
		var pieces [][]byte
		for rest := stream; len(rest) > 0; {
			n := size
			if n > len(rest) {
				n = len(rest)
			}
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		got, err := collect(&Parser{}, pieces...)
		if err != nil || fmt.Sprint(got) != want {
			t.Fatalf("pieces of %d: %v, %v", size, got, err)
		}
	}
}

func TestWhatIsNoRecordIsAnError(t *testing.T) {
	for name, bad := range map[string][]byte{
		"connection zero": record(0, Open, ""),
		"kind zero":       record(1, 0, ""),
		"kind four":       record(1, 4, ""),
		"OPEN with bytes": AppendHeader(nil, 1, Open, 1),
		"CLOSE with data": AppendHeader(nil, 1, Close, 1),
		"too much data":   AppendHeader(nil, 1, Data, MaxData+1),
	} {
		p := &Parser{}
		if got, err := collect(p, bad); err == nil {
			t.Errorf("%s was taken: %v", name, got)
		}
		if got, err := collect(p, record(2, Open, "")); err != nil || len(got) != 1 {
			t.Errorf("after %s the next record was lost: %v %v", name, got, err)
		}
	}
}

func TestAResetForgetsHalfARecord(t *testing.T) {
	p := &Parser{}
	collect(p, record(1, Data, "half of it")[:12])
	p.Reset()
	if got, err := collect(p, record(2, Open, "")); err != nil || fmt.Sprint(got) != "[2/1/]" {
		t.Errorf("%v %v", got, err)
	}
}

func TestTheLargestDataRecordIsTaken(t *testing.T) {
	n := 0
	if err := (&Parser{}).Feed(append(AppendHeader(nil, 1, Data, MaxData), make([]byte, MaxData)...), func(r Record) { n = len(r.Data) }); err != nil || n != MaxData {
		t.Errorf("%d bytes, %v", n, err)
	}
}
