// Package httpsession brings sessions to net/http: their cookie, a middleware that looks the session of
// a request up, and handlers that some roles only may use.
package httpsession

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/fxcast/fxcast/session"
)

// ErrForbidden means that there is a session, and that its role is not enough.
var ErrForbidden = errors.New("session: role not sufficient")

// Guard looks up the sessions of requests and refuses requests without the right one.
type Guard struct {
	Sessions *session.Manager
	Cookie   Cookie
	// OnError answers a request that is refused. err is session.ErrNotFound or session.ErrCorrupt (401),
	// ErrForbidden (403) or session.ErrUnavailable (503, with Retry-After). nil = plain text.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

type contextKey struct{}

// lookup is what the middleware found: a session, or the reason why there is none.
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

// FromContext returns the session that Middleware found, or why there is none: session.ErrNotFound,
// session.ErrCorrupt or session.ErrUnavailable.
func FromContext(ctx context.Context) (session.Session, error) {
	found, ok := ctx.Value(contextKey{}).(lookup)
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	return found.session, found.err
}

// RequireSession refuses requests without a session. It goes inside Middleware.
func (g Guard) RequireSession(next http.Handler) http.Handler {
	return g.require(next, func(session.Session) bool { return true })
}

// RequireRole refuses requests without a session of one of the roles. It goes inside Middleware.
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
		http.Error(w, "this session may not do that", http.StatusForbidden)
	case errors.Is(err, session.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		http.Error(w, "sessions cannot be checked right now", http.StatusServiceUnavailable)
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a session is required", http.StatusUnauthorized)
	}
}
