//go:build linux

// Package server accepts the host on one AF_VSOCK port and hands it messages.
package server

import (
	"errors"
	"os"
	"sync"

	"brainstorm-sandbox/guest/internal/frame"
	"brainstorm-sandbox/guest/internal/jcs"
	"brainstorm-sandbox/guest/internal/strictjson"
	"brainstorm-sandbox/guest/internal/vital"
	"brainstorm-sandbox/guest/internal/vsock"
)

// Service is what answers on a port.
type Service interface {
	// Connected is called before the first message is read and may not send:
	// what it returns, unless nil, is the first message to the host.
	Connected(*Conn) (greeting *strictjson.Object)
	// Handle gets one message, Ping excepted. ErrUnknownType closes.
	Handle(c *Conn, kind string, message *strictjson.Object) error
	// Disconnected is called once, after the last Handle.
	Disconnected(*Conn)
}

// ErrUnknownType says that the port has no such message.
var ErrUnknownType = errors.New("unknown message type")

// Conn is one connection of the host.
type Conn struct {
	file   *os.File
	mu     sync.Mutex
	out    []byte
	closed bool
}

// Send writes one message.
func (c *Conn) Send(message *strictjson.Object) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, err := jcs.Append(frame.Begin(c.out[:0]), message)
	if err != nil {
		return err
	}
	return c.flush(out)
}

// SendRaw writes one message that is already JSON.
func (c *Conn) SendRaw(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flush(append(frame.Begin(c.out[:0]), message...))
}

func (c *Conn) flush(out []byte) error {
	if cap(out) <= 1<<20 {
		c.out = out
	}
	if c.closed {
		return os.ErrClosed
	}
	err := frame.Write(c.file, frame.End(out, 0))
	if err != nil {
		// Part of a frame may be out: the peer could not find the next one.
		c.closed = true
		c.file.Close()
	}
	return err
}

// Close ends the connection; a blocked Send returns.
func (c *Conn) Close() { c.file.Close() }

// SendError writes an Error message with extra members.
func (c *Conn) SendError(code, message string, extra ...any) error {
	o := strictjson.Of("type", "Error", "code", code, "message", message)
	o.Members = append(o.Members, strictjson.Of(extra...).Members...)
	return c.Send(o)
}

// Allowed says who may connect (protocol §3): the host; where the bridge sits
// in the guest also this machine, from a source port an unprivileged process
// cannot bind.
func Allowed(peer vsock.Peer, bridged bool) bool {
	return peer.CID == vsock.CIDHost ||
		bridged && peer.CID == vsock.CIDLocal && peer.Port < vsock.PrivilegedPort
}

// Port is one listening port. A new connection replaces the older one.
type Port struct {
	Max     uint32
	Bridged bool
	Service Service

	mu   sync.Mutex
	live *Conn
}

// Serve accepts until the listener fails.
func (p *Port) Serve(l *vsock.Listener) error {
	for {
		file, peer, err := l.Accept()
		if err != nil {
			return err
		}
		if !Allowed(peer, p.Bridged) {
			file.Close()
			continue
		}
		p.Take(file)
	}
}

// Accepted is the byte by which a bridged connection begins: the bridge answers
// the host's OPEN when it has come. A connection can be made long before it is
// accepted; a host that was told of it then could see its first dispatch meet a
// port without a connection, or with the one that this replaces.
const Accepted = 0

// Take serves one connection from now on. Callers keep the order of acceptance:
// if a redial's Connected came before that of the connection it replaces, the
// port would go on with the dead one.
func (p *Port) Take(file *os.File) {
	c := &Conn{file: file}
	p.mu.Lock()
	if p.live != nil {
		p.live.Close()
	}
	p.live = c
	p.mu.Unlock()
	c.mu.Lock() // nothing may be sent before Accepted
	greeting := p.Service.Connected(c)
	if p.Bridged {
		file.Write([]byte{Accepted}) // where it fails, so will the first read
	}
	c.mu.Unlock()
	if greeting != nil {
		c.Send(greeting)
	}
	vital.Go(func() { p.serveConn(c) })
}

func (p *Port) serveConn(c *Conn) {
	err := p.messages(c)
	var bad *frame.Error
	if errors.As(err, &bad) {
		c.SendError(bad.Code, bad.Message)
	}
	c.Close()
	p.mu.Lock()
	if p.live == c {
		p.live = nil
	}
	p.mu.Unlock()
	p.Service.Disconnected(c)
}

func (p *Port) messages(c *Conn) error {
	reader := frame.NewReader(c.file, p.Max)
	for {
		data, err := reader.Next()
		if err != nil {
			return err
		}
		message, err := strictjson.ParseObject(data)
		if err != nil {
			return &frame.Error{Code: "FRAME_MALFORMED", Message: "the frame is not one JSON object: " + err.Error()}
		}
		kind, _ := message.Get("type")
		name, ok := kind.(string)
		switch {
		case !ok:
			err = ErrUnknownType
		case name == "Ping":
			err = pong(c, message)
		default:
			err = p.Service.Handle(c, name, message)
		}
		if errors.Is(err, ErrUnknownType) {
			return &frame.Error{Code: "BAD_REQUEST", Message: "the message's type is unknown on this port"}
		}
		if err != nil {
			return err
		}
	}
}

func pong(c *Conn, message *strictjson.Object) error {
	f := strictjson.Read("Ping", message)
	f.Text("type")
	nonce, ok := f.Any("nonce")
	if !ok {
		f.Fail("%q is missing", "nonce")
	}
	if err := f.Done(); err != nil {
		return c.SendError("BAD_REQUEST", err.Error(), "refused", "Ping")
	}
	return c.Send(strictjson.Of("type", "Pong", "nonce", nonce))
}
