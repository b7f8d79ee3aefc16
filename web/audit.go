package web

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/fxcast/fxcast/protocol"
)

// An auditEntry gathers what a handler tells of the change it makes.
type auditEntry struct {
	what []any // names and values, as slog takes them
}

// audited logs one line for each try to change something: who, from where, what,
// and what became of it. Who is the place of the token in ADMIN_TOKEN, since the
// token itself is a secret.
func (s *Server) audited(change string) func(handler) handler {
	return func(next handler) handler {
		return func(w http.ResponseWriter, r *http.Request) (err error) {
			entry := &auditEntry{}
			result := "panicked"
			defer func() {
				s.log.Info("audit", slog.String("who", whoIs(r)), slog.String("from", s.address(r)), slog.String("request", requestID(r)),
					slog.String("change", change), slog.Group("of", entry.what...), slog.String("result", result))
			}()
			err = next(w, r.WithContext(context.WithValue(r.Context(), keyAudit, entry)))
			result = "done"
			if err != nil {
				p := asProblem(err)
				result = strconv.Itoa(p.Status) + " " + p.Title
				if p.Detail != "" {
					result += ": " + p.Detail
				}
			}
			return err
		}
	}
}

const maxNoted = 128 // bytes

// note tells the audit line of a request what is being changed. Values must be no
// secrets, and are cut.
func note(r *http.Request, name string, value any) {
	if entry, ok := r.Context().Value(keyAudit).(*auditEntry); ok {
		if text, ok := value.(string); ok {
			value = protocol.Clip(text, maxNoted)
		}
		entry.what = append(entry.what, name, value)
	}
}

// whoIs names the admin token that a request came with: "token 1" is the first of
// ADMIN_TOKEN.
func whoIs(r *http.Request) string {
	n, _ := r.Context().Value(keyAdmin).(int)
	return "token " + strconv.Itoa(n)
}
