package cli

import (
	"encoding/json"
	"io"
	"strings"
)

// Printable takes out what could move a terminal's cursor: other programs, and
// clients, wrote the text.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// WriteJSON prints a document for people and programs.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
