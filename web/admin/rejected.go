package admin

import (
	"net/http"

	"github.com/fxcast/fxcast/web/endpoint"
)

// getRejected shows the newest quotes that were rejected, on any node; while
// Redis is lost, on this one.
func (s *Server) getRejected(w http.ResponseWriter, r *http.Request) error {
	entries, err := s.cfg.Rejected.Last(r.Context(), 200)
	if err != nil && len(entries) == 0 {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, entries)
}
