package web

import (
	"net/http"

	"github.com/fxcast/fxcast/web/endpoint"
)

type (
	liveAnswer struct {
		Status string `json:"status"`
	}
	readyAnswer struct {
		Status string  `json:"status"` // ready, or not ready
		Checks []Check `json:"checks"`
	}
)

// getLive answers as long as the process does; it does not look at Redis.
func (s *Server) getLive(w http.ResponseWriter, _ *http.Request) error {
	return endpoint.WriteJSON(w, http.StatusOK, liveAnswer{"live"})
}

// getReady reports whether clients should be sent here. It does not wait: the checks look
// at what background probes found.
func (s *Server) getReady(w http.ResponseWriter, _ *http.Request) error {
	checks := append([]Check{{Name: "accepting", OK: s.live.Accepting() && !s.leaving.Load()}}, s.cfg.Ready()...)
	status, text := http.StatusOK, "ready"
	for _, c := range checks {
		if !c.OK {
			status, text = http.StatusServiceUnavailable, "not ready"
		}
	}
	return endpoint.WriteJSON(w, status, readyAnswer{text, checks})
}
