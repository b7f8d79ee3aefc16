package protocol

import (
	"encoding/json"
	"fmt"
)

// Names are symbols or channels in a command.
type Names []string

// UnmarshalJSON implements json.Unmarshaler. A list of more names than a command may have takes no
// memory: otherwise such lists would be the cheapest way to keep the garbage collector busy.
func (n *Names) UnmarshalJSON(text []byte) error {
	count := elements(text)
	if count > maxNames {
		return tooManyNames(count)
	}
	*n = make(Names, 0, count)
	return json.Unmarshal(text, (*[]string)(n))
}

// tooManyNames is the number of names in a list that is too long.
type tooManyNames int

func (n tooManyNames) Error() string {
	return fmt.Sprintf("want at most %d names of symbols and channels, got %d", maxNames, int(n))
}

// elements returns the number of elements of a JSON array, and 1 for any value that is not an array
// or has no element. The text must be valid JSON.
func elements(text []byte) int {
	n, depth, quoted := 1, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1 && text[0] == '[':
			n++
		}
	}
	return n
}
