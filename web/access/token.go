package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// FindToken returns the place of the request's bearer token among tokens, or -1 if it is
// none of them. The time it takes depends neither on the tokens nor on their length.
func FindToken(r *http.Request, tokens []string) int {
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

// bearer is the token of the Authorization header, or empty.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
