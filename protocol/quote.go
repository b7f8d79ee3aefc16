package protocol

import (
	"bytes"
	"strconv"
)

// A Quote is a quote as a client gets it.
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

// Extra are the fields of a quote that differ from client to client. Each is
// absent when it says nothing: empty, zero, or the status "live".
type Extra struct {
	Epoch   string `json:"epoch,omitempty"`   // in snapshots, first quotes, and when it changed
	Skipped uint64 `json:"skipped,omitempty"` // quotes conflated away since the last one sent
	Status  string `json:"status,omitempty"`  // when not live

	// Gap says that the price has jumped: this quote confirmed it, or one that was
	// conflated into it did. In a snapshot only the former counts.
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
	bodyGap     = `,"gap":true` // optional, the last
)

// The texts before the values of the fields that may follow, in this order.
const (
	fieldEpoch   = `,"epoch":"`
	fieldSkipped = `,"skipped":`
	fieldStatus  = `,"status":"`
)

// AppendBody appends the fields that all clients get, as a JSON object without its
// closing brace, so that fields may follow. The fields are written as they are: they
// must hold nothing that JSON escapes, as accepted quotes do.
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

// AppendOptional appends what a body has between the ask and the time: the fields that
// a producer may leave out. The text begins inside the quotes of the ask's value and
// ends inside those of its own last one; it is empty if there is none.
func (q Quote) AppendOptional(dst []byte) []byte {
	if q.BidSize != "" {
		dst = append(append(dst, bodyBidSize...), q.BidSize...)
	}
	if q.AskSize != "" {
		dst = append(append(dst, bodyAskSize...), q.AskSize...)
	}
	return dst
}

// IsGap reports whether a body, as AppendBody writes it, is of a quote with Gap.
func IsGap(body []byte) bool { return bytes.HasSuffix(body, []byte(bodyGap)) }

// Append appends the whole object; the fields must be valid, as for AppendBody.
func (q Quote) Append(dst []byte) []byte { return AppendQuote(q.AppendBody(dst), nil, q.Extra) }

// MarshalJSON implements json.Marshaler by Append.
func (q Quote) MarshalJSON() ([]byte, error) { return q.Append(nil), nil }

// AppendQuote appends a quote object made of a body, as AppendBody writes it, and
// what the quote says to one client.
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
