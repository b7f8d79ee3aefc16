package cli

import (
	"encoding/json"
	"io"
	"strings"
)

// Printable replaces characters that could move a terminal's cursor, since other programs and
// clients wrote the text.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// WriteJSON prints an indented document.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
