package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of the fields that are read and written.
const (
	maxUserID  = 128   // bytes
	maxRole    = 64    // bytes
	maxAddress = 64    // bytes; a longer address is cut
	maxAgent   = 256   // bytes; a longer agent is cut
	maxValue   = 65536 // bytes of a session key; a longer one is corrupt
	maxTTL     = 366 * 24 * time.Hour
)

// record is the value of a session key. If another program wrote it, all fields but user_id and
// role may be missing.
type record struct {
	UserID   json.RawMessage `json:"user_id"`
	Role     string          `json:"role"`
	Data     json.RawMessage `json:"data,omitempty"`
	TTL      float64         `json:"ttl_seconds"`
	Created  string          `json:"created_at"`
	LastSeen string          `json:"last_seen_at"`
	Absolute string          `json:"absolute_expires_at"`
	Address  string          `json:"address,omitempty"`
	Agent    string          `json:"agent,omitempty"`
}

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// encodeJSON returns the JSON of v without HTML escaping, so that it is readable in redis-cli.
func encodeJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// encodeSession returns the value of a new session key.
func encodeSession(s Session) (string, error) {
	user, err := encodeJSON(s.UserID)
	if err != nil {
		return "", err
	}
	return encodeJSON(record{
		UserID: json.RawMessage(user), Role: s.Role, Data: s.Data, TTL: s.TTL.Seconds(),
		Created: formatTime(s.CreatedAt), LastSeen: formatTime(s.LastSeenAt), Absolute: formatTime(s.AbsoluteExpiresAt),
		Address: s.Address, Agent: s.Agent,
	})
}

// decodeSession reads the value of a session key into s. The error names the wrong field, but never
// has its content.
func decodeSession(value string, s *Session) error {
	if len(value) > maxValue {
		return fmt.Errorf("value of %d bytes; at most %d are allowed", len(value), maxValue)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &fields); err != nil || fields == nil {
		return errors.New("not a JSON object")
	}
	var err error
	if s.UserID, err = decodeUserID(fields["user_id"]); err != nil {
		return err
	}
	if s.Role, err = decodeText(fields, "role", maxRole); err != nil {
		return err
	}
	if s.Role == "" {
		return errors.New("role: missing")
	}
	if d := fields["data"]; len(d) > 0 && string(d) != "null" {
		s.Data = d
	}
	if s.Address, err = decodeText(fields, "address", maxValue); err != nil {
		return err
	}
	if s.Agent, err = decodeText(fields, "agent", maxValue); err != nil {
		return err
	}
	for name, at := range map[string]*time.Time{
		"created_at": &s.CreatedAt, "last_seen_at": &s.LastSeenAt, "absolute_expires_at": &s.AbsoluteExpiresAt,
	} {
		if *at, err = decodeTime(fields[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if raw := fields["ttl_seconds"]; len(raw) > 0 && string(raw) != "null" {
		var seconds float64
		if json.Unmarshal(raw, &seconds) != nil || seconds < 0.001 || seconds > maxTTL.Seconds() {
			return errors.New("ttl_seconds: not a number of seconds from 0.001 to 366 days")
		}
		s.TTL = time.Duration(math.Round(seconds*1000)) * time.Millisecond
	}
	return nil
}

func decodeUserID(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil && len(raw) > 0 && raw[0] == '"' {
		return text, checkUserID(text)
	}
	// A number stands for its digits: 123 is the user "123".
	text = string(raw)
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || len(digits) > 20 || strings.Trim(digits, "0123456789") != "" {
		return "", errors.New("user_id: neither a string nor a whole number")
	}
	return text, nil
}

func checkUserID(s string) error {
	switch {
	case s == "":
		return errors.New("user_id: missing")
	case len(s) > maxUserID:
		return fmt.Errorf("user_id: longer than %d bytes", maxUserID)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("user_id: not plain text")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }):
		return errors.New("user_id: contains a character that changes the direction of text")
	}
	return nil
}

func decodeText(fields map[string]json.RawMessage, name string, most int) (string, error) {
	raw := fields[name]
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("%s: not a string", name)
	}
	if len(s) > most {
		return "", fmt.Errorf("%s: longer than %d bytes", name, most)
	}
	return s, nil
}

// decodeTime reads an RFC 3339 time, or a Unix time in seconds or milliseconds. A missing field or
// null is the zero time.
func decodeTime(raw json.RawMessage) (time.Time, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return time.Time{}, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return time.Time{}, errors.New("not an RFC 3339 time")
		}
		return t.UTC(), nil
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || n <= 0 || n > 1e14 {
		return time.Time{}, errors.New("neither an RFC 3339 time nor a Unix time")
	}
	if n < 1e11 {
		n *= 1000
	}
	return time.UnixMilli(int64(n)).UTC(), nil
}

// rewrite returns value with some fields replaced. It keeps all other fields, such as those of
// other programs.
func rewrite(value string, replace map[string]any) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &fields); err != nil {
		return "", err
	}
	for name, v := range replace {
		text, err := encodeJSON(v)
		if err != nil {
			return "", err
		}
		fields[name] = json.RawMessage(text)
	}
	return encodeJSON(fields)
}

// A tombstone replaces the value of a session key for a short time. It is never a session.
type tombstone struct {
	Kind string `json:"tombstone"`    // "renewed" or "blocked"
	To   string `json:"to,omitempty"` // the id of the session that replaces this one
}

const tombstonePrefix = `{"tombstone":`

const blockedTombstone = tombstonePrefix + `"blocked"}`

func renewedTombstone(to string) string { return tombstonePrefix + `"renewed","to":"` + to + `"}` }

// parseTombstone reports whether value is a tombstone. to is the id of the session that replaces
// this one, or "" if there is none.
func parseTombstone(value string) (to string, ok bool) {
	if !strings.HasPrefix(value, tombstonePrefix) {
		return "", false
	}
	var t tombstone
	if json.Unmarshal([]byte(value), &t) != nil || !ValidID(t.To) {
		return "", true
	}
	return t.To, true
}

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
