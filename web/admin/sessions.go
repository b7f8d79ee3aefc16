package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

// A sessionRequest asks for a new session of a user.
type sessionRequest struct {
	UserID flexibleID      `json:"user_id"`
	Role   string          `json:"role"`
	Data   json.RawMessage `json:"data,omitempty"`
	TTL    *float64        `json:"ttl_seconds,omitempty"`
}

// A madeSession is the answer for a new session. It is the only answer that has the token.
type madeSession struct {
	access.SessionAnswer
	Token string `json:"token"`
}

type (
	revokedUser struct {
		Revoked int `json:"revoked"` // the number of sessions
	}
	revokedSession struct {
		Revoked bool `json:"revoked"`
	}
)

// postAdminSession creates a session for a user of the embedding application.
func (s *Server) postAdminSession(w http.ResponseWriter, r *http.Request) error {
	var in sessionRequest
	if err := endpoint.ReadJSON(r, &in); err != nil {
		return err
	}
	note(r, "user", string(in.UserID))
	note(r, "role", in.Role)
	draft := session.Draft{UserID: string(in.UserID), Role: in.Role, Data: in.Data, Address: s.cfg.Access.Address(r).String(), Agent: r.UserAgent()}
	if in.TTL != nil {
		const most = 366 * 24 * 3600
		if *in.TTL < 1 || *in.TTL > most {
			return endpoint.BadRequest("ttl_seconds: want 1 to %d", most)
		}
		draft.TTL = time.Duration(*in.TTL * float64(time.Second))
	}
	sess, token, err := s.cfg.Sessions.Create(r.Context(), draft)
	if err != nil {
		return err
	}
	note(r, "session", sess.ID)
	return endpoint.WriteJSON(w, http.StatusCreated, madeSession{access.AnswerOf(sess), token})
}

func (s *Server) getAdminSessions(w http.ResponseWriter, r *http.Request) error {
	user := r.URL.Query().Get("user_id")
	if user == "" {
		return endpoint.BadRequest("user_id: want the id of a user in the query")
	}
	list, err := s.cfg.Sessions.List(r.Context(), user)
	if err != nil {
		return err
	}
	if list == nil {
		list = []session.Session{}
	}
	return endpoint.WriteJSON(w, http.StatusOK, list)
}

func (s *Server) deleteAdminSessions(w http.ResponseWriter, r *http.Request) error {
	user := r.URL.Query().Get("user_id")
	if user == "" {
		return endpoint.BadRequest("user_id: want the id of a user in the query")
	}
	note(r, "user", user)
	n, err := s.cfg.Sessions.RevokeUser(r.Context(), user)
	note(r, "revoked", n)
	if err != nil {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, revokedUser{n})
}

func (s *Server) getAdminSession(w http.ResponseWriter, r *http.Request) error {
	sess, err := s.cfg.Sessions.LoadID(r.Context(), r.PathValue("session_id"))
	if err != nil {
		return noSuchSession(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, sess)
}

func (s *Server) deleteAdminSession(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("session_id")
	note(r, "session", id)
	if err := s.cfg.Sessions.Revoke(r.Context(), id); err != nil {
		return noSuchSession(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, revokedSession{true})
}

func noSuchSession(err error) error {
	if errors.Is(err, session.ErrNotFound) {
		return endpoint.NotFound("no such session; want its session_id, not its token")
	}
	return err
}

// A flexibleID is a user id that JSON may give as a string or a whole number.
type flexibleID string

// UnmarshalJSON implements json.Unmarshaler.
func (f *flexibleID) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		*f = flexibleID(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return endpoint.BadRequest("user_id: want a string or a whole number")
	}
	if _, err := n.Int64(); err != nil {
		return endpoint.BadRequest("user_id: want a string or a whole number")
	}
	*f = flexibleID(n)
	return nil
}
