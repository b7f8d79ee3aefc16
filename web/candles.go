package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

var candleLimit = endpoint.Limit{Default: 500, Most: 1000}

// intervalNames are the values of ?interval=.
var intervalNames = protocol.Intervals()

// getCandles answers with the last candles of a symbol, oldest first: at most ?limit= (default 500)
// of the ?interval= (default 1m), and only those that begin before ?before= (RFC 3339 or Unix time).
func (s *Server) getCandles(w http.ResponseWriter, r *http.Request) error {
	symbol, err := s.grantedSymbol(r)
	if err != nil {
		return err
	}
	limit, err := candleLimit.Read(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	interval := feed.Minute
	if name := query.Get("interval"); name != "" {
		var ok bool
		if interval, ok = feed.ParseInterval(name); !ok {
			return endpoint.BadRequest("interval: want one of %s", strings.Join(intervalNames, ", "))
		}
	}
	var before time.Time
	if text := query.Get("before"); text != "" {
		if before, err = feed.ParseTime(text); err != nil {
			return endpoint.BadRequest("before: want a time such as 2026-11-22T10:15:00Z, or a Unix time")
		}
	}
	candles, err := s.cfg.Candles.Newest(r.Context(), symbol, interval, limit, before)
	if err != nil {
		return err
	}
	answer := make([]protocol.Candle, 0, len(candles))
	for _, c := range candles {
		answer = append(answer, c.Candle)
	}
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

// grantedSymbol returns the symbol in the path of a request, if its session's role includes it.
func (s *Server) grantedSymbol(r *http.Request) (feed.Symbol, error) {
	symbol, err := s.cfg.Instruments.ParseSymbol(r.PathValue("base") + "/" + r.PathValue("quote"))
	if err != nil {
		return "", endpoint.NotFound(err.Error())
	}
	sess, _ := access.Session(r)
	if !s.access.Grants(sess).Allows(string(symbol)) {
		return "", endpoint.Forbidden("the session's role does not include this symbol")
	}
	return symbol, nil
}

// symbolsWithDay returns the list of symbols with the day figures of those that the grants include.
// While the figures cannot be read, the list has none.
func (s *Server) symbolsWithDay(ctx context.Context, grants *session.Grants) ([]json.RawMessage, error) {
	list, err := s.symbolList(ctx)
	if err != nil {
		return nil, err
	}
	var names []struct{ Symbol feed.Symbol }
	symbols := []json.RawMessage{}
	if err := errors.Join(json.Unmarshal(list, &names), json.Unmarshal(list, &symbols)); err != nil {
		return nil, err
	}
	days, err := s.caches.days.Fetch(ctx, s.daysKey(), func(ctx context.Context) (map[feed.Symbol]protocol.Day, error) {
		all := make([]feed.Symbol, 0, len(names))
		for _, n := range names {
			all = append(all, n.Symbol)
		}
		return s.cfg.Candles.Days(ctx, all)
	})
	if err != nil {
		return symbols, nil
	}
	for i, n := range names {
		if day, ok := days.Value[n.Symbol]; ok && grants.Allows(string(n.Symbol)) {
			text := append(symbols[i][:len(symbols[i])-1:len(symbols[i])-1], `,"day":{`...)
			symbols[i] = append(day.AppendFields(text), "}}"...)
		}
	}
	return symbols, nil
}
