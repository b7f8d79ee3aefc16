package web

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
)

const guestRole = "guest"

// withSession looks up who asks. A request without a valid session goes on: the
// limiter then counts it by address.
func (s *Server) withSession(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		s.lookup(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { err = next(w, r) })).ServeHTTP(w, r)
		return err
	}
}

// sessionOf returns the session of a request, if it has a valid one.
func sessionOf(r *http.Request) (session.Session, bool) { return session.FromContext(r.Context()) }

// subject is who is counted by the limiter: the user of the session, but guests
// and strangers by address.
func (s *Server) subject(r *http.Request) string {
	if sess, ok := sessionOf(r); ok && sess.Role != guestRole {
		return "user:" + sess.UserID
	}
	return limiter.AddressSubject(limiter.ClientAddress(r, s.cfg.TrustedProxies))
}

func (s *Server) address(r *http.Request) string {
	return limiter.ClientAddress(r, s.cfg.TrustedProxies).String()
}

// isSecure reports whether the client's side of the connection is encrypted: TLS
// ends here, or at a proxy that is trusted and says so.
func (s *Server) isSecure(r *http.Request) bool {
	if r.TLS != nil || s.cfg.SecureCookies {
		return true
	}
	return limiter.FromTrustedProxy(r, s.cfg.TrustedProxies) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// sessionForSocket checks everything an upgrade must pass, cheapest first.
func (s *Server) sessionForSocket(w http.ResponseWriter, r *http.Request) (session.Session, error) {
	none := session.Session{}
	outcome := func(o string) { s.stats.upgrades.WithLabelValues(o).Inc() }
	if s.draining.Load() {
		outcome("unavailable")
		return none, unavailable("this node is going down", nil)
	}
	if err := checkUpgrade(w, r); err != nil {
		outcome("bad")
		return none, err
	}
	if !s.originAllowed(r) {
		outcome("origin")
		return none, forbidden("the page's origin may not connect here; see ALLOWED_ORIGINS")
	}
	sess, err := session.Lookup(r.Context())
	ticket := r.URL.Query().Get("ticket")
	if ticket != "" {
		// Looked at only: what is refused by the limit does not use it up.
		if sess, err = s.cfg.Sessions.PeekTicket(r.Context(), ticket); err == nil {
			r = r.WithContext(session.WithSession(r.Context(), sess))
		}
	}
	if limited := s.checkLimit(w, r); limited != nil {
		outcome("limited")
		return none, limited
	}
	if ticket != "" && err == nil {
		sess, err = s.cfg.Sessions.RedeemTicket(r.Context(), ticket)
	}
	switch {
	case errors.Is(err, session.ErrUnavailable):
		outcome("unavailable")
		return none, err
	case err != nil:
		outcome("unauthorized")
		return none, err
	}
	outcome("accepted")
	return sess, nil
}

// checkUpgrade refuses what websocket.Accept would, as a problem.
func checkUpgrade(w http.ResponseWriter, r *http.Request) error {
	has := func(header, token string) bool {
		for _, v := range r.Header.Values(header) {
			for t := range strings.SplitSeq(v, ",") {
				if strings.EqualFold(strings.TrimSpace(t), token) {
					return true
				}
			}
		}
		return false
	}
	if !r.ProtoAtLeast(1, 1) || r.Method != http.MethodGet || !has("Connection", "upgrade") || !has("Upgrade", "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return &problem{Status: http.StatusUpgradeRequired, Title: "Upgrade required",
			Detail: "this is a WebSocket endpoint; behind a proxy, pass the Upgrade and Connection headers on"}
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		return &problem{Status: http.StatusUpgradeRequired, Title: "Upgrade required", Detail: "want Sec-WebSocket-Version: 13"}
	}
	if keys := r.Header.Values("Sec-WebSocket-Key"); len(keys) != 1 || !validKey(keys[0]) {
		return badRequest("Sec-WebSocket-Key: want 16 bytes in base64, once")
	}
	if offered := r.Header.Values("Sec-WebSocket-Protocol"); len(offered) > 0 && !has("Sec-WebSocket-Protocol", protocol.Name) {
		return badRequest("subprotocol: want %s, or none", protocol.Name)
	}
	return nil
}

func validKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	return err == nil && len(b) == 16
}

// A sessionAnswer is what a client may know of its own session.
type sessionAnswer struct {
	ID        string `json:"session_id"`
	UserID    string `json:"user_id"`
	Role      string `json:"role"`
	ExpiresAt string `json:"expires_at"`
}

func answerOf(s session.Session) sessionAnswer {
	return sessionAnswer{s.ID, s.UserID, s.Role, protocol.FormatTime(s.ExpiresAt)}
}

func (s *Server) getSession(w http.ResponseWriter, r *http.Request) error {
	sess, _ := sessionOf(r)
	return writeJSON(w, http.StatusOK, answerOf(sess))
}

// postGuest makes a guest session, or returns the valid session there is.
func (s *Server) postGuest(w http.ResponseWriter, r *http.Request) error {
	sess, err := session.Lookup(r.Context())
	if err == nil {
		return writeJSON(w, http.StatusOK, answerOf(sess))
	}
	if !s.cfg.GuestSessions {
		return forbidden("guest sessions are off; see GUEST_SESSIONS")
	}
	if errors.Is(err, session.ErrUnavailable) {
		return err
	}
	sess, token, err := s.cfg.Sessions.Create(r.Context(), session.Draft{
		UserID: "guest-" + newID(), Role: guestRole, Address: s.address(r), Agent: r.UserAgent()})
	if err != nil {
		return err
	}
	s.cookie().Set(w, r, token, sess)
	return writeJSON(w, http.StatusCreated, answerOf(sess))
}

// postSession turns a bearer token into a cookie, with a new token and id.
func (s *Server) postSession(w http.ResponseWriter, r *http.Request) error {
	if _, cookie := s.cookie().Token(r); cookie {
		return unauthorized("want Authorization: Bearer with the token of a session")
	}
	old, err := session.Lookup(r.Context())
	if err != nil {
		return err
	}
	// Its maker may have been another program; from here on it is this client's.
	sess, token, err := s.cfg.Sessions.Renew(r.Context(), old.ID, session.Change{Address: s.address(r), Agent: r.UserAgent()})
	if err != nil {
		return err
	}
	s.cookie().Set(w, r, token, sess)
	return writeJSON(w, http.StatusOK, answerOf(sess))
}

// deleteSession signs out. Without a valid session there is nothing to do, and the
// cookie is cleared all the same.
func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) error {
	sess, err := session.Lookup(r.Context())
	if err == nil {
		err = s.cfg.Sessions.Revoke(r.Context(), sess.ID)
	}
	if errors.Is(err, session.ErrUnavailable) {
		return err
	}
	s.cookie().Clear(w, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type ticketAnswer struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int    `json:"expires_in"`
}

func (s *Server) postTicket(w http.ResponseWriter, r *http.Request) error {
	sess, _ := sessionOf(r)
	ticket, ttl, err := s.cfg.Sessions.IssueTicket(r.Context(), sess.ID)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, ticketAnswer{ticket, int(ttl.Seconds())})
}

func (s *Server) cookie() session.CookieConfig {
	return session.CookieConfig{Name: s.cfg.CookieName, Secure: s.isSecure}
}

// grantsFor is what a session may ask for: its role's grants, shared by all of the
// role. A role that is not in the table may connect within the limits of guests,
// and gets nothing.
func (s *Server) grantsFor(sess session.Session) *session.Grants {
	if g, ok := s.grants[sess.Role]; ok {
		return g
	}
	return s.noGrants
}

// prepareGrants fills the table that grantsFor looks into.
func (s *Server) prepareGrants(roles session.Roles) {
	s.grants = make(map[string]*session.Grants)
	for _, name := range roles.Names() {
		g, _ := roles.For(name)
		s.grants[name] = &g
	}
	none, _ := roles.For(guestRole)
	none.Symbols, none.Channels, none.Modes, none.MaxSymbols = nil, nil, nil, 0
	s.noGrants = &none
}
