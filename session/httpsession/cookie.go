package httpsession

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/fxcast/fxcast/session"
)

// A Cookie describes the session cookie. It is always HttpOnly, SameSite=Lax and Path=/.
type Cookie struct {
	Name string // "" = session_id
	// Secure reports whether a request came over TLS, to this server or to a trusted proxy. nil means
	// that r.TLS decides.
	Secure func(*http.Request) bool
}

func (c Cookie) name() string {
	if c.Name == "" {
		return "session_id"
	}
	return c.Name
}

func (c Cookie) make(r *http.Request, value string) *http.Cookie {
	secure := r.TLS != nil
	if c.Secure != nil {
		secure = c.Secure(r)
	}
	return &http.Cookie{
		Name: c.name(), Value: value, Path: "/", Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// Set adds the cookie of a session to an answer. The cookie lasts until the absolute expiry of the
// session. Only the server decides how long a session may be idle, so an extension does not need a new
// cookie.
func (c Cookie) Set(w http.ResponseWriter, r *http.Request, token string, s session.Session) {
	cookie := c.make(r, token)
	if !s.AbsoluteExpiresAt.IsZero() {
		cookie.Expires = s.AbsoluteExpiresAt
		cookie.MaxAge = max(int(s.Left()/time.Second), 1)
	}
	w.Header().Add("Cache-Control", "no-store")
	http.SetCookie(w, cookie)
}

// Clear makes the browser delete the cookie.
func (c Cookie) Clear(w http.ResponseWriter, r *http.Request) {
	cookie := c.make(r, "")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// Token returns the token that a request carries: a bearer token, or else the first cookie. A browser
// sends a cookie, and only a cookie, unasked: a request with fromCookie needs protection against other
// sites.
func (c Cookie) Token(r *http.Request) (token string, fromCookie bool) {
	if token, ok := bearer(r); ok {
		return token, false
	}
	if cookie, err := r.Cookie(c.name()); err == nil {
		return cookie.Value, true
	}
	return "", false
}

func bearer(r *http.Request) (token string, ok bool) {
	scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(value), ok && strings.EqualFold(scheme, "Bearer")
}

// maxCookies is how many cookies of one name count.
const maxCookies = 4

// Tokens returns the tokens that a request carries: the bearer token, or else those of the cookies, at
// most 4. A browser may send several cookies of the name, of other paths or domains, and the stale one
// may come first.
func (c Cookie) Tokens(r *http.Request) []string {
	if token, ok := bearer(r); ok {
		return []string{token}
	}
	cookies := r.CookiesNamed(c.name())
	tokens := make([]string, min(len(cookies), maxCookies))
	for i := range tokens {
		tokens[i] = cookies[i].Value
	}
	return tokens
}

// Find returns the session of a request, which counts as activity: that of the first of its Tokens that
// has one. Without a session the error is session.ErrNotFound, session.ErrCorrupt or
// session.ErrUnavailable.
func (c Cookie) Find(r *http.Request, sessions *session.Manager) (session.Session, error) {
	failed := error(session.ErrNotFound)
	for i, token := range c.Tokens(r) {
		found, err := sessions.Use(r.Context(), token)
		if err == nil || errors.Is(err, session.ErrUnavailable) {
			return found, err
		}
		if i == 0 {
			failed = err
		}
	}
	return session.Session{}, failed
}
