package feed

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of one body: a message of the inbox, or the body of a request.
const (
	MaxInputItems = 10_000
	MaxInputBody  = 1 << 20 // bytes
)

// ErrBadBody is wrapped by SplitInput's error for a body of the wrong kind.
var ErrBadBody = errors.New("feed: body is neither a JSON object, an array nor NDJSON")

// ErrTooManyItems is wrapped by SplitInput's error for more than MaxInputItems.
var ErrTooManyItems = errors.New("feed: too many items in one body")

// SplitInput cuts a body into its items: one object, the elements of an array, or the lines of
// NDJSON. Blank lines are skipped, and \r\n also ends a line. The body may begin with a byte order
// mark; with one of UTF-16 it is read as UTF-16. A body that begins as an array must be valid JSON
// as a whole.
//
// Items are not checked: a broken NDJSON line, or an array element that is not an object, is an
// item for ParseInput to reject. Items may share body's memory. Errors wrap ErrBadBody or
// ErrTooManyItems. The caller bounds the size of body.
func SplitInput(body []byte) ([]json.RawMessage, error) {
	body, err := decodeMarked(body)
	if err != nil {
		return nil, err
	}
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrBadBody)
	case body[0] == '[':
		return splitArray(body)
	case body[0] == '{' && (bytes.IndexByte(body, '\n') < 0 || json.Valid(body)): // one object, perhaps over several lines
		return []json.RawMessage{body}, nil
	}
	return splitLines(body)
}

// BodyRejection returns the rejection of a body for an error of SplitInput, for callers that have
// no error answer of their own.
func BodyRejection(err error) *Rejection {
	reason := ReasonBadJSON
	if errors.Is(err, ErrTooManyItems) {
		reason = ReasonTooLong
	}
	return &Rejection{reason, strings.TrimPrefix(err.Error(), "feed: ")}
}

// splitArray cuts an array, which must be valid as a whole, into at most MaxInputItems elements.
func splitArray(body []byte) ([]json.RawMessage, error) {
	if !json.Valid(body) {
		var v json.RawMessage
		return nil, fmt.Errorf("%w: the array is not valid JSON: %w", ErrBadBody, json.Unmarshal(body, &v))
	}
	var items []json.RawMessage
	for rest := body[1:]; ; {
		rest = bytes.TrimLeft(rest, blanks+",")
		if rest[0] == ']' {
			return items, nil
		}
		if len(items) == MaxInputItems {
			return nil, tooManyItems()
		}
		n := valueLength(rest)
		items = append(items, slices.Clip(json.RawMessage(rest[:n])))
		rest = rest[n:]
	}
}

// splitLines reads a body as NDJSON if any of its lines begins like an object.
func splitLines(body []byte) ([]json.RawMessage, error) {
	var items []json.RawMessage
	object := false
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, utf8Mark)) // from concatenated files
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
	return fmt.Errorf("%w: the limit is %d, send them in parts", ErrTooManyItems, MaxInputItems)
}

// Byte order marks. The one of UTF-32 little-endian begins like the one of UTF-16.
var (
	utf8Mark       = []byte("\xef\xbb\xbf")
	utf16LittleEnd = []byte("\xff\xfe")
	utf16BigEnd    = []byte("\xfe\xff")
	utf32LittleEnd = []byte("\xff\xfe\x00\x00")
	utf32BigEnd    = []byte("\x00\x00\xfe\xff")
)

// decodeMarked returns the body without its byte order mark, in UTF-8.
func decodeMarked(body []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(body, utf32LittleEnd), bytes.HasPrefix(body, utf32BigEnd):
		return nil, fmt.Errorf("%w: it is in UTF-32, send UTF-8", ErrBadBody)
	case bytes.HasPrefix(body, utf16LittleEnd):
		return decodeUTF16(body[2:], binary.LittleEndian)
	case bytes.HasPrefix(body, utf16BigEnd):
		return decodeUTF16(body[2:], binary.BigEndian)
	}
	return bytes.TrimPrefix(body, utf8Mark), nil
}

func decodeUTF16(body []byte, order binary.ByteOrder) ([]byte, error) {
	text := make([]byte, 0, len(body))
	for i := 0; i+1 < len(body); i += 2 {
		r := rune(order.Uint16(body[i:]))
		if utf16.IsSurrogate(r) {
			next := rune(0)
			if i+3 < len(body) {
				next = rune(order.Uint16(body[i+2:]))
			}
			if r = utf16.DecodeRune(r, next); r == utf8.RuneError {
				return nil, fmt.Errorf("%w: it is not valid UTF-16", ErrBadBody)
			}
			i += 2
		}
		text = utf8.AppendRune(text, r)
	}
	if len(body)%2 != 0 {
		return nil, fmt.Errorf("%w: it is not valid UTF-16", ErrBadBody)
	}
	return text, nil
}
