package session

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrForbidden: there is a session and its role is not enough.
var ErrForbidden = errors.New("session: role not sufficient")

// CookieConfig describes the session cookie. It is always HttpOnly, SameSite=Lax and Path=/.
type CookieConfig struct {
	Name string // "" = session_id
	// Secure reports whether the request came over TLS, here or at a trusted proxy; nil = r.TLS is set.
	Secure func(*http.Request) bool
}

func (c CookieConfig) name() string {
	if c.Name == "" {
		return "session_id"
	}
	return c.Name
}

func (c CookieConfig) cookie(r *http.Request, value string) *http.Cookie {
	secure := r.TLS != nil
	if c.Secure != nil {
		secure = c.Secure(r)
	}
	return &http.Cookie{
		Name: c.name(), Value: value, Path: "/", Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// Set sends the cookie of a session. It lasts until the absolute expiry: idleness is judged by the
// server alone, so an extension need not send it again.
func (c CookieConfig) Set(w http.ResponseWriter, r *http.Request, token string, s Session) {
	cookie := c.cookie(r, token)
	if !s.AbsoluteExpiresAt.IsZero() {
		cookie.Expires = s.AbsoluteExpiresAt
		cookie.MaxAge = max(int(s.left()/time.Second), 1)
	}
	w.Header().Add("Cache-Control", "no-store")
	http.SetCookie(w, cookie)
}

// Clear takes the cookie away.
func (c CookieConfig) Clear(w http.ResponseWriter, r *http.Request) {
	cookie := c.cookie(r, "")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// Token returns the token a request carries: a bearer token, or else the cookie. fromCookie tells which;
// only a cookie is sent by a browser unasked, and so in need of protection against other sites.
func (c CookieConfig) Token(r *http.Request) (token string, fromCookie bool) {
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(value), false
	}
	if cookie, err := r.Cookie(c.name()); err == nil {
		return cookie.Value, true
	}
	return "", false
}

// MiddlewareConfig of Middleware and the Require functions.
type MiddlewareConfig struct {
	Cookie CookieConfig
	// OnError answers a request that lacks what Require asks for. err is one of ErrNotFound and
	// ErrCorrupt (401), ErrForbidden (403), ErrUnavailable (503, with Retry-After). nil = plain text.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

type contextKey struct{}

// lookup is what the middleware found: a session, or the reason there is none.
type lookup struct {
	session Session
	err     error
}

// Middleware looks up the session of each request and puts it into the request's context. It lets every
// request through: RequireSession and RequireRole refuse. The look-up blocks for one round trip, or two
// when auto-extend is on and the session is due. The ResponseWriter is passed on as it is, so upgrades
// and http.ResponseController work.
func (m *Manager) Middleware(c MiddlewareConfig) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l := lookup{err: ErrNotFound}
			if token, _ := c.Cookie.Token(r); token != "" {
				l.session, l.err = m.Load(r.Context(), token)
				if l.err == nil {
					l = m.touched(r.Context(), l.session)
				}
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, l)))
		})
	}
}

// touched extends s if due. Redis failing at that does not take a good session away.
func (m *Manager) touched(ctx context.Context, s Session) lookup {
	t, err := m.Touch(ctx, s)
	if err == nil || !errors.Is(err, ErrUnavailable) {
		return lookup{t, err}
	}
	m.log.Warn("session: not extended", "session_id", s.ID, "err", err)
	return lookup{session: s}
}

// FromContext returns the session the middleware found.
func FromContext(ctx context.Context) (Session, bool) {
	s, err := Lookup(ctx)
	return s, err == nil
}

// Lookup is FromContext with the reason why there is no session: ErrNotFound, ErrCorrupt or ErrUnavailable.
func Lookup(ctx context.Context) (Session, error) {
	l, ok := ctx.Value(contextKey{}).(lookup)
	if !ok {
		return Session{}, ErrNotFound
	}
	return l.session, l.err
}

// WithSession returns a context that carries s, for sessions that came another way, such as a ticket.
func WithSession(ctx context.Context, s Session) context.Context {
	return context.WithValue(ctx, contextKey{}, lookup{session: s})
}

// RequireSession refuses requests without a session. It goes inside Middleware.
func (c MiddlewareConfig) RequireSession(next http.Handler) http.Handler {
	return c.require(next, func(Session) bool { return true })
}

// RequireRole refuses requests without a session of one of the roles. It goes inside Middleware.
func (c MiddlewareConfig) RequireRole(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return c.require(next, func(s Session) bool { return slices.Contains(roles, s.Role) })
	}
}

func (c MiddlewareConfig) require(next http.Handler, enough func(Session) bool) http.Handler {
	refuse := c.OnError
	if refuse == nil {
		refuse = refusePlain
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := Lookup(r.Context())
		if err == nil && !enough(s) {
			err = ErrForbidden
		}
		if err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refusePlain(w http.ResponseWriter, _ *http.Request, err error) {
	switch {
	case errors.Is(err, ErrForbidden):
		http.Error(w, "this session may not do that", http.StatusForbidden)
	case errors.Is(err, ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		http.Error(w, "sessions cannot be checked right now", http.StatusServiceUnavailable)
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a session is required", http.StatusUnauthorized)
	}
}
