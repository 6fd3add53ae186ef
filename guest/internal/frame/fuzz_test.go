package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"
)

// stream gives its bytes in pieces of at most size, then ends.
type stream struct {
	rest []byte
	size int
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := s.size
	if n > len(p) {
		n = len(p)
	}
	n = copy(p[:n], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
func (s *stream) Write(p []byte) (int, error)      { return len(p), nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

const fuzzMax = 256

func readAll(data []byte, size int) (frames [][]byte, err error) {
	r := NewReader(&stream{data, size}, fuzzMax)
	for {
		body, err := r.Next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, body)
	}
}

// The frames of a stream are the same wherever it is cut, and are those that
// its lengths say; whatever else it holds gives a typed error.
func FuzzReader(f *testing.F) {
	framed := func(body string) []byte { return End(append(Begin(nil), body...), 0) }
	f.Add(framed(`{"type":"Ping","nonce":"1"}`), uint8(1))
	f.Add(append(framed(`{}`), framed(`[1]`)...), uint8(3))
	f.Add([]byte{0, 0, 0, 0}, uint8(2))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, uint8(5))
	f.Add([]byte{0, 0, 1, 0, 'x'}, uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		whole, wholeErr := readAll(data, len(data)+1)
		cut, cutErr := readAll(data, int(size)+1)
		if len(whole) != len(cut) || wholeErr.Error() != cutErr.Error() {
			t.Fatalf("%d frames and %v whole, %d and %v in pieces of %d", len(whole), wholeErr, len(cut), cutErr, int(size)+1)
		}
		at := 0
		for i := range whole {
			n := int(binary.BigEndian.Uint32(data[at:]))
			if !bytes.Equal(whole[i], cut[i]) || !bytes.Equal(whole[i], data[at+4:at+4+n]) {
				t.Fatalf("frame %d is another", i)
			}
			at += 4 + n
		}
		var bad *Error
		if errors.Is(wholeErr, io.EOF) != (at == len(data)) || at != len(data) && !errors.As(wholeErr, &bad) {
			t.Fatalf("%d of %d bytes were frames, and the end was %v", at, len(data), wholeErr)
		}
	})
}
