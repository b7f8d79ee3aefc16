// Package access decides what a request may do. It looks up the session, counts the request
// against the limits of its user or address, and returns the grants of a role. All packages
// of web that serve sessions share one Control.
package access

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/limiter/httplimit"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/session/httpsession"
	"github.com/fxcast/fxcast/web/endpoint"
)

// GuestRole is the role of guest sessions, and of requests without a session.
const GuestRole = session.GuestRole

// Config holds the settings of a Control. The lists are optional.
type Config struct {
	Sessions       *session.Manager
	Limiter        *limiter.Limiter
	Roles          session.Roles
	CookieName     string
	SecureCookies  bool                  // treat every request as encrypted; else only TLS here or at a trusted proxy counts
	TrustedProxies []netip.Prefix        // proxies whose forwarding headers are trusted
	RateExempt     []netip.Prefix        // clients whose requests are not counted
	GuestTier      limiter.Limit         // of new guests of one address
	Registry       prometheus.Registerer // may be nil
	Log            *slog.Logger
}

// A Control decides what requests may do. It is safe for concurrent use.
type Control struct {
	cfg      Config
	warnings *warnings
	known    knownTokens
	failed   *limiter.Limiter // of lookups that found no session, in this node's memory
	grants   map[string]*session.Grants
	noGrants *session.Grants // for a role that is not in the table
}

// New returns a Control.
func New(cfg Config) *Control {
	c := &Control{cfg: cfg, warnings: newWarnings(cfg.Registry, cfg.Log), grants: make(map[string]*session.Grants), known: knownTokens{by: map[[32]byte]payer{}}, failed: cfg.Limiter.Local()}
	for _, name := range cfg.Roles.Names() {
		g, _ := cfg.Roles.For(name)
		c.grants[name] = &g
	}
	none, _ := cfg.Roles.For(GuestRole)
	none.Symbols, none.Channels, none.Modes, none.MaxSymbols = nil, nil, nil, 0
	c.noGrants = &none
	return c
}

// Gates returns the gates for the Access of visitors and of sessions.
func (c *Control) Gates() endpoint.Gates {
	return endpoint.Gates{endpoint.Visitor: c.gate, endpoint.SignedIn: c.gate}
}

// gate admits a request, and refuses it if it needs a session and has none.
func (c *Control) gate(e endpoint.Endpoint, next endpoint.Handler) endpoint.Handler {
	if e.AdmitsItself {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		r, err := c.Admit(w, r, "")
		if err != nil {
			return err
		}
		if e.Access == endpoint.SignedIn {
			if _, err := Session(r); err != nil {
				return err
			}
		}
		return next(w, r)
	}
}

type callerKey struct{}

// A caller is the result of a lookup: a session, or the error that explains why there is none.
type caller struct {
	session session.Session
	err     error
}

func withCaller(r *http.Request, c caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// Session returns the session of a request that was admitted. Without one, the error is
// session.ErrNotFound, ErrCorrupt or ErrUnavailable.
func Session(r *http.Request) (session.Session, error) {
	found, ok := r.Context().Value(callerKey{}).(caller)
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	return found.session, found.err
}

// WithSession returns a copy of the request that has a session from another source, such as a
// ticket.
func WithSession(r *http.Request, s session.Session) *http.Request {
	return withCaller(r, caller{session: s})
}

// Grants returns the grants of a session's role. All sessions of the role share the result, so
// it must not be changed. A role that is not in the table may connect within the limits of
// guests, but may not subscribe to anything.
func (c *Control) Grants(s session.Session) *session.Grants {
	if g, ok := c.grants[s.Role]; ok {
		return g
	}
	return c.noGrants
}

// Cookie returns the name and attributes of the session cookie.
func (c *Control) Cookie() httpsession.Cookie {
	return httpsession.Cookie{Name: c.cfg.CookieName, Secure: c.Secure}
}

// Address returns the address of the client, which a trusted proxy may report. It is
// invalid if the peer has no IP address.
func (c *Control) Address(r *http.Request) netip.Addr {
	return httplimit.ClientAddress(r, c.cfg.TrustedProxies)
}

// Secure reports whether the client's side of the connection is encrypted: TLS ends here, or
// at a trusted proxy that reports it.
func (c *Control) Secure(r *http.Request) bool {
	if r.TLS != nil || c.cfg.SecureCookies {
		return true
	}
	return httplimit.FromTrustedProxy(r, c.cfg.TrustedProxies) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// A SessionAnswer is the part of a session that a client may see.
type SessionAnswer struct {
	ID        string `json:"session_id"`
	UserID    string `json:"user_id"`
	Role      string `json:"role"`
	ExpiresAt string `json:"expires_at"`
}

// AnswerOf returns the SessionAnswer of a session.
func AnswerOf(s session.Session) SessionAnswer {
	return SessionAnswer{s.ID, s.UserID, s.Role, protocol.FormatTime(s.ExpiresAt)}
}
