package cache

import (
	"fmt"
	"strings"
)

// MaxPattern is the longest pattern in bytes. It has room for any key after Escape.
const MaxPattern = 2 * MaxKey

// pattern is a compiled glob over the bytes of a key. This process matches the keys, and asks Redis
// only for a superset. So a pattern means the same on every server and cannot match keys of another
// namespace.
type pattern struct {
	tokens []token
	prefix string // literal text that every match begins with; safe to send in a MATCH
}

type token struct {
	star    bool
	set     [4]uint64 // one bit per byte value that it matches
	negated bool      // matches the other byte values instead
}

func (t *token) add(b byte) { t.set[b>>6] |= 1 << (b & 63) }

func (t *token) takes(b byte) bool { return (t.set[b>>6]>>(b&63)&1 == 1) != t.negated }

// parsePattern parses a Redis glob: * matches any bytes, ? one byte, [a-c_] one of these, [^a] one
// of the others, and \ makes the next byte literal. Text that Redis would silently misread is an
// error.
func parsePattern(text string) (*pattern, error) {
	if text == "" {
		return nil, fmt.Errorf("cache: empty pattern: want one such as user:*, or * for all keys")
	}
	if len(text) > MaxPattern {
		return nil, fmt.Errorf("cache: a pattern of %d bytes: want at most %d", len(text), MaxPattern)
	}
	p := &pattern{}
	plain := true
	for i := 0; i < len(text); i++ {
		var t token
		switch b := text[i]; b {
		case '*':
			plain = false
			t.star = true
			if n := len(p.tokens); n > 0 && p.tokens[n-1].star {
				continue
			}
		case '?':
			plain = false
			t.negated = true
		case '[':
			plain = false
			end, err := t.class(text, i+1)
			if err != nil {
				return nil, fmt.Errorf("cache: pattern %.80q: %w", text, err)
			}
			i = end
		case '\\':
			plain = false // the embedded Redis misreads escapes
			if i++; i == len(text) {
				return nil, fmt.Errorf(`cache: pattern %.80q: \ at the end: want \\ for the character itself`, text)
			}
			t.add(text[i])
		default:
			t.add(b)
			if plain = plain && b >= ' ' && b <= '~'; plain {
				p.prefix += string(rune(b))
			}
		}
		p.tokens = append(p.tokens, t)
	}
	return p, nil
}

// class parses [...] from the byte after the opening bracket and returns the index of the closing
// one.
func (t *token) class(text string, i int) (end int, err error) {
	if i < len(text) && text[i] == '^' {
		t.negated = true
		i++
	}
	for start := i; i < len(text); i++ {
		switch {
		case text[i] == ']':
			if i == start {
				return 0, fmt.Errorf(`[] is empty: want the characters inside, \[ for the character itself`)
			}
			return i, nil
		case text[i] == '\\' && i+1 < len(text):
			i++
			t.add(text[i])
		case i+2 < len(text) && text[i+1] == '-':
			lo, hi := text[i], text[i+2]
			if hi == ']' || hi == '\\' {
				return 0, fmt.Errorf(`a range in [] without an end: want as in a-z, or \- for the character itself`)
			}
			if lo >= 0x80 || hi >= 0x80 { // servers differ, since their bytes may be signed
				return 0, fmt.Errorf(`a range in [] beyond ASCII: want as in a-z`)
			}
			for b := min(lo, hi); b <= max(lo, hi); b++ {
				t.add(b)
			}
			i += 2
		default:
			t.add(text[i])
		}
	}
	return 0, fmt.Errorf(`[ without ]: want \[ for the character itself`)
}

// match reports whether the whole key matches. Its time is at most proportional to the product of
// both lengths.
func (p *pattern) match(key string) bool {
	at, star, mark := 0, -1, 0
	for i := 0; i < len(key); {
		switch {
		case at < len(p.tokens) && p.tokens[at].star:
			star, mark = at, i
			at++
		case at < len(p.tokens) && p.tokens[at].takes(key[i]):
			at++
			i++
		case star >= 0: // the last * matches one more byte
			mark++
			at, i = star+1, mark
		default:
			return false
		}
	}
	for at < len(p.tokens) && p.tokens[at].star {
		at++
	}
	return at == len(p.tokens)
}

var escaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// Escape returns a pattern that matches only text, as a part of longer ones: Escape(user) + ":*".
func Escape(text string) string { return escaper.Replace(text) }
