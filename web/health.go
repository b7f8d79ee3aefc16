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

// getLive reports that the process serves requests. It does not look at Redis.
func (s *Server) getLive(w http.ResponseWriter, _ *http.Request) error {
	return endpoint.WriteJSON(w, http.StatusOK, liveAnswer{"live"})
}

// getReady reports whether this node should receive clients. It does not wait: the checks read
// the results of background probes.
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
