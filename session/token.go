package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

const (
	tokenBytes     = 32  // 256 bits
	maxTokenLength = 512 // bytes; a longer token is refused without hashing it
	idLength       = 2 * sha256.Size
)

// newToken returns a secret of 256 bits as 43 characters of base64url.
func newToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ID returns the public id of the session that a token opens: the hex SHA-256 of the token.
func ID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// ValidToken reports whether s can be a token of this or another program. The alphabet is that of a
// bearer token (RFC 6750), which includes hex, base64 and base64url.
func ValidToken(s string) bool {
	if s == "" || len(s) > maxTokenLength {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}

// ValidID reports whether s has the form of a session id: 64 lower-case hex digits.
func ValidID(s string) bool {
	if len(s) != idLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
