package admin

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/endpoint"
)

type (
	// A feedQuote is the last quote of a symbol.
	feedQuote struct {
		Symbol   feed.Symbol `json:"symbol"`
		Status   feed.Status `json:"status"`
		Since    string      `json:"since"` // of the status
		Bid      string      `json:"bid"`
		Ask      string      `json:"ask"`
		Time     string      `json:"ts"`
		Accepted string      `json:"accepted_at"`
		Age      float64     `json:"age_seconds"` // since its acceptance
		Source   string      `json:"source"`
		Gap      bool        `json:"gap"` // it confirmed a jump of the price
	}
	// A feedSymbol is what accepts or refuses the next quote of a symbol.
	feedSymbol struct {
		Symbol    feed.Symbol      `json:"symbol"`
		Last      *feedQuote       `json:"last"` // null: no quote is known
		Epoch     string           `json:"epoch"`
		Accepted  uint64           `json:"accepted"`  // quotes, in this epoch
		Reference *feedReference   `json:"reference"` // null: there is none, so any price is accepted
		Sources   []sourceOfSymbol `json:"sources"`
		// Rejected counts the rejected quotes of this symbol among the newest 200 of all, by source
		// and reason.
		Rejected map[string]map[feed.Reason]int `json:"rejected"`
	}
	// A feedReference is the price that the gate compares quotes with.
	feedReference struct {
		Mid      string `json:"mid"`
		Quotes   int    `json:"quotes"` // accepted since there was none, counted up to 1000
		Firm     bool   `json:"firm"`   // no jump beyond GATE_MAX_GAP is confirmed
		Accepted string `json:"accepted_at"`
	}
	// A sourceOfSymbol is one source of one symbol. A time that is not known is null.
	sourceOfSymbol struct {
		Symbol   feed.Symbol `json:"symbol"`
		Source   string      `json:"source"`
		Last     bool        `json:"last"` // the last quote of the symbol is from this source
		Accepted *string     `json:"accepted_at"`
		Heard    *string     `json:"heard_at"`              // only of sources that FEED_SOURCES names
		Outliers int         `json:"outliers"`              // refused in a row
		Mid      string      `json:"outlier_mid,omitempty"` // of the last outlier
		At       *string     `json:"outlier_at"`
	}
	feedSource struct {
		Source   string              `json:"source"`
		Symbols  []sourceOfSymbol    `json:"symbols"`
		Rejected map[feed.Reason]int `json:"rejected"` // of this source, among the newest 200 of all
	}
)

func lastOf(q receive.LastQuote, now time.Time) feedQuote {
	at := time.UnixMicro(q.At)
	return feedQuote{Symbol: q.Symbol, Status: q.Status, Since: protocol.FormatTime(q.Since), Bid: q.Bid, Ask: q.Ask, Time: protocol.FormatTime(q.Time), Accepted: protocol.FormatTime(at),
		Age: max(0, now.Sub(at).Round(time.Millisecond).Seconds()), Source: q.Source, Gap: q.Gap}
}

func sourceOf(s feed.Symbol, one accept.SourceStanding, last string) sourceOfSymbol {
	known := func(t time.Time) (at *string) {
		if !t.IsZero() {
			at = new(protocol.FormatTime(t))
		}
		return at
	}
	return sourceOfSymbol{Symbol: s, Source: one.Source, Last: one.Source == last, Accepted: known(one.Accepted), Heard: known(one.Heard),
		Outliers: one.Outliers, Mid: one.OutlierMid, At: known(one.OutlierAt)}
}

// getFeedSymbols lists the last quotes of all symbols.
func (s *Server) getFeedSymbols(w http.ResponseWriter, r *http.Request) error {
	quotes, err := s.cfg.Lasts.Quotes(r.Context(), []string{"*"})
	if err != nil {
		return err
	}
	answer, now := make([]feedQuote, 0, len(quotes)), time.Now()
	for _, q := range quotes {
		answer = append(answer, lastOf(q, now))
	}
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

// getFeedSymbol shows one symbol: its last quote, its reference, its sources, and why quotes of it
// were rejected.
func (s *Server) getFeedSymbol(w http.ResponseWriter, r *http.Request) error {
	symbol, err := s.cfg.Instruments.ParseSymbol(r.PathValue("base") + "/" + r.PathValue("quote"))
	if err != nil {
		return endpoint.NotFound(err.Error())
	}
	quotes, err := s.cfg.Lasts.Quotes(r.Context(), []string{string(symbol)})
	if err != nil {
		return err
	}
	standings, err := s.cfg.Publisher.Standings(r.Context(), []feed.Symbol{symbol})
	if err != nil {
		return err
	}
	standing, known := standings[symbol]
	answer := feedSymbol{Symbol: symbol, Epoch: standing.Epoch, Accepted: standing.Seq, Sources: []sourceOfSymbol{}, Rejected: map[string]map[feed.Reason]int{}}
	for _, q := range quotes {
		last := lastOf(q, time.Now())
		answer.Last = &last
	}
	if ref := standing.Reference; ref != nil {
		answer.Reference = &feedReference{ref.Mid, ref.Quotes, ref.Firm, protocol.FormatTime(ref.At)}
	}
	source := ""
	if answer.Last != nil {
		source = answer.Last.Source
	}
	for _, one := range standing.Sources {
		answer.Sources = append(answer.Sources, sourceOf(symbol, one, source))
	}
	entries, err := s.cfg.Rejected.Last(r.Context(), newestRejected)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Symbol != symbol {
			continue
		}
		if answer.Rejected[e.Source] == nil {
			answer.Rejected[e.Source] = map[feed.Reason]int{}
		}
		answer.Rejected[e.Source][e.Reason]++
	}
	if answer.Last == nil && !known && len(answer.Rejected) == 0 {
		return endpoint.NotFound("nothing is known of " + string(symbol))
	}
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

// getFeedSource shows one source: its symbols, and why quotes of it were rejected.
func (s *Server) getFeedSource(w http.ResponseWriter, r *http.Request) error {
	answer := feedSource{Source: feed.SourceName(r.PathValue("source")), Symbols: []sourceOfSymbol{}, Rejected: map[feed.Reason]int{}}
	quotes, err := s.cfg.Lasts.Quotes(r.Context(), []string{"*"})
	if err != nil {
		return err
	}
	last, symbols := make(map[feed.Symbol]string, len(quotes)), make([]feed.Symbol, 0, len(quotes))
	for _, q := range quotes {
		last[q.Symbol] = q.Source
		symbols = append(symbols, q.Symbol)
	}
	standings, err := s.cfg.Publisher.Standings(r.Context(), symbols)
	if err != nil {
		return err
	}
	for symbol, standing := range standings {
		for _, one := range standing.Sources {
			if one.Source == answer.Source {
				answer.Symbols = append(answer.Symbols, sourceOf(symbol, one, last[symbol]))
			}
		}
	}
	slices.SortFunc(answer.Symbols, func(a, b sourceOfSymbol) int { return cmp.Compare(a.Symbol, b.Symbol) })
	entries, err := s.cfg.Rejected.Last(r.Context(), newestRejected)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Source == answer.Source {
			answer.Rejected[e.Reason]++
		}
	}
	if len(answer.Symbols) == 0 && len(answer.Rejected) == 0 {
		return endpoint.NotFound("nothing is known of a source " + answer.Source)
	}
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}
