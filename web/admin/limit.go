package admin

import (
	"net/http"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/web/endpoint"
)

// A rateRequest asks whether the limit of a key allows a cost now.
type rateRequest struct {
	Key    string `json:"key"`
	Limit  int64  `json:"limit"`
	Window int64  `json:"window_seconds"`
	Cost   *int64 `json:"cost,omitempty"`
	Peek   bool   `json:"peek,omitempty"`
}

// postRateCheck offers the limiter to other programs, for one key and one window.
func (s *Server) postRateCheck(w http.ResponseWriter, r *http.Request) error {
	var in rateRequest
	if err := endpoint.ReadJSON(r, &in); err != nil {
		return err
	}
	cost := int64(1)
	if in.Cost != nil {
		cost = *in.Cost
	}
	result, err := s.cfg.Limiter.Check(r.Context(), in.Key, in.Limit, in.Window, cost, in.Peek)
	if err != nil {
		return endpoint.BadRequestOf(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, result)
}

var offendersLimit = endpoint.Limit{Default: 20, Most: 100}

// getOffenders lists the subjects that this node refuses most.
func (s *Server) getOffenders(w http.ResponseWriter, r *http.Request) error {
	n, err := offendersLimit.Read(r)
	if err != nil {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, append([]limiter.Offender{}, s.cfg.Limiter.TopOffenders(n)...))
}
