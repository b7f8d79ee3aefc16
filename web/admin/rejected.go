package admin

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/web/endpoint"
)

const newestRejected = 200 // rejected quotes that are looked at

// rejectedParameters filter the rejected quotes.
var rejectedParameters = []endpoint.Parameter{
	{Name: "reason", About: "only quotes rejected for this reason", Schema: endpoint.Object{"type": "string", "enum": feed.Reasons()}},
	{Name: "symbol", About: "only quotes of this symbol, in any form that a producer may use", Schema: endpoint.Object{"type": "string"}},
	{Name: "source", About: "only quotes of this source", Schema: endpoint.Object{"type": "string"}},
}

// getRejected lists the newest rejected quotes of all nodes, or of this node while Redis is lost.
// The query filters these.
func (s *Server) getRejected(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	reason, source := feed.Reason(query.Get("reason")), feed.SourceName(query.Get("source"))
	if reason != "" && !slices.Contains(feed.Reasons(), reason) {
		return endpoint.BadRequest("reason: want one of %s", fmt.Sprint(feed.Reasons()))
	}
	var symbol feed.Symbol
	if text := query.Get("symbol"); text != "" {
		var err error
		if symbol, err = s.cfg.Instruments.ParseSymbol(text); err != nil {
			return endpoint.BadRequest("symbol: %v", err)
		}
	}
	entries, err := s.cfg.Rejected.Last(r.Context(), newestRejected)
	if err != nil && len(entries) == 0 {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e accept.RejectedQuote) bool {
		return reason != "" && e.Reason != reason || symbol != "" && e.Symbol != symbol || source != "" && e.Source != source
	})
	return endpoint.WriteJSON(w, http.StatusOK, entries)
}
