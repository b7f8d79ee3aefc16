package web

import (
	"net/http"
	"strconv"
)

// postRateCheck is the limiter's plain form for other programs: one key, one window.
func (s *Server) postRateCheck(w http.ResponseWriter, r *http.Request) error {
	in := struct {
		Key    string `json:"key"`
		Limit  int64  `json:"limit"`
		Window int64  `json:"window_seconds"`
		Cost   *int64 `json:"cost"`
		Peek   bool   `json:"peek"`
	}{}
	if err := readJSON(r, &in); err != nil {
		return err
	}
	cost := int64(1)
	if in.Cost != nil {
		cost = *in.Cost
	}
	result, err := s.cfg.Limiter.Check(r.Context(), in.Key, in.Limit, in.Window, cost, in.Peek)
	if err != nil {
		return badRequest("%v", err)
	}
	return writeJSON(w, http.StatusOK, result)
}

// getOffenders lists the subjects this node refuses most.
func (s *Server) getOffenders(w http.ResponseWriter, r *http.Request) error {
	n := 20
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > 100 {
			return badRequest("limit: want 1 to 100")
		}
	}
	return writeJSON(w, http.StatusOK, s.cfg.Limiter.TopOffenders(n))
}
