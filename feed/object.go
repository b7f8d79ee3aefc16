package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// checkObject returns an error if data is not exactly one JSON object. The error text is bounded
// and printable.
func checkObject(data []byte) error {
	if !utf8.Valid(data) { // encoding/json would replace the bad bytes silently
		return errors.New("it is not valid UTF-8")
	}
	if !json.Valid(data) {
		var v json.RawMessage
		err := json.Unmarshal(data, &v)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line := 1 + bytes.Count(data[:syntax.Offset], []byte("\n"))
			return fmt.Errorf("it is not valid JSON: %w, at byte %d in line %d", err, syntax.Offset, line)
		}
		return fmt.Errorf("it is not valid JSON: %w", err)
	}
	if data = bytes.TrimLeft(data, blanks); data[0] != '{' {
		return fmt.Errorf("it is %s: it must be one JSON object, {…}", quoted(shown(data)))
	}
	return nil
}

// eachMember calls visit for each member of the JSON object data, in order, until visit returns an
// error. A name given twice is an error, since it is unclear which value is meant.
func eachMember(data []byte, visit func(name string, value json.RawMessage) error) error {
	if err := checkObject(data); err != nil {
		return err
	}
	seen := map[string]bool{}
	for m := membersOf(data); m.next(); {
		name := string(unquoted(m.name))
		if seen[name] {
			return fmt.Errorf("%s is given twice: give it once", quoted(name))
		}
		seen[name] = true
		if err := visit(name, json.RawMessage(m.value)); err != nil {
			return err
		}
	}
	return nil
}

// members iterates over a JSON object that is known to be valid.
type members struct {
	rest  []byte
	name  []byte // as written, with its quotes
	value []byte // shares the object's memory
}

const blanks = " \t\r\n"

// membersOf returns an iterator before the first member of object.
func membersOf(object []byte) members {
	return members{rest: bytes.TrimLeft(object, blanks)[1:]}
}

// next moves to the next member and reports whether there is one.
func (m *members) next() bool {
	m.rest = bytes.TrimLeft(m.rest, blanks+",")
	if m.rest[0] == '}' {
		return false
	}
	n := valueLength(m.rest)
	m.name, m.rest = m.rest[:n], bytes.TrimLeft(m.rest[n:], blanks+":")
	n = valueLength(m.rest)
	m.value, m.rest = m.rest[:n:n], m.rest[n:]
	return true
}

// valueLength returns the length of the JSON value at the beginning of s, which must be valid JSON.
func valueLength(s []byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // after a number or a word
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(s)
}

// unquoted returns the text of a valid JSON string, sharing its memory if the
// string has no escapes.
func unquoted(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	var text string
	_ = json.Unmarshal(s, &text) // it is valid
	return []byte(text)
}

// stringValue returns the text of a JSON string; ok is false for any other value.
func stringValue(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return string(unquoted(raw)), true
}

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9')
}

// shown returns the text of a JSON string, or any other value as JSON.
func shown(raw json.RawMessage) string {
	if text, ok := stringValue(raw); ok {
		return text
	}
	return string(raw)
}

// readObject reads the fields with these names into values, in the same order; null and absent
// fields stay nil. Names must match exactly.
func readObject(data []byte, names []string, values []json.RawMessage) *Rejection {
	if len(data) > MaxInputBytes {
		return reject(ReasonTooLong, "the message has %d bytes; the limit is %d", len(data), MaxInputBytes)
	}
	if err := checkObject(data); err != nil {
		return reject(ReasonBadJSON, "the message is not one JSON object: %s", err)
	}
	seen := 0
	for m := membersOf(data); m.next(); {
		i := slices.Index(names, string(unquoted(m.name)))
		if i < 0 {
			continue
		}
		if seen&(1<<i) != 0 {
			return reject(ReasonBadJSON, "%s is given twice: give it once", names[i])
		}
		seen |= 1 << i
		if string(m.value) != "null" {
			values[i] = m.value
		}
	}
	return nil
}
