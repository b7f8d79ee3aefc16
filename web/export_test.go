package web

import "net/http"

// Framed returns h inside the envelope of every request.
func (s *Server) Framed(h http.Handler) http.Handler { return s.envelope().Around(h) }

// Routes returns the patterns of both listeners.
func (s *Server) Routes() (public, admin []string) {
	for _, e := range s.tables.public {
		public = append(public, e.Pattern)
	}
	for _, e := range s.tables.admin {
		admin = append(admin, e.Pattern)
	}
	return public, admin
}

// RenamedMetrics also serves renamed metrics under their old names.
type RenamedMetrics = renamedMetrics
