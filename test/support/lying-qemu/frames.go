package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// rule says what a hostile dispatcher sends in the place of a frame. The file `frames` holds a list of
// them; the first that fits a frame counts.
type rule struct {
	// The guest port that the frame comes on, and fields that its message has.
	Port  int                    `json:"port"`
	Where map[string]interface{} `json:"where"`
	// So many counts of its descriptors a VM gives before it begins to lie: at its preparation it gives one.
	Answered int `json:"answered"`
	// Only the first so many VMs lie.
	Vms int `json:"vms"`
	// In the frame's place, in this order; nothing drops it.
	Send []part `json:"send"`
	// The frame follows behind the next one of its port.
	Later bool `json:"later"`
}

// part is the frame itself, changed, or bytes of the attacker's own.
type part struct {
	// Another port than that of the frame.
	Port int `json:"port"`
	// On the connection of its port that was open before the present one.
	Dead bool `json:"dead"`
	// Bytes (base64) instead of the frame, as they are: with a length before them or not.
	Raw []byte `json:"raw"`
	// Bytes instead of a record of the bridge.
	Bare []byte `json:"bare"`
	// Fields of the message that get another value.
	Set map[string]interface{} `json:"set"`
	// In what an EvidenceChunk carries.
	Replace *struct{ From, To string } `json:"replace"`
	// Only so many bytes of it.
	Cut int `json:"cut"`
	// A byte at a time, with so much between two.
	EveryMs int `json:"every_ms"`
	// The end of the connection follows.
	Close bool `json:"close"`
}

func decode(data []byte, into interface{}) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // an epoch is no float
	return decoder.Decode(into)
}

func rules() []rule {
	content, yes := asked("frames")
	if !yes {
		return nil
	}
	var all []rule
	if err := decode([]byte(content), &all); err != nil {
		fail(err)
	}
	return all
}

func (r rule) fits(port *guestPort, message map[string]interface{}) bool {
	if r.Port != port.number || port.answered < r.Answered {
		return false
	}
	for field, value := range r.Where {
		if !reflect.DeepEqual(message[field], value) {
			return false
		}
	}
	return r.Vms == 0 || mayLie(r.Vms)
}

// mayLie is whether this VM is one of the first so many that lied.
func mayLie(vms int) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		fail(err)
	}
	others := 0
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "attacked-") && entry.Name() != name("attacked") {
			others++
		}
	}
	return others < vms
}

// frame passes one whole frame of the guest on, or what a rule has in its place.
func (p *guestPort) frame(connection uint32, frame []byte) bool {
	all := rules()
	// Not what it says where it is too busy for one: it is asked again.
	if bytes.Contains(frame, []byte(`"open_fd_count"`)) {
		defer func() { p.answered++ }()
	}
	var message map[string]interface{}
	if len(all) > 0 && decode(frame[lengthSize:], &message) == nil {
		for _, one := range all {
			if !one.fits(p, message) {
				continue
			}
			report("attacked")
			if one.Later {
				p.later = append([]byte(nil), frame...)
				return true
			}
			for _, part := range one.Send {
				if !p.part(part, connection, frame, message) {
					return false
				}
			}
			return true
		}
	}
	later := p.later
	p.later = nil
	return p.say(connection, frame, 0) && (later == nil || p.say(connection, later, 0))
}

func (p *guestPort) part(part part, connection uint32, frame []byte, message map[string]interface{}) bool {
	to := p
	if part.Port != 0 && part.Port != p.number {
		to = ports[part.Port]
		connection = to.present()
	}
	if part.Dead {
		if to.before == 0 {
			fail(fmt.Errorf("port %d had one connection only", to.number))
		}
		connection = to.before
	}
	if part.Bare != nil {
		return to.write(part.Bare)
	}
	bytes := part.changed(frame, message)
	if part.Cut > 0 && part.Cut < len(bytes) {
		bytes = bytes[:part.Cut]
	}
	if !to.say(connection, bytes, time.Duration(part.EveryMs)*time.Millisecond) {
		return false
	}
	return !part.Close || to.write(record(connection, recordClose, nil))
}

func (p part) changed(frame []byte, message map[string]interface{}) []byte {
	if p.Raw != nil {
		return p.Raw
	}
	if p.Set == nil && p.Replace == nil {
		return frame
	}
	changed := map[string]interface{}{}
	for field, value := range message {
		changed[field] = value
	}
	for field, value := range p.Set {
		changed[field] = value
	}
	if p.Replace != nil {
		data, err := base64.StdEncoding.DecodeString(fmt.Sprint(changed["chunk_data"]))
		if err != nil {
			fail(err)
		}
		data = bytes.ReplaceAll(data, []byte(p.Replace.From), []byte(p.Replace.To))
		changed["chunk_data"] = base64.StdEncoding.EncodeToString(data)
		changed["chunk_size"] = json.Number(strconv.Itoa(len(data)))
	}
	body, err := json.Marshal(changed)
	if err != nil {
		fail(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// report leaves a file WHAT-PID for whoever wants to know that it happened.
func report(what string) {
	if err := os.WriteFile(filepath.Join(dir, name(what)), nil, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "lying-qemu:", err)
	}
}

func name(what string) string { return fmt.Sprintf("%s-%d", what, os.Getpid()) }
