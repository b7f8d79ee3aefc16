package httpsession

import (
	"net/http"
	"strings"
	"time"

	"github.com/fxcast/fxcast/session"
)

// Cookie is the form of the session cookie. It is always HttpOnly, SameSite=Lax and Path=/.
type Cookie struct {
	Name string // "" = session_id
	// Secure reports whether the request came over TLS, here or at a trusted proxy; nil = r.TLS is set.
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

// Set sends the cookie of a session. It lasts until the absolute expiry: the server alone decides how
// long a session may be idle, so an extension need not send it again.
func (c Cookie) Set(w http.ResponseWriter, r *http.Request, token string, s session.Session) {
	cookie := c.make(r, token)
	if !s.AbsoluteExpiresAt.IsZero() {
		cookie.Expires = s.AbsoluteExpiresAt
		cookie.MaxAge = max(int(s.Left()/time.Second), 1)
	}
	w.Header().Add("Cache-Control", "no-store")
	http.SetCookie(w, cookie)
}

// Clear takes the cookie away.
func (c Cookie) Clear(w http.ResponseWriter, r *http.Request) {
	cookie := c.make(r, "")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// Token returns the token that a request carries: a bearer token, or else the cookie. A browser sends a
// cookie, and only a cookie, unasked: a request with fromCookie needs protection against other sites.
func (c Cookie) Token(r *http.Request) (token string, fromCookie bool) {
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(value), false
	}
	if cookie, err := r.Cookie(c.name()); err == nil {
		return cookie.Value, true
	}
	return "", false
}
