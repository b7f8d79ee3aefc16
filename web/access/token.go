package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// findToken returns the index of the request's bearer token in tokens, or -1 if it is not one
// of them. Its time does not depend on how much of a token is right, so an attacker cannot
// find a token by timing.
func findToken(r *http.Request, tokens []string) int {
	given := bearer(r)
	found := -1
	sum := sha256.Sum256([]byte(given))
	for i, t := range tokens {
		want := sha256.Sum256([]byte(t))
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(want[:], sum[:]), i, found)
	}
	if given == "" {
		return -1
	}
	return found
}

// bearer returns the bearer token of the Authorization header, or "".
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
