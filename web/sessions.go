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

// postGuest makes a guest session, or returns the valid session there is.
func (s *Server) postGuest(w http.ResponseWriter, r *http.Request) error {
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
	sess, token, err := s.cfg.Sessions.Create(r.Context(), session.Draft{
		UserID: "guest-" + endpoint.NewID(), Role: access.GuestRole, Address: s.access.Address(r).String(), Agent: r.UserAgent()})
	if err != nil {
		return err
	}
	s.access.Cookie().Set(w, r, token, sess)
	return endpoint.WriteJSON(w, http.StatusCreated, access.AnswerOf(sess))
}

// postSession turns a bearer token into a cookie, with a new token and id.
func (s *Server) postSession(w http.ResponseWriter, r *http.Request) error {
	if _, cookie := s.access.Cookie().Token(r); cookie {
		return endpoint.Unauthorized("want Authorization: Bearer with the token of a session")
	}
	old, err := access.Session(r)
	if err != nil {
		return err
	}
	// Its maker may have been another program; from here on it is this client's.
	sess, token, err := s.cfg.Sessions.Renew(r.Context(), old.ID, session.Change{Address: s.access.Address(r).String(), Agent: r.UserAgent()})
	if err != nil {
		return err
	}
	s.access.Cookie().Set(w, r, token, sess)
	return endpoint.WriteJSON(w, http.StatusOK, access.AnswerOf(sess))
}

// deleteSession signs out. Without a valid session there is nothing to do, and the
// cookie is cleared all the same.
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
	return endpoint.WriteJSON(w, http.StatusOK, ticketAnswer{ticket, int(ttl.Seconds())})
}
