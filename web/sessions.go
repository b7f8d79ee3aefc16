package web

import (
	"errors"
	"net/http"

	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

func (s *Server) getSession(w http.ResponseWriter, r *http.Request) error {
	sess, _ := access.Session(r)
	return endpoint.WriteJSON(w, http.StatusOK, access.AnswerOf(sess))
}

// A guestAnswer describes a new guest session. It has the token for pages of ALLOWED_ORIGINS, which
// have no use for the cookie; other clients get that alone.
type guestAnswer struct {
	access.SessionAnswer
	Token string `json:"token,omitempty"`
}

// postGuest returns the session of the request, or else a new guest session.
func (s *Server) postGuest(w http.ResponseWriter, r *http.Request) error {
	if token, _ := s.access.Cookie().Token(r); token == "" {
		if err := s.access.LimitGuests(w, r, true); err != nil {
			return err
		}
	}
	r, err := s.access.Admit(w, r, "")
	if err != nil {
		return err
	}
	sess, err := access.Session(r)
	if err == nil {
		return endpoint.WriteJSON(w, http.StatusOK, access.AnswerOf(sess))
	}
	if !s.cfg.GuestSessions {
		return endpoint.Forbidden("guest sessions are off; see GUEST_SESSIONS")
	}
	if errors.Is(err, session.ErrUnavailable) {
		return err
	}
	if err := s.access.LimitGuests(w, r, false); err != nil {
		return err
	}
	sess, token, err := s.cfg.Sessions.Create(r.Context(), session.Draft{
		UserID: "guest-" + endpoint.NewID(), Role: access.GuestRole, Address: s.access.Address(r).String(), Agent: r.UserAgent()})
	if err != nil {
		return err
	}
	if !s.sameOrigin(r) && s.originListed(r) { // a page whose cookies do not count
		return endpoint.WriteJSON(w, http.StatusCreated, guestAnswer{access.AnswerOf(sess), token})
	}
	s.access.Cookie().Set(w, r, token, sess)
	return endpoint.WriteJSON(w, http.StatusCreated, guestAnswer{SessionAnswer: access.AnswerOf(sess)})
}

// postSession exchanges a bearer token for a cookie with a new token and session id.
func (s *Server) postSession(w http.ResponseWriter, r *http.Request) error {
	if _, cookie := s.access.Cookie().Token(r); cookie {
		return endpoint.Unauthorized("want Authorization: Bearer with the token of a session")
	}
	r, err := s.access.Admit(w, r, "")
	if err != nil {
		return err
	}
	old, err := access.Session(r)
	if err != nil {
		return err
	}
	// Another program may have created the session and know its token. After the renewal only
	// this client does.
	sess, token, err := s.cfg.Sessions.Renew(r.Context(), old.ID, session.Change{Address: s.access.Address(r).String(), Agent: r.UserAgent()})
	if err != nil {
		return err
	}
	s.access.Cookie().Set(w, r, token, sess)
	return endpoint.WriteJSON(w, http.StatusOK, access.AnswerOf(sess))
}

// deleteSession revokes the session of the request. It clears the cookie even if there is no
// valid session.
func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) error {
	sess, err := access.Session(r)
	if err == nil {
		err = s.cfg.Sessions.Revoke(r.Context(), sess.ID)
	}
	if errors.Is(err, session.ErrUnavailable) {
		return err
	}
	s.access.Cookie().Clear(w, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type ticketAnswer struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int    `json:"expires_in"`
}

func (s *Server) postTicket(w http.ResponseWriter, r *http.Request) error {
	sess, _ := access.Session(r)
	ticket, ttl, err := s.cfg.Sessions.IssueTicket(r.Context(), sess.ID)
	if err != nil {
		return err
	}
	s.access.Remember(ticket, sess)
	return endpoint.WriteJSON(w, http.StatusOK, ticketAnswer{ticket, int(ttl.Seconds())})
}
