package protocol

import (
	"bytes"
	"strconv"
)

// A Quote is a quote as clients receive it.
type Quote struct {
	Symbol string `json:"symbol"` // canonical: "EUR/USD"
	Bid    string `json:"bid"`    // plain decimal text with the producer's digits
	Ask    string `json:"ask"`

	// Plain decimal text of 0 or more; absent if the producer gave none.
	BidSize string `json:"bid_size,omitempty"`
	AskSize string `json:"ask_size,omitempty"`

	Time Time   `json:"ts"`
	Seq  uint64 `json:"seq"` // per symbol, +1 per accepted quote within an epoch; from 1
	Extra
}

// Extra holds the fields of a quote that differ between clients. A field is absent if it is empty
// or zero, or if it is the status "live".
type Extra struct {
	Epoch   string `json:"epoch,omitempty"`   // in snapshots, first quotes, and when it changed
	Skipped uint64 `json:"skipped,omitempty"` // quotes conflated since the last one sent
	Status  string `json:"status,omitempty"`  // absent while live

	// Gap reports a jump of the price: this quote confirmed it, or one that was conflated into it
	// did. In a snapshot only the former counts.
	Gap bool `json:"gap,omitempty"`
}

// A Position is a place in the sequence of a symbol.
type Position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// The texts between the values of a body.
const (
	bodySymbol  = `{"symbol":"`
	bodyBid     = `","bid":"`
	bodyAsk     = `","ask":"`
	bodyBidSize = `","bid_size":"` // optional
	bodyAskSize = `","ask_size":"` // optional
	bodyTime    = `","ts":"`
	bodySeq     = `","seq":`
	bodyGap     = `,"gap":true` // optional; always last
)

// The texts before the values of the further fields, in this order.
const (
	fieldEpoch   = `,"epoch":"`
	fieldSkipped = `,"skipped":`
	fieldStatus  = `,"status":"`
)

// AppendBody appends the fields that all clients receive, as a JSON object without its closing
// brace, so that fields can be appended. Values are written unchanged and must contain nothing that
// JSON escapes, which holds for accepted quotes.
func (q Quote) AppendBody(dst []byte) []byte {
	dst = append(append(dst, bodySymbol...), q.Symbol...)
	dst = append(append(dst, bodyBid...), q.Bid...)
	dst = append(append(dst, bodyAsk...), q.Ask...)
	dst = q.AppendOptional(dst)
	dst = AppendTime(append(dst, bodyTime...), q.Time.Time)
	dst = strconv.AppendUint(append(dst, bodySeq...), q.Seq, 10)
	if q.Gap {
		dst = append(dst, bodyGap...)
	}
	return dst
}

// AppendOptional appends the optional fields of a body between the ask and the time. The text
// begins inside the quotation marks of the ask's value and ends inside those of its own last value.
// It is empty if no field is present.
func (q Quote) AppendOptional(dst []byte) []byte {
	if q.BidSize != "" {
		dst = append(append(dst, bodyBidSize...), q.BidSize...)
	}
	if q.AskSize != "" {
		dst = append(append(dst, bodyAskSize...), q.AskSize...)
	}
	return dst
}

// IsGap reports whether a body, as AppendBody writes it, belongs to a quote with Gap.
func IsGap(body []byte) bool { return bytes.HasSuffix(body, []byte(bodyGap)) }

// Append appends the whole object; the fields must be valid, as for AppendBody.
func (q Quote) Append(dst []byte) []byte { return AppendQuote(q.AppendBody(dst), nil, q.Extra) }

// MarshalJSON implements json.Marshaler by Append.
func (q Quote) MarshalJSON() ([]byte, error) { return q.Append(nil), nil }

// AppendQuote appends a quote object with a body, as AppendBody writes it, and the fields for one
// client.
func AppendQuote(dst, body []byte, x Extra) []byte {
	dst = append(dst, body...)
	if x.Gap && !IsGap(dst) {
		dst = append(dst, bodyGap...)
	}
	if x.Epoch != "" {
		dst = appendValue(append(dst, fieldEpoch...), x.Epoch)
	}
	if x.Skipped > 0 {
		dst = strconv.AppendUint(append(dst, fieldSkipped...), x.Skipped, 10)
	}
	if x.Status != "" && x.Status != StatusLive {
		dst = appendValue(append(dst, fieldStatus...), x.Status)
	}
	return append(dst, '}')
}
