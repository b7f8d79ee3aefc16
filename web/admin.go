package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/fxcast/fxcast/session"
)

// A sessionRequest asks for a session of a user.
type sessionRequest struct {
	UserID flexibleID      `json:"user_id"`
	Role   string          `json:"role"`
	Data   json.RawMessage `json:"data,omitempty"`
	TTL    *float64        `json:"ttl_seconds,omitempty"`
}

// A madeSession is told once: only who asked for it has the token.
type madeSession struct {
	sessionAnswer
	Token string `json:"token"`
}

type (
	revokedUser struct {
		Revoked int `json:"revoked"` // sessions
	}
	revokedSession struct {
		Revoked bool `json:"revoked"`
	}
)

// postAdminSession makes a session for a user of the embedding application.
func (s *Server) postAdminSession(w http.ResponseWriter, r *http.Request) error {
	var in sessionRequest
	if err := readJSON(r, &in); err != nil {
		return err
	}
	note(r, "user", string(in.UserID))
	note(r, "role", in.Role)
	draft := session.Draft{UserID: string(in.UserID), Role: in.Role, Data: in.Data, Address: s.address(r), Agent: r.UserAgent()}
	if in.TTL != nil {
		const most = 366 * 24 * 3600
		if *in.TTL < 1 || *in.TTL > most {
			return badRequest("ttl_seconds: want 1 to %d", most)
		}
		draft.TTL = time.Duration(*in.TTL * float64(time.Second))
	}
	sess, token, err := s.cfg.Sessions.Create(r.Context(), draft)
	if err != nil {
		return err
	}
	note(r, "session", sess.ID)
	return writeJSON(w, http.StatusCreated, madeSession{answerOf(sess), token})
}

func (s *Server) getAdminSessions(w http.ResponseWriter, r *http.Request) error {
	user := r.URL.Query().Get("user_id")
	if user == "" {
		return badRequest("user_id: want the id of a user in the query")
	}
	list, err := s.cfg.Sessions.List(r.Context(), user)
	if err != nil {
		return err
	}
	if list == nil {
		list = []session.Session{}
	}
	return writeJSON(w, http.StatusOK, list)
}

func (s *Server) deleteAdminSessions(w http.ResponseWriter, r *http.Request) error {
	user := r.URL.Query().Get("user_id")
	if user == "" {
		return badRequest("user_id: want the id of a user in the query")
	}
	note(r, "user", user)
	n, err := s.cfg.Sessions.RevokeUser(r.Context(), user)
	note(r, "revoked", n)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, revokedUser{n})
}

func (s *Server) getAdminSession(w http.ResponseWriter, r *http.Request) error {
	sess, err := s.cfg.Sessions.LoadID(r.Context(), r.PathValue("session_id"))
	if err != nil {
		return noSuchSession(err)
	}
	return writeJSON(w, http.StatusOK, sess)
}

func (s *Server) deleteAdminSession(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("session_id")
	note(r, "session", id)
	if err := s.cfg.Sessions.Revoke(r.Context(), id); err != nil {
		return noSuchSession(err)
	}
	return writeJSON(w, http.StatusOK, revokedSession{true})
}

func noSuchSession(err error) error {
	if errors.Is(err, session.ErrNotFound) {
		return &problem{Status: http.StatusNotFound, Title: "Not found", Detail: "no such session; want a session_id, which is not the token"}
	}
	return err
}

// getRejected shows the newest quotes that were rejected, on any node; while
// Redis is lost, on this one.
func (s *Server) getRejected(w http.ResponseWriter, r *http.Request) error {
	entries, err := s.cfg.Rejected.Last(r.Context(), 200)
	if err != nil && len(entries) == 0 {
		return err
	}
	return writeJSON(w, http.StatusOK, entries)
}

// readJSON reads one object; a field that is not known is refused by name.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if p, ok := errors.AsType[*problem](err); ok { // of a field's own UnmarshalJSON
			return p
		}
		if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && typ.Field != "" {
			kind, _, _ := strings.Cut(typ.Value, " ") // "number 1e400" names the value too
			return badRequest("%s: want %s, not a JSON %s", typ.Field, wanted(typ.Type), kind)
		}
		if name, ok := unknownField(err); ok {
			return badRequest("unknown field %s", name)
		}
		return badRequest("the body is not one JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("the body has more than one JSON object")
	}
	return nil
}

// wanted names the JSON that goes into a field of type t.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number of at most 64 bits"
	case reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "another kind of value"
}

// unknownField picks the name out of encoding/json's error, which has no type.
func unknownField(err error) (string, bool) {
	const prefix = "json: unknown field "
	text := err.Error()
	if len(text) <= len(prefix) || text[:len(prefix)] != prefix {
		return "", false
	}
	return clipped(text[len(prefix):]), true
}

// A flexibleID is a user id that came as a string or a whole number.
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
		return badRequest("user_id: want a string or a whole number")
	}
	if _, err := n.Int64(); err != nil {
		return badRequest("user_id: want a string or a whole number")
	}
	*f = flexibleID(n)
	return nil
}
