package protocol

import (
	"bytes"
	"iter"
)

// A Body is the text of a quote's body, split into unchecked values.
type Body[T ~string | ~[]byte] struct {
	Symbol, Bid, Ask T
	BidSize, AskSize T // empty if absent
	Time, Seq        T
	Gap              bool
}

// CutBody parses the exact layout of AppendBody at the start of text and returns the rest. It
// copies and allocates nothing. Values contain no quotation mark, and Seq only digits.
func CutBody[T ~string | ~[]byte](text T) (body Body[T], rest T, ok bool) {
	if !hasPrefix(text, bodySymbol) {
		return body, text, false
	}
	var b Body[T]
	var cut [4]bool
	rest = text[len(bodySymbol):]
	b.Symbol, rest, cut[0] = cutValue(rest, bodyBid)
	b.Bid, rest, cut[1] = cutValue(rest, bodyAsk)
	b.Ask, rest = upToQuote(rest)
	b.BidSize, rest = cutSize(rest, bodyBidSize)
	b.AskSize, rest = cutSize(rest, bodyAskSize)
	if cut[2] = hasPrefix(rest, bodyTime); cut[2] {
		b.Time, rest, cut[3] = cutValue(rest[len(bodyTime):], bodySeq)
	}
	n := 0
	for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
		n++
	}
	if cut != [4]bool{true, true, true, true} || n == 0 {
		return body, text, false
	}
	b.Seq, rest = rest[:n], rest[n:]
	if b.Gap = hasPrefix(rest, bodyGap); b.Gap {
		rest = rest[len(bodyGap):]
	}
	return b, rest, true
}

// A RawQuote is a quote as text that shares the memory of its message.
type RawQuote struct {
	Body[[]byte]
	Epoch, Skipped, Status []byte // empty if absent
}

// RawQuotes yields the quotes of a message that are in the exact layout, for programs that read too
// many to decode each message. It ignores the text around them. It copies and allocates nothing.
func RawQuotes(message []byte) iter.Seq[RawQuote] {
	return func(yield func(RawQuote) bool) {
		for {
			begin := bytes.Index(message, []byte(bodySymbol))
			if begin < 0 {
				return
			}
			body, rest, ok := CutBody(message[begin:])
			if !ok { // not a quote, such as a status
				message = message[begin+len(bodySymbol):]
				continue
			}
			q := RawQuote{Body: body}
			q.Epoch, rest = cutField(rest, fieldEpoch, '"')
			q.Skipped, rest = cutField(rest, fieldSkipped, 0)
			q.Status, message = cutField(rest, fieldStatus, '"')
			if !yield(q) {
				return
			}
		}
	}
}

// cutField cuts the value of an optional field. The value ends before end or, if end is empty,
// after its digits.
func cutField(text []byte, field string, end byte) (value, rest []byte) {
	if !hasPrefix(text, field) {
		return nil, text
	}
	value = text[len(field):]
	for i, c := range value {
		switch {
		case end == 0 && (c < '0' || '9' < c):
			return value[:i], value[i:]
		case end != 0 && c == end:
			return value[:i], value[i+1:]
		}
	}
	return nil, text
}

// cutValue cuts text at its first quotation mark, which must be the beginning of after.
func cutValue[T ~string | ~[]byte](text T, after string) (value, rest T, ok bool) {
	value, rest = upToQuote(text)
	if !hasPrefix(rest, after) {
		return value, text, false
	}
	return value, rest[len(after):], true
}

// cutSize cuts an optional size, which is never empty.
func cutSize[T ~string | ~[]byte](text T, before string) (size, rest T) {
	if hasPrefix(text, before) {
		if value, rest := upToQuote(text[len(before):]); len(value) > 0 {
			return value, rest
		}
	}
	return size, text
}

// upToQuote cuts text before its first quotation mark.
func upToQuote[T ~string | ~[]byte](text T) (value, rest T) {
	for n := range len(text) {
		if text[n] == '"' {
			return text[:n], text[n:]
		}
	}
	return text, text[len(text):]
}

func hasPrefix[T ~string | ~[]byte](text T, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}
