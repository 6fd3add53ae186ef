// Package strictjson parses JSON the way the wire protocol demands (§3): no
// duplicate keys, no invalid UTF-8, no lone surrogates, bounded depth, and
// fields matched exactly and exhaustively.
//
// encoding/json is not used because it keeps the last of two equal keys,
// matches field names without regard to case and replaces invalid UTF-8, each
// of which lets two readers of one message disagree about what it says.
package strictjson

// Member is one name and value of an Object.
type Member struct {
	Key   string
	Value any
}

// Object keeps members in the order they were written. Values in the tree are
// nil, bool, float64, string, []any or *Object.
type Object struct {
	Members []Member
}

// Of builds an object from alternating keys and values.
func Of(pairs ...any) *Object {
	o := &Object{Members: make([]Member, 0, len(pairs)/2)}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.Members = append(o.Members, Member{pairs[i].(string), pairs[i+1]})
	}
	return o
}

// Set adds a member; the caller knows the key is new.
func (o *Object) Set(key string, value any) {
	o.Members = append(o.Members, Member{key, value})
}

// Get returns the value of key and whether it is there.
func (o *Object) Get(key string) (any, bool) {
	for i := range o.Members {
		if o.Members[i].Key == key {
			return o.Members[i].Value, true
		}
	}
	return nil, false
}
