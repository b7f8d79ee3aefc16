package admin

import (
	"net/http"

	"github.com/fxcast/fxcast/web/endpoint"
)

type referenceRequest struct {
	Symbol string `json:"symbol"`
}

type forgottenAnswer struct {
	Forgotten bool `json:"forgotten"` // false: the symbol had no reference
}

// postReference forgets the reference price of a symbol, so that the gate accepts a next price that
// is far from it.
func (s *Server) postReference(w http.ResponseWriter, r *http.Request) error {
	var in referenceRequest
	if err := endpoint.ReadJSON(r, &in); err != nil {
		return err
	}
	symbol, err := s.cfg.Instruments.ParseSymbol(in.Symbol)
	if err != nil {
		return endpoint.BadRequest("symbol: %v", err)
	}
	note(r, "symbol", string(symbol))
	forgotten, err := s.cfg.Publisher.ForgetReference(r.Context(), symbol)
	if err != nil {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, forgottenAnswer{forgotten})
}
