// Package frame carries messages as `u32be length ‖ UTF-8 JSON` (protocol §3).
package frame

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"
)

const (
	// MaxLarge bounds a frame on the dispatch and evidence ports, in bytes.
	MaxLarge = 16 << 20
	// MaxSmall bounds a frame on the query and control ports, in bytes.
	MaxSmall = 64 << 10
	// Stall is how long a frame that has begun may stay without another byte.
	Stall = 30 * time.Second
	// step is how much memory is taken at a time while a frame arrives: a length
	// alone makes nobody allocate 16 MiB.
	step = 64 << 10
)

// Error is an ill-formed frame. The connection it came on is of no more use:
// where the next frame begins is not known.
type Error struct {
	Code    string // FRAME_TOO_LARGE or FRAME_MALFORMED
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func malformed(message string) error { return &Error{"FRAME_MALFORMED", message} }

// Conn is a byte stream with deadlines; *os.File of a socket is one.
type Conn interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Reader takes frames off one connection.
type Reader struct {
	conn  Conn
	max   uint32
	stall time.Duration
	buf   []byte
	r, w  int
}

// NewReader reads frames of at most max bytes.
func NewReader(conn Conn, max uint32) *Reader {
	return &Reader{conn: conn, max: max, stall: Stall, buf: make([]byte, 16<<10)}
}

// Next returns the next frame's bytes. Between frames it waits without limit
// and gives io.EOF when the peer closed there; inside a frame it gives *Error.
func (r *Reader) Next() ([]byte, error) {
	var header [4]byte
	if err := r.fill(header[:1], false); err != nil {
		return nil, err
	}
	if err := r.fill(header[1:], true); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[:])
	if n == 0 {
		return nil, malformed("a frame of length zero")
	}
	if n > r.max {
		return nil, &Error{"FRAME_TOO_LARGE", "a frame is longer than this port allows"}
	}
	var body []byte
	for have := 0; have < int(n); {
		want := int(n) - have
		if want > step {
			want = step
		}
		body = append(body, make([]byte, want)...)
		if err := r.fill(body[have:], true); err != nil {
			return nil, err
		}
		have += want
	}
	return body, nil
}

// fill reads len(p) bytes. Inside a frame every single read has the stall
// deadline, and an end of the stream is an error of the frame.
func (r *Reader) fill(p []byte, inside bool) error {
	for len(p) > 0 {
		if r.r == r.w {
			deadline := time.Time{}
			if inside {
				deadline = time.Now().Add(r.stall)
			}
			if err := r.conn.SetReadDeadline(deadline); err != nil {
				return err
			}
			n, err := r.conn.Read(r.buf)
			if n <= 0 {
				switch {
				case !inside && err == nil:
					return io.EOF
				case !inside:
					return err
				case errors.Is(err, os.ErrDeadlineExceeded):
					return malformed("no byte arrived inside a frame for too long")
				default:
					return malformed("the connection ended inside a frame")
				}
			}
			r.r, r.w = 0, n
		}
		n := copy(p, r.buf[r.r:r.w])
		r.r += n
		p = p[n:]
	}
	return nil
}

// Begin starts a frame on the end of dst; End completes it.
func Begin(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// End writes the length of the frame that began at start.
func End(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// Write sends an already framed message. A peer that takes no byte for Stall
// is treated as gone.
func Write(conn Conn, framed []byte) error {
	for len(framed) > 0 {
		if err := conn.SetWriteDeadline(time.Now().Add(Stall)); err != nil {
			return err
		}
		part := framed
		if len(part) > 256<<10 {
			part = part[:256<<10]
		}
		n, err := conn.Write(part)
		if err != nil {
			return err
		}
		framed = framed[n:]
	}
	return nil
}
