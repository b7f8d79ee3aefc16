package web

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

var historyLimit = endpoint.Limit{Default: 100, Most: 10_000}

// A symbolAnswer describes a symbol. TS is the time of its last quote; it is absent if there is
// none.
type symbolAnswer struct {
	Symbol  feed.Symbol `json:"symbol"`
	Digits  int         `json:"digits"`
	Pip     string      `json:"pip"`
	Hours   *feed.Hours `json:"hours"`
	Aliases []string    `json:"aliases"`
	Status  feed.Status `json:"status"`
	TS      string      `json:"ts,omitempty"`

	Day *protocol.Day `json:"day,omitempty"` // see symbolsWithDay
}

// getSymbols lists the symbols that have been published. It needs no session; with one, the symbols
// that its role includes have day figures.
func (s *Server) getSymbols(w http.ResponseWriter, r *http.Request) error {
	if sess, err := access.Session(r); err == nil {
		symbols, err := s.symbolsWithDay(r.Context(), s.access.Grants(sess))
		if err != nil {
			return err
		}
		return endpoint.WriteJSON(w, http.StatusOK, symbols)
	}
	symbols, err := s.symbolList(r.Context())
	if err != nil {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, symbols)
}

func (s *Server) describeSymbols(ctx context.Context) ([]symbolAnswer, error) {
	infos, err := s.cfg.Lasts.Symbols(ctx)
	if err != nil {
		return nil, err
	}
	symbols := []symbolAnswer{}
	for _, info := range infos {
		a := symbolAnswer{Symbol: info.Symbol, Digits: info.Digits, Pip: info.Pip, Hours: info.Hours, Aliases: info.Aliases, Status: info.Status}
		if a.Aliases == nil {
			a.Aliases = []string{}
		}
		if !info.Last.IsZero() {
			a.TS = protocol.FormatTime(info.Last)
		}
		symbols = append(symbols, a)
	}
	return symbols, nil
}

// getQuotes answers with the last quotes of ?symbols=EUR/USD,GBP/*, or of all symbols. It leaves
// out symbols that the session's role does not include.
func (s *Server) getQuotes(w http.ResponseWriter, r *http.Request) error {
	patterns, err := endpoint.QuerySymbols(r, s.cfg.Instruments)
	if err != nil {
		return err
	}
	sess, _ := access.Session(r)
	grants := s.access.Grants(sess)
	lasts, err := s.cfg.Lasts.Quotes(r.Context(), patterns)
	if err != nil {
		return err
	}
	quotes := []json.RawMessage{}
	for _, q := range lasts {
		if grants.Allows(string(q.Symbol)) {
			quotes = append(quotes, quoteJSON(q))
		}
	}
	return endpoint.WriteJSON(w, http.StatusOK, quotes)
}

// quoteJSON returns a last quote in the form of a snapshot.
func quoteJSON(q receive.LastQuote) json.RawMessage {
	return protocol.AppendQuote(q.AppendBody(nil), nil, protocol.Extra{Epoch: q.Epoch, Status: string(q.Status)})
}

// getHistory answers with the newest quotes of a symbol, oldest first: at most ?limit= (default
// 100), and only those accepted at ?since= (RFC 3339 or Unix time) or later.
func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) error {
	symbol, err := s.grantedSymbol(r)
	if err != nil {
		return err
	}
	limit, err := historyLimit.Read(r)
	if err != nil {
		return err
	}
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		if since, err = feed.ParseTime(text); err != nil {
			return endpoint.BadRequest("since: want a time such as 2026-11-22T10:15:00Z, or a Unix time")
		}
	}
	quotes, err := s.history(r.Context(), symbol, limit, since)
	if err != nil {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, quotes)
}
