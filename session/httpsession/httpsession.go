// Package httpsession connects package session to net/http. It has the session cookie, a middleware
// that looks up the session of a request, and middlewares that require a session or a role.
package httpsession

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/fxcast/fxcast/session"
)

// ErrForbidden means that the request has a session, but not a sufficient role.
var ErrForbidden = errors.New("session: role not sufficient")

// A Guard looks up the sessions of requests, and refuses requests without a required session or role.
// Its methods are safe for concurrent use. Its fields must not be changed after the first request.
type Guard struct {
	Sessions *session.Manager
	Cookie   Cookie
	// OnError answers a refused request. err is session.ErrNotFound or session.ErrCorrupt (401),
	// ErrForbidden (403) or session.ErrUnavailable (503, with Retry-After). nil = answer in plain text.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

type contextKey struct{}

// lookup is the result of the middleware: a session, or the error that explains why there is none.
type lookup struct {
	session session.Session
	err     error
}

// Middleware looks up the session of each request, which counts as activity, and lets every request
// through: RequireSession and RequireRole refuse. It waits for a round trip to Redis, or two if an
// extension is due, and for one more for each stale cookie of the same name. next gets the ResponseWriter as it is, so upgrades and http.ResponseController work.
func (g Guard) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var found lookup
		found.session, found.err = g.Cookie.Find(r, g.Sessions)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, found)))
	})
}

// FromContext returns the session that Middleware has found. Without one, the error is
// session.ErrNotFound, session.ErrCorrupt or session.ErrUnavailable.
func FromContext(ctx context.Context) (session.Session, error) {
	found, ok := ctx.Value(contextKey{}).(lookup)
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	return found.session, found.err
}

// RequireSession refuses requests without a session. Middleware must wrap it.
func (g Guard) RequireSession(next http.Handler) http.Handler {
	return g.require(next, func(session.Session) bool { return true })
}

// RequireRole refuses requests without a session of one of the roles. Middleware must wrap it.
func (g Guard) RequireRole(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return g.require(next, func(s session.Session) bool { return slices.Contains(roles, s.Role) })
	}
}

func (g Guard) require(next http.Handler, enough func(session.Session) bool) http.Handler {
	refuse := g.OnError
	if refuse == nil {
		refuse = refusePlain
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := FromContext(r.Context())
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
		http.Error(w, "the role of this session is not sufficient", http.StatusForbidden)
	case errors.Is(err, session.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		http.Error(w, "sessions cannot be checked right now", http.StatusServiceUnavailable)
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a session is required", http.StatusUnauthorized)
	}
}
