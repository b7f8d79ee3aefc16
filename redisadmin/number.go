package redisadmin

import (
	"encoding/json"
	"log/slog"
	"strconv"
)

// Number is a count that a server may not report. The zero Number is unknown, which is not the
// same as 0; its JSON is null.
type Number struct {
	n     int64
	known bool
}

// Known returns a Number that is n.
func Known(n int64) Number { return Number{n: n, known: true} }

// Get returns the count and whether it is known.
func (n Number) Get() (int64, bool) { return n.n, n.known }

// Or returns the count, or other if it is unknown.
func (n Number) Or(other int64) int64 {
	if !n.known {
		return other
	}
	return n.n
}

// String returns the count in digits, or "not available here".
func (n Number) String() string {
	if !n.known {
		return notAvailable
	}
	return strconv.FormatInt(n.n, 10)
}

// add returns the sum of two counts. An unknown one does not count.
func (n Number) add(m Number) Number {
	switch {
	case !n.known:
		return m
	case !m.known:
		return n
	}
	return Known(n.n + m.n)
}

// since returns the growth of a counter since an earlier value. A counter that went back was
// reset, so all of it is new.
func (n Number) since(earlier Number) Number {
	switch {
	case !n.known || !earlier.known:
		return Number{}
	case n.n < earlier.n:
		return n
	}
	return Known(n.n - earlier.n)
}

// LogValue returns the count for a log.
func (n Number) LogValue() slog.Value {
	if !n.known {
		return slog.StringValue(notAvailable)
	}
	return slog.Int64Value(n.n)
}

// MarshalJSON returns a JSON number, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.known {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, n.n, 10), nil
}

// UnmarshalJSON parses a JSON number, or null.
func (n *Number) UnmarshalJSON(data []byte) error {
	*n = Number{}
	if string(data) == "null" {
		return nil
	}
	if err := json.Unmarshal(data, &n.n); err != nil {
		return err
	}
	n.known = true
	return nil
}

// Text is a word that a server may not report. The zero Text is unknown; its JSON is null.
type Text string

// String returns the text, or "not available here".
func (t Text) String() string {
	if t == "" {
		return notAvailable
	}
	return string(t)
}

// MarshalJSON returns a JSON string, or null.
func (t Text) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(t))
}
