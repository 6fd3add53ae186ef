// Package jcs writes JSON in the canonical form of RFC 8785: members ordered by
// the UTF-16 code units of their names, numbers as ECMAScript prints them,
// the shortest string escapes. Evidence records and image identities are hashed
// in this form; messages use it too, since canonical JSON is JSON.
package jcs

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"brainstorm-sandbox/guest/internal/strictjson"
)

// Marshal returns the canonical form of a strictjson tree. Integers of type
// int, int64 and uint64 are taken as well, as long as a double holds them.
func Marshal(v any) ([]byte, error) {
	return Append(nil, v)
}

// Append is Marshal onto the end of dst.
func Append(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return AppendString(dst, v)
	case float64:
		return appendNumber(dst, v)
	case int:
		return appendInt(dst, int64(v))
	case int64:
		return appendInt(dst, v)
	case []any:
		return appendArray(dst, v)
	case *strictjson.Object:
		return appendObject(dst, v)
	default:
		return nil, fmt.Errorf("no JSON form for %T", v)
	}
}

func appendArray(dst []byte, list []any) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = Append(dst, v); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, o *strictjson.Object) ([]byte, error) {
	members := append([]strictjson.Member(nil), o.Members...)
	sort.SliceStable(members, func(i, j int) bool { return lessUTF16(members[i].Key, members[j].Key) })
	dst = append(dst, '{')
	var err error
	for i, m := range members {
		if i > 0 {
			if m.Key == members[i-1].Key {
				return nil, fmt.Errorf("the key %q stands twice", m.Key)
			}
			dst = append(dst, ',')
		}
		if dst, err = AppendString(dst, m.Key); err != nil {
			return nil, err
		}
		dst = append(dst, ':')
		if dst, err = Append(dst, m.Value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// lessUTF16 orders by UTF-16 code units (RFC 8785 §3.2.3), which differs from
// byte order where a supplementary character meets U+E000 … U+FFFF.
func lessUTF16(a, b string) bool {
	for len(a) > 0 && len(b) > 0 {
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb {
			return firstUnit(ra) < firstUnit(rb) || firstUnit(ra) == firstUnit(rb) && ra < rb
		}
		a, b = a[na:], b[nb:]
	}
	return len(a) < len(b)
}

func firstUnit(r rune) rune {
	if r < 0x10000 {
		return r
	}
	high, _ := utf16.EncodeRune(r)
	return high
}

const hexDigits = "0123456789abcdef"

// AppendString writes a JSON string; s must be UTF-8.
func AppendString(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("a string is not UTF-8")
	}
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"'), nil
}

func appendInt(dst []byte, n int64) ([]byte, error) {
	if n > 1<<53 || n < -(1<<53) {
		return nil, fmt.Errorf("%d does not fit a double exactly", n)
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// appendNumber follows ECMAScript's Number::toString (ECMA-262 §6.1.6.1.20).
func appendNumber(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v has no JSON form", f)
	}
	if f == 0 {
		return append(dst, '0'), nil // also for -0
	}
	if abs := math.Abs(f); abs >= 1e21 || abs < 1e-6 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		return trimExponent(dst, start), nil
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
}

// trimExponent takes the leading zero that Go writes: 1e-07 → 1e-7.
func trimExponent(dst []byte, start int) []byte {
	n := len(dst)
	if n-start >= 4 && dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
