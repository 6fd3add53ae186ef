package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	recordOpen  = 1
	recordData  = 2
	recordClose = 3
	headerSize  = 9
	recordBytes = 64 * 1024
	lengthSize  = 4
)

// guestPort is one port of the guest, in bridge records that carry length-prefixed frames.
type guestPort struct {
	number, host, guest int

	towardsGuest sync.Mutex // one writer, at record boundaries
	connection   uint32
	planted      bool

	towardsHost sync.Mutex
	// Of a frame that is not whole yet, and the connection that it comes on.
	held   []byte
	heldOf uint32
	later  []byte
	// Connections that the guest answered: the present one and that before it.
	open, before uint32
	// Counts of its descriptors that the guest gave.
	answered int
}

var (
	ports        = map[int]*guestPort{}
	acknowledged = make(chan struct{})
	planting     sync.Once
)

func record(connection uint32, kind byte, data []byte) []byte {
	bytes := make([]byte, headerSize, headerSize+len(data))
	binary.BigEndian.PutUint32(bytes, connection)
	bytes[4] = kind
	binary.BigEndian.PutUint32(bytes[5:], uint32(len(data)))
	return append(bytes, data...)
}

// records cuts a stream into whole bridge records.
func records(fd int, each func(record []byte) bool) {
	var held []byte
	data := make([]byte, 64*1024)
	for {
		n := read(fd, data)
		if n == 0 {
			return
		}
		held = append(held, data[:n]...)
		for len(held) >= headerSize {
			size := headerSize + int(binary.BigEndian.Uint32(held[5:9]))
			if len(held) < size {
				break
			}
			if !each(held[:size]) {
				return
			}
			held = held[size:]
		}
	}
}

func (p *guestPort) present() uint32 {
	p.towardsGuest.Lock()
	defer p.towardsGuest.Unlock()
	return p.connection
}

func (p *guestPort) toGuest() {
	records(p.host, func(record []byte) bool {
		p.towardsGuest.Lock()
		defer p.towardsGuest.Unlock()
		if record[4] == recordOpen {
			p.connection = binary.BigEndian.Uint32(record[:4])
		}
		return writeAll(p.guest, record)
	})
	syscall.Shutdown(p.guest, syscall.SHUT_WR)
}

// toHost passes on what the guest sends, frame by frame.
func (p *guestPort) toHost() {
	records(p.guest, func(record []byte) bool {
		connection := binary.BigEndian.Uint32(record[:4])
		if record[4] == recordOpen {
			p.open, p.before = connection, p.open
		}
		if record[4] != recordData {
			p.held = nil
			return p.write(record)
		}
		if connection != p.heldOf {
			p.held, p.heldOf = nil, connection
		}
		p.held = append(p.held, record[headerSize:]...)
		for len(p.held) >= lengthSize {
			size := lengthSize + int(binary.BigEndian.Uint32(p.held))
			if len(p.held) < size {
				break
			}
			frame := p.held[:size]
			p.held = p.held[size:]
			if bytes.Contains(frame, []byte(`"TestPlantAck"`)) {
				planting.Do(func() { close(acknowledged) })
			} else if !p.frame(connection, frame) {
				return false
			}
		}
		return true
	})
	hangUp(p.host)
}

func (p *guestPort) write(bytes []byte) bool {
	p.towardsHost.Lock()
	defer p.towardsHost.Unlock()
	return writeAll(p.host, bytes)
}

// say sends bytes in records: as few as can be, or each byte in its own with a pause behind it.
func (p *guestPort) say(connection uint32, bytes []byte, every time.Duration) bool {
	p.towardsHost.Lock()
	defer p.towardsHost.Unlock()
	most := recordBytes
	if every > 0 {
		most = 1
	}
	for len(bytes) > 0 {
		n := len(bytes)
		if n > most {
			n = most
		}
		if !writeAll(p.host, record(connection, recordData, bytes[:n])) {
			return false
		}
		bytes = bytes[n:]
		time.Sleep(every)
	}
	return true
}

// plant asks the guest for one more descriptor, as somebody would who had got at the standby after
// its baseline was read; returns once the guest has done it.
func (p *guestPort) plant() {
	p.towardsGuest.Lock()
	if p.planted || p.connection == 0 {
		p.towardsGuest.Unlock()
		return
	}
	p.planted = true
	message := []byte(`{"type":"TestPlant"}`)
	length := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	writeAll(p.guest, record(p.connection, recordData, append(length, message...)))
	p.towardsGuest.Unlock()
	select {
	case <-acknowledged:
		report("planted")
	case <-time.After(5 * time.Second):
		fmt.Fprintln(os.Stderr, "lying-qemu: the guest did not acknowledge TestPlant")
	}
}
