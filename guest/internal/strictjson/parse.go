package strictjson

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxDepth is the deepest nesting that is accepted (protocol §2).
	MaxDepth = 64
	// MaxValues is how many values a text may hold, counted at every depth. An
	// empty list is two bytes on the wire and fifty in memory: without a limit a
	// frame of 16 MiB takes more than a small guest has.
	MaxValues = 1 << 17
)

// Parse reads exactly one JSON value (RFC 8259) and nothing after it.
func Parse(data []byte) (any, error) {
	p := parser{data: data}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", p.pos, err)
	}
	p.space()
	if p.pos != len(data) {
		return nil, fmt.Errorf("at byte %d: more follows the value", p.pos)
	}
	return v, nil
}

// ParseObject is Parse for a message: the value has to be an object.
func ParseObject(data []byte) (*Object, error) {
	v, err := Parse(data)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, errors.New("the value is not an object")
	}
	return o, nil
}

type parser struct {
	data   []byte
	pos    int
	values int
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	if p.values++; p.values > MaxValues {
		return nil, fmt.Errorf("more than %d values", MaxValues)
	}
	if p.pos >= len(p.data) {
		return nil, errors.New("the value is cut off")
	}
	switch c := p.data[p.pos]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.text()
	case c == 't':
		return true, p.word("true")
	case c == 'f':
		return false, p.word("false")
	case c == 'n':
		return nil, p.word("null")
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	default:
		return nil, fmt.Errorf("unexpected byte 0x%02x", c)
	}
}

func (p *parser) word(w string) error {
	if len(p.data)-p.pos < len(w) || string(p.data[p.pos:p.pos+len(w)]) != w {
		return errors.New("unknown word")
	}
	p.pos += len(w)
	return nil
}

func (p *parser) object(depth int) (any, error) {
	p.pos++
	o := &Object{}
	// A linear search is quickest for messages; a large object (env) gets a set,
	// so that many keys cannot cost quadratic time.
	var seen map[string]bool
	p.space()
	if p.peek() == '}' {
		p.pos++
		return o, nil
	}
	for {
		p.space()
		if p.peek() != '"' {
			return nil, errors.New("a member name is missing")
		}
		key, err := p.text()
		if err != nil {
			return nil, err
		}
		if seen == nil && len(o.Members) >= 32 {
			seen = make(map[string]bool, 64)
			for _, m := range o.Members {
				seen[m.Key] = true
			}
		}
		duplicate := seen[key]
		if seen == nil {
			_, duplicate = o.Get(key)
		} else {
			seen[key] = true
		}
		if duplicate {
			return nil, fmt.Errorf("the key %q stands twice", clip(key))
		}
		p.space()
		if p.peek() != ':' {
			return nil, errors.New("a colon is missing")
		}
		p.pos++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.Set(key, v)
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
			p.pos++
			return o, nil
		default:
			return nil, errors.New("an object is not closed")
		}
	}
}

func (p *parser) array(depth int) (any, error) {
	p.pos++
	list := []any{}
	p.space()
	if p.peek() == ']' {
		p.pos++
		return list, nil
	}
	for {
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case ']':
			p.pos++
			return list, nil
		default:
			return nil, errors.New("an array is not closed")
		}
	}
}

// peek returns 0 at the end; a NUL byte is no JSON structure either.
func (p *parser) peek() byte {
	if p.pos >= len(p.data) {
		return 0
	}
	return p.data[p.pos]
}

func (p *parser) text() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		if c == '"' {
			raw := p.data[start:p.pos]
			if !utf8.Valid(raw) {
				return "", errors.New("a string is not UTF-8")
			}
			p.pos++
			return string(raw), nil
		}
		if c == '\\' {
			return p.escapedText(start)
		}
		if c < 0x20 {
			return "", errors.New("a control character in a string is not escaped")
		}
		p.pos++
	}
	return "", errors.New("a string is not closed")
}

func (p *parser) escapedText(start int) (string, error) {
	out := append([]byte(nil), p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", errors.New("a string is not UTF-8")
			}
			p.pos++
			return string(out), nil
		case c < 0x20:
			return "", errors.New("a control character in a string is not escaped")
		case c != '\\':
			out = append(out, c)
			p.pos++
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", errors.New("a string is not closed")
}

func (p *parser) escape() (rune, error) {
	if p.pos+1 >= len(p.data) {
		return 0, errors.New("an escape is cut off")
	}
	c := p.data[p.pos+1]
	p.pos += 2
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := p.hex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if p.pos+1 < len(p.data) && p.data[p.pos] == '\\' && p.data[p.pos+1] == 'u' {
			p.pos += 2
			low, err := p.hex4()
			if err != nil {
				return 0, err
			}
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full, nil
			}
		}
		return 0, errors.New("a surrogate stands alone")
	default:
		return 0, errors.New("unknown escape")
	}
}

func (p *parser) hex4() (rune, error) {
	if p.pos+4 > len(p.data) {
		return 0, errors.New("an escape is cut off")
	}
	var r rune
	for _, c := range p.data[p.pos : p.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, errors.New("an escape is not hexadecimal")
		}
	}
	p.pos += 4
	return r, nil
}

func (p *parser) number() (any, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return nil, errors.New("a number has no digits")
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return nil, errors.New("a fraction has no digits")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return nil, errors.New("an exponent has no digits")
		}
	}
	f, err := strconv.ParseFloat(string(p.data[start:p.pos]), 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, errors.New("a number does not fit a double")
	}
	return f, nil
}

func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.data) && p.data[p.pos] >= '0' && p.data[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
