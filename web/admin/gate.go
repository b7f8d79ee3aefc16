package admin

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

const maxBody = 64 << 10

type auditKey struct{}

// An auditEntry gathers what a handler notes of the change it makes.
type auditEntry struct {
	what []any // names and values, as slog takes them
}

// gate lets only bearers of an admin token through, and audits an endpoint that
// changes something.
func (s *Server) gate(e endpoint.Endpoint, next endpoint.Handler) endpoint.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if len(s.cfg.Tokens) == 0 {
			return endpoint.Forbidden("the admin API is off: ADMIN_TOKEN is not set")
		}
		token := s.cfg.Access.FindToken(r, access.AdminDoor, s.cfg.Tokens)
		if token < 0 {
			return endpoint.BadToken("want Authorization: Bearer with the admin token")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if e.Audit == "" {
			return next(w, r)
		}
		return s.audited(e.Audit, token, next)(w, r)
	}
}

// audited logs one line for each try to change something: who, from where, what, and what
// became of it. Who is the place of the token in ADMIN_TOKEN, "token 1" the first, since
// the token itself is a secret.
func (s *Server) audited(change string, token int, next endpoint.Handler) endpoint.Handler {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		entry := &auditEntry{}
		result := "panicked"
		defer func() {
			s.cfg.Log.Info("audit", slog.String("who", "token "+strconv.Itoa(token+1)), slog.String("from", s.cfg.Access.Address(r).String()), slog.String("request", endpoint.RequestID(r)),
				slog.String("change", change), slog.Group("of", entry.what...), slog.String("result", result))
		}()
		err = next(w, r.WithContext(context.WithValue(r.Context(), auditKey{}, entry)))
		result = "done"
		if err != nil {
			p := endpoint.AsProblem(err)
			result = strconv.Itoa(p.Status) + " " + p.Title
			if p.Detail != "" {
				result += ": " + p.Detail
			}
		}
		return err
	}
}

const maxNoted = 128 // bytes

// note adds to the audit line of a request what is being changed. Values must be no
// secrets, and are cut.
func note(r *http.Request, name string, value any) {
	if entry, ok := r.Context().Value(auditKey{}).(*auditEntry); ok {
		if text, ok := value.(string); ok {
			value = protocol.Clip(text, maxNoted)
		}
		entry.what = append(entry.what, name, value)
	}
}
