package protocol

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A Candle sums up the quotes of one symbol that were accepted within an interval. Its JSON is
//
//	{"t":"2026-11-25T10:15:00Z","bid":["1.1","1.2","1.0","1.1"],"ask":[…],"ticks":57,"complete":true}
//
// and "open":true follows while the interval has not ended.
type Candle struct {
	Start    time.Time // of the interval: UTC, whole seconds
	Bid, Ask OHLC
	Ticks    uint64 // how many quotes; at least 1
	Complete bool   // no accepted quote of the interval is known to be missing
	Open     bool   // the interval has not ended, so quotes may follow
}

// OHLC holds the first, the highest, the lowest and the last price of an interval, as plain decimal
// text with the producer's digits. Its JSON is an array of the four.
type OHLC struct{ Open, High, Low, Close string }

// A Day holds figures of a symbol's bid on one trading day. As JSON it is an object with since,
// open, high, low and previous_close, which is null if it is not known.
type Day struct {
	Since           time.Time // when the day began: UTC, whole seconds
	Open, High, Low string    // plain decimal text
	PreviousClose   string    // the last bid of the trading day before; "" = not known
}

// startLayout is the layout of the times at which intervals and days begin.
const startLayout = "2006-01-02T15:04:05Z"

// Append appends the candle as a JSON object. Prices are written unchanged.
func (c Candle) Append(dst []byte) []byte {
	dst = c.Start.UTC().AppendFormat(append(dst, `{"t":"`...), startLayout)
	dst = c.Bid.Append(append(dst, `","bid":`...))
	dst = c.Ask.Append(append(dst, `,"ask":`...))
	dst = strconv.AppendUint(append(dst, `,"ticks":`...), c.Ticks, 10)
	dst = strconv.AppendBool(append(dst, `,"complete":`...), c.Complete)
	if c.Open {
		dst = append(dst, `,"open":true`...)
	}
	return append(dst, '}')
}

// MarshalJSON implements json.Marshaler by Append.
func (c Candle) MarshalJSON() ([]byte, error) { return c.Append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (c *Candle) UnmarshalJSON(data []byte) error {
	var text struct {
		Start          time.Time `json:"t"`
		Bid, Ask       OHLC
		Ticks          uint64
		Complete, Open bool
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*c = Candle{text.Start.UTC(), text.Bid, text.Ask, text.Ticks, text.Complete, text.Open}
	return nil
}

// Append appends the JSON array of the four prices.
func (p OHLC) Append(dst []byte) []byte {
	dst = append(append(dst, `["`...), p.Open...)
	dst = append(append(dst, `","`...), p.High...)
	dst = append(append(dst, `","`...), p.Low...)
	dst = append(append(dst, `","`...), p.Close...)
	return append(dst, `"]`...)
}

// MarshalJSON implements json.Marshaler by Append.
func (p OHLC) MarshalJSON() ([]byte, error) { return p.Append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (p *OHLC) UnmarshalJSON(data []byte) error {
	var four []string
	if err := json.Unmarshal(data, &four); err != nil {
		return err
	}
	if len(four) != 4 {
		return fmt.Errorf("protocol: want open, high, low and close, got %d prices", len(four))
	}
	*p = OHLC{four[0], four[1], four[2], four[3]}
	return nil
}

// AppendFields appends the fields of the object, from since on and without braces, so that they can
// follow others.
func (d Day) AppendFields(dst []byte) []byte {
	dst = d.Since.UTC().AppendFormat(append(dst, `"since":"`...), startLayout)
	dst = append(append(dst, `","open":"`...), d.Open...)
	dst = append(append(dst, `","high":"`...), d.High...)
	dst = append(append(dst, `","low":"`...), d.Low...)
	dst = append(dst, `","previous_close":`...)
	if d.PreviousClose == "" {
		return append(dst, "null"...)
	}
	return append(append(append(dst, '"'), d.PreviousClose...), '"')
}

// MarshalJSON implements json.Marshaler.
func (d Day) MarshalJSON() ([]byte, error) {
	return append(d.AppendFields([]byte{'{'}), '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Day) UnmarshalJSON(data []byte) error {
	var text struct {
		Since           time.Time
		Open, High, Low string
		PreviousClose   string `json:"previous_close"`
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*d = Day{text.Since.UTC(), text.Open, text.High, text.Low, text.PreviousClose}
	return nil
}
