package evidence

import (
	"encoding/base64"
	"fmt"
	"unicode/utf8"
)

const (
	// MaxOutput is how many bytes of both streams a dispatch may put out.
	MaxOutput = 64 << 20
	// WholeOutput is the longest stream that a result carries uncut, in bytes.
	WholeOutput = 1 << 20
	half        = WholeOutput / 2
)

// Capture keeps what a ToolResult shows of one stream: all of it up to 1 MiB,
// else its first and last 512 KiB. The evidence chain has every byte.
type Capture struct {
	Bytes int64
	head  []byte
	tail  []byte
}

// Write takes the next bytes of the stream; it never fails.
func (c *Capture) Write(p []byte) {
	c.Bytes += int64(len(p))
	if room := half - len(c.head); room > 0 {
		if room > len(p) {
			room = len(p)
		}
		c.head = append(c.head, p[:room]...)
		p = p[room:]
	}
	c.tail = append(c.tail, p...)
	if len(c.tail) > 2*half {
		c.tail = append(c.tail[:0], c.tail[len(c.tail)-half:]...)
	}
}

// Truncated says whether Text leaves something out.
func (c *Capture) Truncated() bool { return c.Bytes > WholeOutput }

// Text returns the stream for a result and its encoding, "utf-8" or "base64".
// Cuts fall between characters: the head loses an incomplete last one, the tail
// leading continuation bytes.
func (c *Capture) Text() (text, encoding string) {
	out := append(append(make([]byte, 0, len(c.head)+len(c.tail)+64), c.head...), c.tail...)
	if c.Truncated() {
		head := c.head[:len(c.head)-incompleteSuffix(c.head)]
		tail := c.tail[len(c.tail)-half:]
		tail = tail[leadingContinuation(tail):]
		cut := c.Bytes - int64(len(head)) - int64(len(tail))
		out = append(out[:0], head...)
		out = append(out, fmt.Sprintf("\n[... %d bytes cut ...]\n", cut)...)
		out = append(out, tail...)
	}
	if utf8.Valid(out) {
		return string(out), "utf-8"
	}
	return base64.StdEncoding.EncodeToString(out), "base64"
}

// incompleteSuffix counts the bytes at the end that begin a character without
// completing it, at most 3.
func incompleteSuffix(b []byte) int {
	for n := 1; n <= 3 && n <= len(b); n++ {
		c := b[len(b)-n]
		if c < 0x80 {
			return 0
		}
		if c >= 0xc0 {
			if n < sequenceLength(c) {
				return n
			}
			return 0
		}
	}
	return 0
}

func sequenceLength(lead byte) int {
	switch {
	case lead >= 0xf0:
		return 4
	case lead >= 0xe0:
		return 3
	default:
		return 2
	}
}

func leadingContinuation(b []byte) int {
	n := 0
	for n < 3 && n < len(b) && b[n]&0xc0 == 0x80 {
		n++
	}
	return n
}
