package limiter

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxLimit is the largest limit, because an integer in a structured header field holds no
	// more. Greater limits and costs count as MaxLimit.
	MaxLimit = 999_999_999_999_999

	// MinWindow and MaxWindow are the shortest and the longest window of a tier.
	MinWindow = time.Second
	MaxWindow = 366 * 24 * time.Hour

	maxSubject = 128 // bytes; a longer subject is hashed
	maxSlots   = 64  // windows in one decision
	maxName    = 64  // bytes
)

// ErrInvalid is wrapped by every error about an invalid argument.
var ErrInvalid = errors.New("limiter: invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Limit is a tier: at most Max units in any window of length Window, wherever the window starts.
type Limit struct {
	// Name appears in headers and problem documents. It is printable ASCII of at most 64 bytes;
	// "" stands for the window in seconds, such as "60s". Tiers with the same Max and Window
	// share one window, whatever their names.
	Name   string
	Max    int64         // at least 1; above MaxLimit it counts as MaxLimit
	Window time.Duration // MinWindow to MaxWindow, in whole milliseconds
}

// Validate returns an error that wraps ErrInvalid if l is invalid.
func (l Limit) Validate() error {
	switch {
	case l.Max < 1:
		return invalid("limit %d: want 1 or more", l.Max)
	case l.Window < MinWindow || l.Window > MaxWindow:
		return invalid("window %v: want 1 s to 366 days", l.Window)
	case l.Window%time.Millisecond != 0:
		return invalid("window %v: want whole milliseconds", l.Window)
	case len(l.Name) > maxName:
		return invalid("tier name of %d bytes: want at most %d", len(l.Name), maxName)
	}
	for i := range len(l.Name) {
		if c := l.Name[i]; c < ' ' || c > '~' {
			return invalid("tier name %q: want printable ASCII", l.Name)
		}
	}
	return nil
}

// Label returns the name that headers and problem documents show.
func (l Limit) Label() string {
	if l.Name != "" {
		return l.Name
	}
	return seconds(l.Window) + "s"
}

// seconds formats a whole number of milliseconds as decimal seconds.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// RequestTiers returns the tiers minute, hour and day, without those whose limit is below 1.
func RequestTiers(perMinute, perHour, perDay int64) []Limit {
	var tiers []Limit
	for _, l := range []Limit{{"minute", perMinute, time.Minute}, {"hour", perHour, time.Hour}, {"day", perDay, 24 * time.Hour}} {
		if l.Max >= 1 {
			tiers = append(tiers, l)
		}
	}
	return tiers
}

// windowKey identifies the window of one subject and one tier.
type windowKey struct {
	subject string // canonical
	limit   int64
	window  int64 // microseconds
}

// redisKey returns the key in Redis. The braces put all windows of a subject in one cluster slot.
func (k windowKey) redisKey() string {
	return keyPrefix(k.subject) + seconds(time.Duration(k.window)*time.Microsecond) + ":" + strconv.FormatInt(k.limit, 10)
}

func keyPrefix(subject string) string { return "ratelimit:{" + subject + "}:" }

// slot is one window of a decision and the cost asked of it.
type slot struct {
	windowKey
	scale
	cost int64
}

// plan is a decision to be made. slots holds each window once; slotOf holds, for each tier, the
// index of its slot.
type plan struct {
	slots  []slot
	tiers  []Limit
	slotOf []int
}

// newPlan validates the arguments of a call and plans its decision. Equal tiers share a slot.
func newPlan(subject string, cost int64, tiers []Limit) (*plan, error) {
	switch {
	case len(tiers) == 0:
		return nil, invalid("decision without tiers: want at least one")
	case len(tiers) > maxSlots:
		return nil, invalid("decision over %d tiers: want at most %d", len(tiers), maxSlots)
	case cost < 1:
		return nil, invalid("cost %d: want 1 or more", cost)
	}
	subject, err := canonicalSubject(subject)
	if err != nil {
		return nil, err
	}
	p := &plan{slots: make([]slot, 0, len(tiers)), tiers: tiers, slotOf: make([]int, 0, len(tiers))}
	for _, l := range tiers {
		if err := l.Validate(); err != nil {
			return nil, err
		}
		limit := min(l.Max, MaxLimit)
		key := windowKey{subject, limit, l.Window.Microseconds()}
		i := p.find(key)
		if i < 0 {
			i = len(p.slots)
			p.slots = append(p.slots, slot{key, newScale(limit, l.Window), min(cost, MaxLimit+1)})
		}
		p.slotOf = append(p.slotOf, i)
	}
	return p, nil
}

func (p *plan) find(key windowKey) int {
	for i := range p.slots {
		if p.slots[i].windowKey == key {
			return i
		}
	}
	return -1
}

// canonicalSubject returns the subject as it appears in keys: unchanged if it is plain and short,
// else its hash. A subject that looks like such a hash is hashed too, so that no subject can share
// the window of another.
func canonicalSubject(s string) (string, error) {
	if s == "" {
		return "", invalid("subject: want at least one byte")
	}
	if len(s) <= maxSubject && isPlain(s) && !looksHashed(s) {
		return s, nil
	}
	sum := sha256.Sum256([]byte(s))
	return hashPrefix + hex.EncodeToString(sum[:]), nil
}

const hashPrefix = "sha256:"

func looksHashed(s string) bool {
	rest, ok := strings.CutPrefix(s, hashPrefix)
	return ok && len(rest) == hex.EncodedLen(sha256.Size) && strings.Trim(rest, "0123456789abcdef") == ""
}

func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("._:@/-", c) >= 0:
		default:
			return false
		}
	}
	return true
}
