package feed

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// The accept script stores candles in three forms. All count time in minutes since 1970, and none
// has more of a candle's place in the sequence than the last number of the running minute.
//
//   - An element of the list Keys.Candles is a closed candle: DecodeCandle.
//   - The field 1m of the counter is the minute of the newest tick: ParseMinute.
//   - A field such as 1h is the longer interval around that minute, without it: ParsePart.

var errStored = errors.New("feed: not a candle in the form of the accept script")

// Bounds of a packed candle: its prices have at most 15 digits.
const (
	maxPacked       = 1e15
	maxPackedDigits = 15 // after the point
)

// DecodeCandle reads a closed candle as the script packs it: numbers of variable length for the
// start, the ticks with the mark of a complete candle, the form of the prices, and the prices.
func DecodeCandle(element string) (Candle, error) {
	r := packed{rest: element}
	start, ticks, form := r.number(), r.number(), r.number()
	if r.bad || ticks < 2 {
		return Candle{}, errStored
	}
	var prices [8]string
	if form == 1 {
		if !cutPrices(r.rest, &prices) {
			return Candle{}, errStored
		}
	} else if !r.prices(form, &prices) {
		return Candle{}, errStored
	}
	return Candle{Candle: protocol.Candle{
		Start: minutes(start), Ticks: ticks / 2, Complete: ticks%2 == 1, Bid: ohlc(prices[:4]), Ask: ohlc(prices[4:]),
	}}, nil
}

// StartOfStored returns when the candle of an element begins, at small cost.
func StartOfStored(element string) (time.Time, error) {
	r := packed{rest: element}
	start := r.number()
	if r.bad {
		return time.Time{}, errStored
	}
	return minutes(start), nil
}

// packed reads the numbers of an element.
type packed struct {
	rest string
	bad  bool
}

func (r *packed) number() uint64 {
	n, shift := uint64(0), 0
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64-1; i++ {
		b := r.rest[i]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
		shift += 7
	}
	r.bad = true
	return 0
}

// prices reads the eight prices. Of each but the first the difference to another one is stored. They
// share the memory of one text.
func (r *packed) prices(form uint64, prices *[8]string) bool {
	digits := form / 2
	if digits > maxPackedDigits {
		return false
	}
	var lacks, n [8]uint64
	if form%2 == 1 {
		for i := range lacks {
			if lacks[i] = r.number(); lacks[i] > digits {
				return false
			}
		}
	}
	for i := range n {
		if n[i] = r.number(); n[i] >= maxPacked {
			return false
		}
	}
	openBid, openAsk := n[0], n[0]+n[4]
	low, lowAsk := openBid-n[2], openAsk-n[6] // below zero they are very large
	all := [8]uint64{openBid, openBid + n[1], low, low + n[3], openAsk, openAsk + n[5], lowAsk, lowAsk + n[7]}
	for _, price := range all {
		if price >= maxPacked || price == 0 {
			return false
		}
	}
	if r.bad || r.rest != "" {
		return false
	}
	var ends [8]int
	text := make([]byte, 0, 8*(maxPackedDigits+2))
	for i, price := range all {
		var ok bool
		if text, ok = appendScaled(text, price, int(digits), int(lacks[i])); !ok {
			return false
		}
		ends[i] = len(text)
	}
	joined, from := string(text), 0
	for i, end := range ends {
		prices[i], from = joined[from:end], end
	}
	return true
}

// appendScaled appends n×10^-digits without its last digits, which must be zeros.
func appendScaled(dst []byte, n uint64, digits, lacks int) ([]byte, bool) {
	for range lacks {
		if n%10 != 0 {
			return nil, false
		}
		n /= 10
	}
	var buffer [20]byte
	number := strconv.AppendUint(buffer[:0], n, 10)
	digits -= lacks
	if digits == 0 {
		return append(dst, number...), true
	}
	if whole := len(number) - digits; whole > 0 {
		dst = append(append(dst, number[:whole]...), '.')
		return append(dst, number[whole:]...), true
	}
	dst = append(dst, "0."...)
	for range digits - len(number) {
		dst = append(dst, '0')
	}
	return append(dst, number...), true
}

func minutes(n uint64) time.Time { return time.Unix(int64(n%(1<<40))*60, 0).UTC() }

func ohlc(four []string) protocol.OHLC {
	return protocol.OHLC{Open: four[0], High: four[1], Low: four[2], Close: four[3]}
}

// cutPrices cuts eight prices, separated by spaces.
func cutPrices(text string, prices *[8]string) bool {
	for i := range prices {
		var more bool
		prices[i], text, more = strings.Cut(text, " ")
		if more == (i == len(prices)-1) || checkPrice("", prices[i]) != nil {
			return false
		}
	}
	return true
}

// ParseMinute reads the field 1m of the counter: the candle of the minute of the newest tick, which
// is open.
func ParseMinute(field string) (Candle, error) {
	word := strings.Split(field, " ")
	if len(word) != 13 {
		return Candle{}, errStored
	}
	seq, ok := parseCount(word[1])
	start, ok2 := parseCount(word[4])
	base, err := strconv.ParseInt(word[9], 10, 64)
	prices := [8]string{word[11], word[5], word[6], word[2], word[12], word[7], word[8], word[3]}
	for _, p := range prices {
		ok = ok && checkPrice("", p) == nil
	}
	if !ok || !ok2 || err != nil || base >= seq || !validEpoch(word[0]) {
		return Candle{}, errStored
	}
	return Candle{
		Candle: protocol.Candle{
			Start: minutes(uint64(start)), Ticks: uint64(seq - base), Complete: word[10] == "1", Open: true,
			Bid: ohlc(prices[:4]), Ask: ohlc(prices[4:]),
		},
		Last: protocol.Position{Epoch: word[0], Seq: uint64(seq)},
	}, nil
}

// Part is a longer interval around the running minute.
type Part struct {
	Candle        Candle // without the minute; Ticks is 0 if there was no tick before it
	End           time.Time
	PreviousClose string // the bid at the end of the last interval of this length with ticks; "" = not known
}

// ParsePart reads the field of a longer interval of the counter.
func ParsePart(field string) (Part, error) {
	word := strings.SplitN(field, " ", 6)
	if len(word) < 5 {
		return Part{}, errStored
	}
	start, ok := parseCount(word[0])
	end, ok2 := parseCount(word[1])
	ticks, err := strconv.ParseUint(word[3], 10, 53)
	if !ok || !ok2 || err != nil || start >= end || (ticks == 0) != (len(word) == 5) {
		return Part{}, errStored
	}
	p := Part{End: minutes(uint64(end))}
	if word[2] != "-" {
		if checkPrice("", word[2]) != nil {
			return Part{}, errStored
		}
		p.PreviousClose = word[2]
	}
	p.Candle.Candle = protocol.Candle{Start: minutes(uint64(start)), Ticks: ticks, Complete: word[4] == "1", Open: true}
	if ticks > 0 {
		var prices [8]string
		if !cutPrices(word[5], &prices) {
			return Part{}, errStored
		}
		p.Candle.Bid, p.Candle.Ask = ohlc(prices[:4]), ohlc(prices[4:])
	}
	return p, nil
}

// With returns the interval with its minute, which is the newest part.
func (p Part) With(minute Candle) Candle {
	if p.Candle.Ticks == 0 {
		minute.Start, minute.Complete = p.Candle.Start, minute.Complete && p.Candle.Complete
		return minute
	}
	c := p.Candle
	c.Fold(minute)
	return c
}
