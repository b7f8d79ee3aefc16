package web

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/fxcast/fxcast/feed"
)

// maxQuerySymbols bounds what one request asks for.
const maxQuerySymbols = 200

// A symbolAnswer describes a symbol; ts is the time of its last quote.
type symbolAnswer struct {
	Symbol feed.Symbol `json:"symbol"`
	Digits int         `json:"digits"`
	Pip    string      `json:"pip"`
	Status feed.Status `json:"status"`
	TS     string      `json:"ts,omitempty"`
}

// getSymbols lists the symbols that have been published. It needs no session.
func (s *Server) getSymbols(w http.ResponseWriter, _ *http.Request) error {
	symbols := []symbolAnswer{}
	for _, info := range s.cfg.Board.Symbols() {
		a := symbolAnswer{Symbol: info.Symbol, Digits: info.Digits, Pip: info.Pip, Status: info.Status}
		if !info.Last.IsZero() {
			a.TS = stamp(info.Last)
		}
		symbols = append(symbols, a)
	}
	return writeJSON(w, http.StatusOK, symbols)
}

// getQuotes answers with the last quotes of ?symbols=EUR/USD,GBP/*; all without.
func (s *Server) getQuotes(w http.ResponseWriter, r *http.Request) error {
	patterns, err := s.queryPatterns(r)
	if err != nil {
		return err
	}
	sess, _ := sessionOf(r)
	grants := s.grantsFor(sess)
	quotes := []json.RawMessage{}
	for _, q := range s.cfg.Board.Quotes(patterns) {
		if grants.Allows(string(q.Symbol)) {
			quotes = append(quotes, quoteJSON(q))
		}
	}
	return writeJSON(w, http.StatusOK, quotes)
}

// quoteJSON is a last quote as in a snapshot.
func quoteJSON(q feed.LastQuote) json.RawMessage {
	b := q.AppendBody(nil)
	b = append(b, `,"epoch":`...)
	b = append(b, encode(q.Epoch)...)
	if q.Status != feed.StatusLive {
		b = append(b, `,"status":`...)
		b = append(b, encode(q.Status)...)
	}
	return append(b, '}')
}

func (s *Server) queryPatterns(r *http.Request) ([]string, error) {
	var patterns []string
	for _, list := range r.URL.Query()["symbols"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			p, err := feed.ParsePattern(name)
			if err != nil {
				return nil, badRequest("symbols: %v", err)
			}
			if patterns = append(patterns, p); len(patterns) > maxQuerySymbols {
				return nil, badRequest("symbols: at most %d symbols and wildcards in one request", maxQuerySymbols)
			}
		}
	}
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	return patterns, nil
}
