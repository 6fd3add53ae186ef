//go:build linux

// Package control answers on port 1027: who this guest is, whether it may run
// anything, and whether it is well (protocol §3).
package control

import (
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"time"

	"brainstorm-sandbox/guest/internal/dispatch"
	"brainstorm-sandbox/guest/internal/guest"
	"brainstorm-sandbox/guest/internal/query"
	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
	"brainstorm-sandbox/guest/internal/vital"
)

// Protocol is the version of the contract this guest speaks.
const Protocol = 1

// Identity is what Hello reports of the image and this boot.
type Identity struct {
	ImageVersion, ImageDigest, BootID string
	CID                               uint32
	HasCID                            bool
	Tools                             []any
}

// Service answers control messages.
type Service struct {
	State     *guest.State
	Identity  Identity
	Dispatch  *dispatch.Service
	Inspector *query.Inspector
	PowerOff  func()
}

// Connected implements server.Service.
func (s *Service) Connected(*server.Conn) *strictjson.Object {
	facts := s.State.Facts()
	hello := strictjson.Of("type", "Hello", "protocol", Protocol,
		"image_version", s.Identity.ImageVersion, "image_digest", s.Identity.ImageDigest,
		"boot_id", s.Identity.BootID, "ram_nonce", facts.Nonce, "frozen", facts.Frozen, "tools", s.Identity.Tools)
	if s.Identity.HasCID {
		hello.Set("vsock_cid", int64(s.Identity.CID))
	}
	return hello
}

// Disconnected implements server.Service.
func (s *Service) Disconnected(*server.Conn) {}

// Handle implements server.Service. What takes longer than a moment runs
// beside, so that the heartbeat never waits for it.
func (s *Service) Handle(c *server.Conn, kind string, message *strictjson.Object) error {
	f := strictjson.Read(kind, message)
	f.Text("type")
	switch kind {
	case "Resume":
		return s.resume(c, f)
	case "Warmup":
		if err := f.Done(); err != nil {
			return refuse(c, kind, err)
		}
		vital.Go(func() { answer(c, kind, strictjson.Of("type", "WarmupAck"), s.Dispatch.Warmup()) })
		return nil
	case "Freeze":
		err := f.Done()
		if err == nil {
			err = s.State.Freeze()
		}
		return answer(c, kind, strictjson.Of("type", "FreezeAck"), err)
	case "Heartbeat":
		return s.heartbeat(c, f)
	case "Kill":
		commandID := f.Text("command_id")
		if err := f.Done(); err != nil {
			return refuse(c, kind, err)
		}
		return c.Send(strictjson.Of("type", "KillAck", "command_id", commandID, "killed", s.State.Kill(commandID)))
	case "PowerOff":
		if err := f.Done(); err != nil {
			return refuse(c, kind, err)
		}
		s.PowerOff()
		return nil
	default:
		return handleExtra(c, kind, f)
	}
}

func answer(c *server.Conn, kind string, ack *strictjson.Object, err error) error {
	if err != nil {
		return refuse(c, kind, err)
	}
	return c.Send(ack)
}

func refuse(c *server.Conn, kind string, err error) error {
	code := "BAD_REQUEST"
	var refusal *guest.Refusal
	if errors.As(err, &refusal) {
		code = refusal.Code
	}
	return c.SendError(code, err.Error(), "refused", kind)
}

const (
	minEntropy = 32   // bytes
	maxEntropy = 4096 // bytes
	tokenSize  = 32   // bytes
)

func (s *Service) resume(c *server.Conn, f *strictjson.Fields) error {
	epoch := f.Int("epoch", 1, 1<<53-1)
	token := f.Text("token")
	entropy := f.Base64("entropy")
	clock, clockErr := strconv.ParseInt(f.Text("wall_clock_ns"), 10, 64)
	if raw, err := hex.DecodeString(token); err != nil || len(raw) != tokenSize || hex.EncodeToString(raw) != token {
		f.Fail(`"token" must be 64 lower-case hexadecimal digits`)
	}
	if len(entropy) < minEntropy || len(entropy) > maxEntropy {
		f.Fail(`"entropy" must have %d to %d bytes`, minEntropy, maxEntropy)
	}
	if clockErr != nil || clock <= 0 || clock == math.MaxInt64 {
		f.Fail(`"wall_clock_ns" must be nanoseconds since 1970 as a decimal string`)
	}
	if err := f.Done(); err != nil {
		return refuse(c, "Resume", err)
	}
	var step time.Duration
	err := s.State.Resume(epoch, token, func() error {
		if err := reseed(entropy); err != nil {
			return err
		}
		var err error
		step, err = setClock(clock)
		return err
	})
	if err != nil {
		return refuse(c, "Resume", err)
	}
	overlay, err := s.Inspector.OverlayBytes()
	if err != nil {
		return refuse(c, "Resume", err)
	}
	facts := s.State.Facts()
	return c.Send(strictjson.Of("type", "ResumeAck", "epoch", epoch, "reseeded", true,
		"clock_step_ms", step.Milliseconds(), "ram_nonce", facts.Nonce,
		"dispatches", facts.Dispatches, "overlay_bytes", overlay))
}

func (s *Service) heartbeat(c *server.Conn, f *strictjson.Fields) error {
	seq := f.Int("seq", 0, 1<<53-1)
	if err := f.Done(); err != nil {
		return refuse(c, "Heartbeat", err)
	}
	used, total, err := s.Inspector.Memory()
	if err != nil {
		return refuse(c, "Heartbeat", err)
	}
	overlay, err := s.Inspector.OverlayBytes()
	if err != nil {
		return refuse(c, "Heartbeat", err)
	}
	load, tasks := query.Load()
	return c.Send(strictjson.Of("type", "HeartbeatAck", "seq", seq, "load", load,
		"bytes_used", used, "bytes_total", total, "processes", tasks, "overlay_bytes", overlay))
}
