package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/web/endpoint"
)

type (
	// A symbolRemoval asks a node to forget a symbol that Redis does not have any more.
	symbolRemoval struct {
		Symbol feed.Symbol `json:"symbol"`
		Epoch  string      `json:"epoch"` // of the counter that was deleted
		At     int64       `json:"at"`    // by Redis's clock, Unix microseconds
	}
	// A forgottenSymbol is the answer of a node.
	forgottenSymbol struct {
		Known bool `json:"known"` // the node had a price or an entry of the symbol
	}
	removedSymbol struct {
		Symbol feed.Symbol `json:"symbol"`
		Silent []string    `json:"silent"` // nodes that did not answer; they forget the symbol when they reach Redis again
	}
)

func (s *Server) removeHere(ctx context.Context, r symbolRemoval) forgottenSymbol {
	known := s.cfg.Lasts.Remove(r.Symbol, r.Epoch, r.At)
	s.cfg.Removed(ctx)
	return forgottenSymbol{known}
}

// deleteSymbol removes a symbol from Redis and then from all nodes. The nodes send the status
// "unknown" to its subscribers.
func (s *Server) deleteSymbol(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("base") + "/" + r.PathValue("quote")
	note(r, "symbol", name)
	symbol, err := s.cfg.Instruments.ParseSymbol(name)
	if err != nil {
		return endpoint.NotFound(err.Error())
	}
	removal, err := s.cfg.Publisher.Remove(r.Context(), symbol)
	if err != nil {
		return err
	}
	question := symbolRemoval{symbol, removal.Epoch, removal.At}
	known := removal.Known
	known = s.removeHere(r.Context(), question).Known || known
	others, err := s.cfg.Nodes.Ask(r.Context(), "remove symbol", question, nil)
	if err != nil {
		s.cfg.Log.Warn("other nodes could not be asked to remove a symbol", "request", endpoint.RequestID(r), "err", err)
	}
	silent := append([]string{}, others.Silent...)
	for _, a := range others.Answers {
		var there forgottenSymbol
		if a.Fault != "" || json.Unmarshal(a.Body, &there) != nil {
			silent = append(silent, a.Node)
		}
		known = known || there.Known
	}
	if !known {
		return endpoint.NotFound("neither Redis nor any node has data of " + string(symbol))
	}
	slices.Sort(silent)
	return endpoint.WriteJSON(w, http.StatusOK, removedSymbol{symbol, silent})
}
