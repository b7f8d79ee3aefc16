package client

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/protocol"
)

const maxShort = 64 // bytes of a symbol, a price, an epoch

// faultOf returns what is wrong with a message whose JSON types are right, or "". A required field
// that is absent or null has its zero value.
func faultOf(message protocol.Message) string {
	switch m := message.(type) {
	case protocol.Snapshot:
		return faultOfQuotes(m.Data)
	case protocol.Update:
		return faultOfQuotes(m.Data)
	case protocol.CandleUpdate:
		if !isName(m.Symbol) || !isName(m.Interval) || m.Data.Start.IsZero() || m.Data.Ticks == 0 || !isOHLC(m.Data.Bid) || !isOHLC(m.Data.Ask) {
			return fmt.Sprintf("%.64q: a candle without a time, or with a price that is not decimal", m.Symbol)
		}
	case protocol.DayUpdate:
		d := m.Day
		if !isName(m.Symbol) || d.Since.IsZero() || !isPrice(d.Open) || !isPrice(d.High) || !isPrice(d.Low) || d.PreviousClose != "" && !isPrice(d.PreviousClose) {
			return fmt.Sprintf("%.64q: day figures without a time, or with a price that is not decimal", m.Symbol)
		}
	case protocol.Status:
		if m.Status == "" || len(m.Symbol) > maxShort {
			return fmt.Sprintf("%.64q: the status %.64q", m.Symbol, m.Status)
		}
	case protocol.Resumed:
		if !isName(m.Symbol) {
			return fmt.Sprintf("resumed %.64q", m.Symbol)
		}
	case protocol.Error:
		if m.Code == "" {
			return "an error without a code"
		}
	case protocol.Closing:
		if m.Code <= 0 || m.ReconnectAfterMS < 0 {
			return fmt.Sprintf("closing with the code %d, to reconnect after %d ms", m.Code, m.ReconnectAfterMS)
		}
	}
	return ""
}

func faultOfQuotes(quotes []Quote) string {
	if quotes == nil {
		return "a message without its list of quotes"
	}
	for _, q := range quotes {
		switch {
		case !isName(q.Symbol) || len(q.Epoch) > maxShort:
			return fmt.Sprintf("a quote with the symbol %.64q and the epoch %.64q", q.Symbol, q.Epoch)
		case !isPrice(q.Bid) || !isPrice(q.Ask):
			return fmt.Sprintf("%s: a price that is not decimal: %.80q, %.80q", q.Symbol, q.Bid, q.Ask)
		case q.BidSize != "" && !isPrice(q.BidSize) || q.AskSize != "" && !isPrice(q.AskSize):
			return fmt.Sprintf("%s: a size that is not decimal: %.80q, %.80q", q.Symbol, q.BidSize, q.AskSize)
		case q.Seq == 0:
			return q.Symbol + ": a quote without a number"
		case q.Time.IsZero():
			return q.Symbol + ": a quote without a time"
		}
	}
	return ""
}

func isName(text string) bool { return text != "" && len(text) <= maxShort }

func isOHLC(p protocol.OHLC) bool {
	return !slices.ContainsFunc([]string{p.Open, p.High, p.Low, p.Close}, func(price string) bool { return !isPrice(price) })
}

// isPrice reports whether a text is a plain decimal number.
func isPrice(text string) bool {
	whole, fraction, point := strings.Cut(text, ".")
	return len(text) <= maxShort && isDigits(whole) && (!point || isDigits(fraction))
}

func isDigits(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}
