// Package bridge joins the virtio serial ports of a QEMU guest to the AF_VSOCK
// ports of the dispatcher, so that the dispatcher has one transport everywhere.
//
// A plain byte stream over a port glues a dead connection's tail to the next
// one; hence records: `u32be conn_id ‖ u8 kind ‖ u32be length ‖ bytes`.
package bridge

import (
	"encoding/binary"
	"errors"
)

// Kinds of records.
const (
	Open  = 1
	Data  = 2
	Close = 3
)

const (
	headerSize = 9
	// MaxData is the most bytes a DATA record carries.
	MaxData = 64 << 10
)

var errBadRecord = errors.New("the host sent something that is no bridge record")

// Record is one unit on a virtio port. Data is valid until the next Feed.
type Record struct {
	ConnID uint32
	Kind   byte
	Data   []byte
}

// Parser cuts a byte stream into records, however it was split or glued.
type Parser struct {
	pending []byte
}

// Reset forgets an unfinished record: the host disconnected in its middle.
func (p *Parser) Reset() { p.pending = p.pending[:0] }

// Feed takes bytes and calls each for every record they complete. After an
// error the stream is out of step until the host reconnects.
func (p *Parser) Feed(bytes []byte, each func(Record)) error {
	p.pending = append(p.pending, bytes...)
	rest := p.pending
	for len(rest) >= headerSize {
		record := Record{ConnID: binary.BigEndian.Uint32(rest), Kind: rest[4]}
		length := binary.BigEndian.Uint32(rest[5:])
		if record.ConnID == 0 || record.Kind < Open || record.Kind > Close ||
			length > MaxData || record.Kind != Data && length != 0 {
			p.Reset()
			return errBadRecord
		}
		if len(rest) < headerSize+int(length) {
			break
		}
		record.Data = rest[headerSize : headerSize+length]
		rest = rest[headerSize+length:]
		each(record)
	}
	p.pending = append(p.pending[:0], rest...)
	return nil
}

// AppendHeader writes a record's header.
func AppendHeader(dst []byte, connID uint32, kind byte, length int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, connID)
	dst = append(dst, kind)
	return binary.BigEndian.AppendUint32(dst, uint32(length))
}
