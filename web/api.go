package web

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/protocol"
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
func (s *Server) getSymbols(w http.ResponseWriter, r *http.Request) error {
	symbols, err := s.symbolList(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, symbols)
}

func (s *Server) describeSymbols(ctx context.Context) ([]symbolAnswer, error) {
	infos, err := s.cfg.Lasts.Symbols(ctx)
	if err != nil {
		return nil, err
	}
	symbols := []symbolAnswer{}
	for _, info := range infos {
		a := symbolAnswer{Symbol: info.Symbol, Digits: info.Digits, Pip: info.Pip, Status: info.Status}
		if !info.Last.IsZero() {
			a.TS = protocol.FormatTime(info.Last)
		}
		symbols = append(symbols, a)
	}
	return symbols, nil
}

// getQuotes answers with the last quotes of ?symbols=EUR/USD,GBP/*; all without.
func (s *Server) getQuotes(w http.ResponseWriter, r *http.Request) error {
	patterns, err := s.queryPatterns(r)
	if err != nil {
		return err
	}
	sess, _ := sessionOf(r)
	grants := s.grantsFor(sess)
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
	return writeJSON(w, http.StatusOK, quotes)
}

// quoteJSON is a last quote as in a snapshot.
func quoteJSON(q receive.LastQuote) json.RawMessage {
	return protocol.AppendQuote(q.AppendBody(nil), nil, protocol.Extra{Epoch: q.Epoch, Status: string(q.Status)})
}

// getHistory answers with the newest quotes of a symbol, oldest first: at most
// ?limit= (100), only those accepted since ?since= (RFC 3339).
func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) error {
	symbol, err := feed.ParseSymbol(r.PathValue("base") + "/" + r.PathValue("quote"))
	if err != nil {
		return &problem{Status: http.StatusNotFound, Title: "Not found", Detail: err.Error()}
	}
	sess, _ := sessionOf(r)
	if !s.grantsFor(sess).Allows(string(symbol)) {
		return forbidden("the session's role does not include this symbol")
	}
	limit, err := queryLimit(r, defaultHistory, maxHistory)
	if err != nil {
		return err
	}
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		if since, err = feed.ParseTime(text); err != nil {
			return badRequest("since: want a time like 2026-11-22T10:15:00Z, or Unix time")
		}
	}
	quotes, err := s.history(r.Context(), symbol, limit, since)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, quotes)
}

const (
	defaultHistory = 100
	maxHistory     = 10_000
)

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
