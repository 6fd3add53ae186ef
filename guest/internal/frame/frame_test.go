//go:build linux

package frame

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair is a connection as the guest's: a socket on Go's poller.
func pair(t *testing.T) (host, guest *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	host, guest = os.NewFile(uintptr(fds[0]), "host"), os.NewFile(uintptr(fds[1]), "guest")
	t.Cleanup(func() {
		host.Close()
		guest.Close()
	})
	return host, guest
}

func framed(text string) []byte { return End(append(Begin(nil), text...), 0) }

func code(err error) string {
	var bad *Error
	if errors.As(err, &bad) {
		return bad.Code
	}
	return ""
}

func TestFramesArriveHoweverTheBytesAreSplit(t *testing.T) {
	stream := bytes.Join([][]byte{framed(`{"a":1}`), framed(`{}`), framed(strings.Repeat("x", 70_000))}, nil)
	for _, size := range []int{1, 3, 4, 5, 1000, len(stream)} {
		host, guest := pair(t)
		go func() {
			for rest := stream; len(rest) > 0; {
				n := size
				if n > len(rest) {
					n = len(rest)
				}
				host.Write(rest[:n])
				rest = rest[n:]
			}
			host.Close()
		}()
		r := NewReader(guest, MaxLarge)
		for i, want := range []int{7, 2, 70_000} {
			got, err := r.Next()
			if err != nil || len(got) != want {
				t.Fatalf("frame %d in pieces of %d: %d bytes, %v", i, size, len(got), err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("after the last frame: %v", err)
		}
	}
}

func TestIllFormedFramesAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"zero length":        {[]byte{0, 0, 0, 0}, "FRAME_MALFORMED"},
		"one too long":       {[]byte{0, 1, 0, 1}, "FRAME_TOO_LARGE"},
		"the longest number": {[]byte{255, 255, 255, 255}, "FRAME_TOO_LARGE"},
		"a cut header":       {[]byte{0, 0}, "FRAME_MALFORMED"},
		"a cut body":         {[]byte{0, 0, 0, 5, '{'}, "FRAME_MALFORMED"},
		"no body":            {[]byte{0, 0, 0, 5}, "FRAME_MALFORMED"},
	} {
		host, guest := pair(t)
		go func() {
			host.Write(c.bytes)
			host.Close()
		}()
		if _, err := NewReader(guest, MaxSmall).Next(); code(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFrameOfExactlyTheLimitIsTaken(t *testing.T) {
	host, guest := pair(t)
	go host.Write(framed(strings.Repeat("x", MaxSmall)))
	if got, err := NewReader(guest, MaxSmall).Next(); err != nil || len(got) != MaxSmall {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestSilenceInsideAFrameEndsItAndBetweenFramesDoesNot(t *testing.T) {
	host, guest := pair(t)
	r := NewReader(guest, MaxSmall)
	r.stall = 30 * time.Millisecond
	go func() {
		host.Write(framed(`{}`))
		time.Sleep(4 * r.stall)
		host.Write(framed(`{}`)[:5])
	}()
	for i := 0; i < 1; i++ {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Next(); code(err) != "FRAME_MALFORMED" || !strings.Contains(err.Error(), "too long") {
		t.Errorf("silence inside: %v", err)
	}
}

func TestALengthAloneTakesNoMemory(t *testing.T) {
	host, guest := pair(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := NewReader(guest, MaxLarge)
	go func() {
		host.Write([]byte{1, 0, 0, 0, '{'})
		host.Close()
	}()
	if _, err := r.Next(); code(err) != "FRAME_MALFORMED" {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated for 1 that arrived", grown)
	}
}

func TestWriteReturnsWhenThePeerIsGone(t *testing.T) {
	host, guest := pair(t)
	host.Close()
	if err := Write(guest, framed("{}")); err == nil {
		t.Error("a write to nobody worked")
	}
}
