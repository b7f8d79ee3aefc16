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

// An auditEntry collects the details of a change that a handler makes.
type auditEntry struct {
	what []any // names and values, as arguments of slog
}

// gate refuses requests without an admin token, and audits an endpoint that changes something.
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

// audited logs one line for each attempt to change something: the caller, its address, the change
// and the result. The caller is named by the position of its token in ADMIN_TOKEN, from "token 1"
// on, since the token itself is a secret.
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

// note adds a detail of the change to the audit line of a request. A value must not be a secret. A
// string is cut to maxNoted bytes.
func note(r *http.Request, name string, value any) {
	if entry, ok := r.Context().Value(auditKey{}).(*auditEntry); ok {
		if text, ok := value.(string); ok {
			value = protocol.Clip(text, maxNoted)
		}
		entry.what = append(entry.what, name, value)
	}
}
