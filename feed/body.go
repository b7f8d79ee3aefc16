package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxInputItems is how many objects one body may hold.
const MaxInputItems = 10_000

// ErrBadBody is wrapped by SplitInput's error for a body of the wrong kind.
var ErrBadBody = errors.New("feed: body is neither a JSON object, an array nor NDJSON")

// ErrTooManyItems is wrapped by SplitInput's error for more than MaxInputItems.
var ErrTooManyItems = errors.New("feed: too many items in one body")

// SplitInput cuts a body into its items: one object, the elements of an array, or
// the lines of NDJSON (blank lines are skipped, \r\n is a line end too). Items are
// not checked: a broken NDJSON line or an array element that is no object is an
// item, for ParseInput to reject. A body that begins as an array must be valid
// JSON as a whole. Items may share body's memory. Errors wrap ErrBadBody or
// ErrTooManyItems. The caller bounds the size of body.
func SplitInput(body []byte) ([]json.RawMessage, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	switch {
	case len(body) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrBadBody)
	case body[0] == '[':
		return splitArray(body)
	case body[0] == '{' && json.Valid(body): // one object, perhaps over several lines
		return []json.RawMessage{body}, nil
	}
	return splitLines(body)
}

// splitArray stops at the bound instead of decoding everything first: a body of
// tiny elements would take many times its size.
func splitArray(body []byte) ([]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadBody, err)
	}
	var items []json.RawMessage
	for dec.More() {
		if len(items) == MaxInputItems {
			return nil, tooManyItems()
		}
		var item json.RawMessage
		if err := dec.Decode(&item); err != nil {
			return nil, fmt.Errorf("%w: array element %d: %w", ErrBadBody, len(items), err)
		}
		items = append(items, item)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: the array has no end: %w", ErrBadBody, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows the array", ErrBadBody)
	}
	return items, nil
}

// splitLines takes a body as NDJSON if any of its lines begins like an object.
func splitLines(body []byte) ([]json.RawMessage, error) {
	var items []json.RawMessage
	object := false
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(items) == MaxInputItems {
			return nil, tooManyItems()
		}
		object = object || line[0] == '{'
		items = append(items, slices.Clip(line))
	}
	if !object {
		return nil, fmt.Errorf("%w: it begins with %s", ErrBadBody, quoted(string(body[:min(len(body), 4*maxQuoted)])))
	}
	return items, nil
}

func tooManyItems() error {
	return fmt.Errorf("%w: at most %d, send them in parts", ErrTooManyItems, MaxInputItems)
}
