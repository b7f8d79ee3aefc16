package limiter

import (
	"context"
	"encoding/json"
	"time"
)

// CheckResult is the result of Check, ready for JSON.
type CheckResult struct {
	Allowed   bool  `json:"allowed"`
	Limit     int64 `json:"limit"`
	Remaining int64 `json:"remaining"`

	// ResetSeconds is the time until one more unit is free, or 0 if all are free.
	ResetSeconds Seconds `json:"reset_seconds"`

	// RetryAfterSeconds is the time until the same call is allowed if nothing else is charged
	// before: 0 if it is allowed now, nil if it never is.
	RetryAfterSeconds *Seconds `json:"retry_after_seconds"`

	Source Source `json:"source"`
}

// Seconds is a duration whose JSON is in decimal seconds, rounded up to a millisecond.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	ms := (time.Duration(s) + time.Millisecond - 1) / time.Millisecond
	return json.Marshal(float64(ms) / 1000)
}

// Check is a simpler form of Allow, or of Peek if peek is set: key may spend at most limit units in
// any windowSeconds. It returns an error that wraps ErrInvalid if key is empty, limit or cost is
// below 1, or the window is outside 1 s to 366 days. A cost above limit is valid but never allowed.
func (l *Limiter) Check(ctx context.Context, key string, limit, windowSeconds, cost int64, peek bool) (CheckResult, error) {
	const most = int64(MaxWindow / time.Second)
	if key == "" {
		return CheckResult{}, invalid("key: want at least one byte")
	}
	if windowSeconds < 1 || windowSeconds > most {
		return CheckResult{}, invalid("window_seconds %d: want 1 to %d", windowSeconds, most)
	}
	tier := Limit{Name: "check", Max: limit, Window: time.Duration(windowSeconds) * time.Second}
	d, err := l.decide(ctx, !peek, key, cost, []Limit{tier})
	if err != nil {
		return CheckResult{}, err
	}
	t := d.Tiers[0]
	out := CheckResult{Allowed: d.Allowed, Limit: limit, Remaining: t.Remaining, ResetSeconds: Seconds(t.Reset), Source: d.Source}
	if wait, ok := d.RetryAfter(); ok {
		out.RetryAfterSeconds = (*Seconds)(&wait)
	}
	return out, nil
}
