package feed

import "strings"

// DefaultSource is the source of a quote that names none.
const DefaultSource = "inbox"

const maxSource = 32

// SourceName returns the source that a label of a producer stands for: in lower
// case, with _ for each character other than a-z, 0-9, _ . and -, cut at 32. So a
// price is never refused for its label. A label that is a source is returned as it is.
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
