package evidence

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
)

var update = flag.Bool("update", false, "write testdata/evidence-vectors.json anew")

const vectorsFile = "../../testdata/evidence-vectors.json"

// The chain that every language's implementation has to reproduce.
func knownChain() (commandID string, chunks [][]byte) {
	return "3f0c7a52-9a39-4a3e-8d4b-5b6c1f0f6a11", [][]byte{
		[]byte(`{"command_id":"3f0c7a52-9a39-4a3e-8d4b-5b6c1f0f6a11","deadline_ms":5000,"epoch":7,"params":{"text":"hé"},"tool":"echo"}`),
		[]byte("\x01h\xc3\xa9\n"),
		append([]byte{2}, 0, 255, 128),
		{1},
		[]byte(`{"duration_ms":12,"exit_code":0,"truncated":{"stderr":false,"stdout":false}}`),
	}
}

// plainHash is protocol §3 written down once more, with nothing shared.
func plainHash(commandID string, chunks [][]byte) string {
	last := make([]byte, 32)
	for i, chunk := range chunks {
		var b []byte
		b = append(b, "brainstorm-evidence-chunk-v1\x00"...)
		b = append(b, commandID...)
		b = binary.BigEndian.AppendUint64(b, uint64(i+1))
		b = binary.BigEndian.AppendUint32(b, uint32(len(chunk)))
		b = append(b, chunk...)
		b = append(b, last...)
		sum := sha256.Sum256(b)
		last = sum[:]
	}
	return "sha256:" + hex.EncodeToString(last)
}

func TestTheKnownChainHasItsHash(t *testing.T) {
	commandID, chunks := knownChain()
	var sent []*strictjson.Object
	chain := NewChain(commandID, func(message []byte) error {
		o, err := strictjson.ParseObject(message)
		sent = append(sent, o)
		return err
	})
	chain.Record(chunks[0], false)
	for _, chunk := range chunks[1:4] {
		if err := chain.Output(chunk[0], chunk[1:]); err != nil {
			t.Fatal(err)
		}
	}
	chain.Record(chunks[4], true)
	const want = "sha256:1266516de5cb0d6f1008dea9330056f9f3576a593dfe556237979af6cb937074"
	if got := chain.Hash(); got != plainHash(commandID, chunks) || got != want {
		t.Errorf("hash %s, plainly computed %s, known %s", got, plainHash(commandID, chunks), want)
	}
	for i, o := range sent {
		f := strictjson.Read("EvidenceChunk", o)
		data := f.Base64("chunk_data")
		if f.Text("type") != "EvidenceChunk" || f.Text("command_id") != commandID || f.Int("seq", 1, 9) != int64(i+1) ||
			string(data) != string(chunks[i]) || f.Int("chunk_size", 1, MaxChunk) != int64(len(data)) ||
			f.OptionalBool("is_terminal") != (i == 4) {
			t.Errorf("message %d: %v", i+1, o)
		}
		if err := f.Done(); err != nil {
			t.Error(err)
		}
	}
	if len(sent) != 5 {
		t.Errorf("%d messages", len(sent))
	}
}

func TestAChunkLargerThanTheProtocolAllowsIsRefused(t *testing.T) {
	chain := NewChain("c", func([]byte) error { return nil })
	if err := chain.Output(Stdout, make([]byte, MaxChunk)); err != ErrTooLarge {
		t.Error(err)
	}
	if err := chain.Output(Stdout, make([]byte, MaxChunk-1)); err != nil {
		t.Error(err)
	}
}

func TestAfterALostSinkNothingMoreIsSent(t *testing.T) {
	lost, calls := errors.New("lost"), 0
	chain := NewChain("c", func([]byte) error { calls++; return lost })
	for i := 0; i < 3; i++ {
		if err := chain.Output(Stdout, []byte("x")); err != lost {
			t.Error(err)
		}
	}
	if calls != 1 {
		t.Errorf("the sink was called %d times", calls)
	}
}

// The vectors are for the other languages; this keeps them true.
func TestTheSharedVectorsAreWhatThisImplementationDoes(t *testing.T) {
	out, err := jcs.Marshal(vectors(t))
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, '\n')
	if *update {
		if err := os.WriteFile(vectorsFile, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	v, err := strictjson.Parse(kept)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jcs.Marshal(v)
	if err != nil || string(again)+"\n" != string(out) {
		t.Errorf("%s is out of date (%v); run go test ./internal/evidence -update", vectorsFile, err)
	}
}

func vectors(t *testing.T) *strictjson.Object {
	commandID, chunks := knownChain()
	list := []any{}
	for i, chunk := range chunks {
		list = append(list, strictjson.Of("seq", i+1, "chunk_data", base64.StdEncoding.EncodeToString(chunk),
			"chunk_size", len(chunk), "is_terminal", i == len(chunks)-1, "hash", plainHash(commandID, chunks[:i+1])))
	}
	canonical := []any{}
	for _, text := range []string{
		`{"b":1,"a":[true,null,"\u000f\n\"\\\/é😀"]}`,
		`{"\ufb33":1,"\ud83d\ude00":2,"\u20ac":3,"":4}`,
		`[0,-0,1e21,1e-7,0.000001,123456789012345680000,4.50,333333333.33333329,5e-324]`,
	} {
		v, err := strictjson.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		out, err := jcs.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		canonical = append(canonical, strictjson.Of("input", text, "output", string(out)))
	}
	cuts := []any{}
	for _, c := range captureCases() {
		var capture Capture
		capture.Write([]byte(strings.Repeat(c.prefix, 1) + strings.Repeat(c.unit, c.times)))
		text, encoding := capture.Text()
		cuts = append(cuts, strictjson.Of("prefix_b64", base64.StdEncoding.EncodeToString([]byte(c.prefix)),
			"unit_b64", base64.StdEncoding.EncodeToString([]byte(c.unit)), "times", c.times, "bytes", capture.Bytes,
			"truncated", capture.Truncated(), "encoding", encoding, "text_digest", Digest([]byte(text))))
	}
	return strictjson.Of(
		"about", "Made by guest/internal/evidence/chain_test.go; go test ./internal/evidence -update writes it anew. A stream is prefix followed by unit, times over; text_digest is of the result's stdout string in UTF-8.",
		"chain", strictjson.Of("command_id", commandID, "chunks", list, "evidence_hash", plainHash(commandID, chunks)),
		"canonical_json", canonical, "truncation", cuts)
}
