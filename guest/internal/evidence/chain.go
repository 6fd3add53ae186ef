// Package evidence builds the hash chain that binds what a dispatch was asked
// to do and what it put out (protocol §3).
package evidence

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"sync"

	"brainstorm-sandbox/guest/internal/jcs"
)

const (
	domain = "brainstorm-evidence-chunk-v1\x00"
	// MaxChunk is the most decoded bytes a chunk carries.
	MaxChunk = 1 << 20
	// Stdout and Stderr are the stream bytes output chunks start with.
	Stdout = 1
	Stderr = 2
)

// ErrTooLarge says that a record does not fit one chunk.
var ErrTooLarge = errors.New("an evidence record is larger than one chunk")

// Sink takes one EvidenceChunk message (unframed JSON). It may block: that is
// the backpressure that reaches the tool.
type Sink func(message []byte) error

// Chain is one dispatch's evidence. Methods may be called concurrently.
type Chain struct {
	mu        sync.Mutex
	commandID string
	seq       uint64
	last      [32]byte
	sink      Sink
	err       error
	message   []byte
}

// NewChain starts the chain of one command.
func NewChain(commandID string, sink Sink) *Chain {
	return &Chain{commandID: commandID, sink: sink}
}

// Record adds a record chunk: the dispatch record, or the result record which
// is terminal.
func (c *Chain) Record(record []byte, terminal bool) error {
	return c.add(nil, record, terminal)
}

// Output adds one chunk of a stream; data is at most MaxChunk-1 bytes.
func (c *Chain) Output(stream byte, data []byte) error {
	return c.add([]byte{stream}, data, false)
}

// Hash is the evidence hash of what was added so far.
func (c *Chain) Hash() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return "sha256:" + hex.EncodeToString(c.last[:])
}

func (c *Chain) add(prefix, data []byte, terminal bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(prefix) + len(data)
	if size > MaxChunk {
		return ErrTooLarge
	}
	c.seq++
	c.last = chunkHash(c.commandID, c.seq, prefix, data, c.last)
	if c.err != nil {
		return c.err
	}
	c.message = appendMessage(c.message[:0], c.commandID, c.seq, prefix, data, terminal)
	c.err = c.sink(c.message)
	return c.err
}

func chunkHash(commandID string, seq uint64, prefix, data []byte, last [32]byte) (sum [32]byte) {
	var numbers [12]byte
	binary.BigEndian.PutUint64(numbers[:], seq)
	binary.BigEndian.PutUint32(numbers[8:], uint32(len(prefix)+len(data)))
	h := sha256.New()
	h.Write([]byte(domain))
	h.Write([]byte(commandID))
	h.Write(numbers[:])
	h.Write(prefix)
	h.Write(data)
	h.Write(last[:])
	h.Sum(sum[:0])
	return sum
}

func appendMessage(dst []byte, commandID string, seq uint64, prefix, data []byte, terminal bool) []byte {
	dst = append(dst, `{"type":"EvidenceChunk","command_id":`...)
	dst, _ = jcs.AppendString(dst, commandID) // decoded from JSON, hence UTF-8
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"chunk_size":`...)
	dst = strconv.AppendInt(dst, int64(len(prefix)+len(data)), 10)
	dst = append(dst, `,"is_terminal":`...)
	dst = strconv.AppendBool(dst, terminal)
	dst = append(dst, `,"chunk_data":"`...)
	chunk := data
	if len(prefix) > 0 {
		chunk = append(append(make([]byte, 0, len(prefix)+len(data)), prefix...), data...)
	}
	start, n := len(dst), base64.StdEncoding.EncodedLen(len(chunk))
	dst = append(dst, make([]byte, n)...)
	base64.StdEncoding.Encode(dst[start:], chunk)
	return append(dst, `"}`...)
}

// Digest is "sha256:" and the hexadecimal hash of data.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
