package feed

import "strings"

// DefaultSource is the source of a quote that does not name one.
const DefaultSource = "inbox"

const maxSource = 32

// SourceName converts a producer's label to a source name, so that no quote is refused for its
// label. It converts to lower case, replaces every character other than a-z, 0-9, _ . and - by _,
// and cuts the name at 32 characters. A valid source name is returned unchanged.
func SourceName(label string) string {
	if label == "" || validSource(label) {
		return label
	}
	var b strings.Builder
	for _, r := range label {
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r >= 0x80 || !sourceChar(byte(r)):
			r = '_'
		}
		if b.WriteRune(r); b.Len() == maxSource {
			break
		}
	}
	return b.String()
}

func sourceChar(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-'
}

func validSource(s string) bool {
	for i := range len(s) {
		if !sourceChar(s[i]) {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxSource
}

func sourceRejection(source string) *Rejection {
	return reject(ReasonBadSource, "source %s: give 1 to %d characters of a-z, 0-9, _ . and -", quoted(source), maxSource)
}
