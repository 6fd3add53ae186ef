package strictjson

import (
	"encoding/base64"
	"fmt"
	"math"
	"strings"
)

// Fields takes the members of one object by name and remembers the first thing
// that was wrong, so that a decoder reads as a list of fields. Whatever was not
// asked for by the time of Done is an unknown field and refused.
type Fields struct {
	where  string
	object *Object
	taken  []string
	err    error
}

// Read starts decoding o; where names it in error sentences.
func Read(where string, o *Object) *Fields {
	return &Fields{where: where, object: o}
}

// Fail records a problem unless there is one already.
func (f *Fields) Fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(f.where+": "+format, args...)
	}
}

// Any takes a member of any type.
func (f *Fields) Any(key string) (any, bool) {
	f.taken = append(f.taken, key)
	return f.object.Get(key)
}

// Has says whether the member is there.
func (f *Fields) Has(key string) bool {
	_, ok := f.object.Get(key)
	return ok
}

// Text takes a required string.
func (f *Fields) Text(key string) string {
	v, ok := f.Any(key)
	s, isText := v.(string)
	if !ok {
		f.Fail("%q is missing", key)
	} else if !isText {
		f.Fail("%q must be a string", key)
	}
	return s
}

// OptionalText takes a string that may be left out.
func (f *Fields) OptionalText(key string) string {
	if !f.Has(key) {
		f.taken = append(f.taken, key)
		return ""
	}
	return f.Text(key)
}

// Int takes a required integer between low and high.
func (f *Fields) Int(key string, low, high int64) int64 {
	v, ok := f.Any(key)
	n, isNumber := v.(float64)
	switch {
	case !ok:
		f.Fail("%q is missing", key)
	case !isNumber || n != math.Trunc(n):
		f.Fail("%q must be an integer", key)
	case n < float64(low) || n > float64(high):
		f.Fail("%q must be between %d and %d", key, low, high)
	default:
		return int64(n)
	}
	return 0
}

// OptionalInt is Int for a member that may be left out.
func (f *Fields) OptionalInt(key string, low, high, otherwise int64) int64 {
	if !f.Has(key) {
		f.taken = append(f.taken, key)
		return otherwise
	}
	return f.Int(key, low, high)
}

// OptionalBool takes a boolean that is false when left out.
func (f *Fields) OptionalBool(key string) bool {
	v, ok := f.Any(key)
	b, isBool := v.(bool)
	if ok && !isBool {
		f.Fail("%q must be true or false", key)
	}
	return b
}

// Object takes a required object.
func (f *Fields) Object(key string) *Object {
	v, ok := f.Any(key)
	o, isObject := v.(*Object)
	if !ok {
		f.Fail("%q is missing", key)
	} else if !isObject {
		f.Fail("%q must be an object", key)
	}
	if o == nil {
		return &Object{}
	}
	return o
}

// OptionalList takes an array that may be left out.
func (f *Fields) OptionalList(key string) []any {
	v, ok := f.Any(key)
	list, isList := v.([]any)
	if ok && !isList {
		f.Fail("%q must be an array", key)
	}
	return list
}

// Base64 takes a required string of standard, padded base64 (RFC 4648 §4).
func (f *Fields) Base64(key string) []byte {
	s := f.Text(key)
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		f.Fail("%q is not base64", key)
	}
	return b
}

// Done returns the first problem, an unknown field being one.
func (f *Fields) Done() error {
	if f.err != nil {
		return f.err
	}
next:
	for _, m := range f.object.Members {
		for _, t := range f.taken {
			if t == m.Key {
				continue next
			}
		}
		for _, t := range f.taken {
			if strings.EqualFold(t, m.Key) {
				return fmt.Errorf("%s: the field %q must be spelled %q", f.where, clip(m.Key), t)
			}
		}
		return fmt.Errorf("%s: unknown field %q", f.where, clip(m.Key))
	}
	return nil
}
