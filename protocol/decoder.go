package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrBadBatch is wrapped by the errors of a Decoder.
var ErrBadBatch = errors.New("protocol: bad binary message")

// Bounds of a Decoder, so that a server cannot fill its memory.
const (
	maxBatchTicks  = 1 << 16
	maxSymbols     = 1 << 16
	maxSymbolBytes = 64
	maxTextBytes   = 256
)

// A Decoder decodes the binary messages of one connection with the subprotocol NameBinary. Its zero
// value is ready for a new connection. After an error the connection must be closed: later messages
// could be decoded wrongly. It is not safe for concurrent use.
type Decoder struct {
	symbols map[int64]*decoded
	tick    wireTick
	text    []byte
}

// decoded is the last quote of a symbol.
type decoded struct {
	Coded
	name string
	any  bool // there is one
}

// A wireTick is a tick as it was sent.
type wireTick struct {
	n                        [numbers]int64
	used                     int
	cut, sizeCut             int64
	skipped                  uint64
	gap                      bool
	epoch, status            []byte
	bid, ask                 []byte
	bidSizeText, askSizeText []byte
}

// Decode decodes one binary message as a Snapshot or an Update.
func (d *Decoder) Decode(message []byte) (Message, error) {
	quotes := make([]Quote, 0, min(len(message)/8+1, maxBatchTicks))
	snapshot, reset, err := d.each(message, func(s *decoded, t *wireTick, skipped uint64) {
		quotes = append(quotes, d.quote(s, t, skipped))
	})
	switch {
	case err != nil:
		return nil, err
	case snapshot:
		return Snapshot{Reset: reset, Data: quotes}, nil
	}
	return Update{Data: quotes}, nil
}

// A ScannedQuote is a quote of a binary message without its values as text.
type ScannedQuote struct {
	Symbol       string
	Micros       int64 // its time, in Unix microseconds
	Seq, Skipped uint64
	Epoch        []byte // shares the memory of the message; empty if absent
}

// Scan decodes one binary message as Decode does and passes its quotes to f, for programs that read
// too many to decode each message. It allocates nothing except for new symbols.
func (d *Decoder) Scan(message []byte, f func(ScannedQuote)) error {
	_, _, err := d.each(message, func(s *decoded, t *wireTick, skipped uint64) {
		f(ScannedQuote{Symbol: s.name, Micros: s.time, Seq: s.seq, Skipped: skipped, Epoch: t.epoch})
	})
	return err
}

// each decodes a batch and passes each of its quotes to f.
func (d *Decoder) each(batch []byte, f func(s *decoded, t *wireTick, skipped uint64)) (snapshot, reset bool, err error) {
	bad := false
	ok := fields(batch, func(tag, value uint64, text []byte) {
		switch tag {
		case tagSnapshot:
			snapshot = value != 0
		case tagReset:
			reset = value != 0
		case tagSymbols:
			bad = bad || !d.name(text)
		}
	})
	if !ok || bad {
		return false, false, fmt.Errorf("%w: its fields or a symbol", ErrBadBatch)
	}
	count := 0
	fields(batch, func(tag, _ uint64, text []byte) {
		if tag != tagTicks || err != nil {
			return
		}
		t := &d.tick
		if count++; count > maxBatchTicks || !t.parse(text) {
			err = fmt.Errorf("%w: tick %d", ErrBadBatch, count)
			return
		}
		number := t.n[atSymbol]
		micros := number < 0
		if micros {
			number = -number
		}
		s := d.symbols[number]
		if s == nil {
			err = fmt.Errorf("%w: tick %d has an unknown symbol", ErrBadBatch, count)
			return
		}
		last, known := s.seq, s.any
		if !s.apply(t, micros) {
			err = fmt.Errorf("%w: tick %d of %s", ErrBadBatch, count, s.name)
			return
		}
		skipped := uint64(0)
		if known && !snapshot && len(t.epoch) == 0 && s.seq > last {
			skipped = s.seq - last - 1
		}
		f(s, t, skipped)
	})
	return snapshot, reset, err
}

// name adds the name of a symbol.
func (d *Decoder) name(symbol []byte) (ok bool) {
	number, name := uint64(0), []byte(nil)
	ok = fields(symbol, func(tag, value uint64, text []byte) {
		switch tag {
		case tagNumber:
			number = value
		case tagName:
			name = text
		}
	})
	if !ok || number == 0 || number >= 1<<32 || len(name) == 0 || len(name) > maxSymbolBytes {
		return false
	}
	if s := d.symbols[int64(number)]; s != nil {
		return s.name == string(name)
	}
	if len(d.symbols) == maxSymbols {
		return false
	}
	if d.symbols == nil {
		d.symbols = make(map[int64]*decoded)
	}
	d.symbols[int64(number)] = &decoded{name: string(name)}
	return true
}

// apply makes a tick the last quote of its symbol.
func (s *decoded) apply(t *wireTick, micros bool) (ok bool) {
	base := s.Coded
	key := t.used > atSeq
	if key {
		base = Coded{digits: uint8(t.n[atDigits]), sizeDigits: uint8(t.n[atSizeDigits])}
		if uint64(t.n[atDigits]) > codedDigits || uint64(t.n[atSizeDigits]) > codedDigits || t.n[atSeq] < 1 {
			return false
		}
		base.seq = uint64(t.n[atSeq])
		base.texts, base.sizeTexts = len(t.bid) > 0, len(t.bidSizeText)+len(t.askSizeText) > 0
	} else {
		if !s.any || base.texts || base.sizeTexts || len(t.bid)+len(t.ask)+len(t.bidSizeText)+len(t.askSizeText) > 0 {
			return false
		}
		base.seq += 1 + t.skipped
	}
	at := t.n[atTime]
	if !micros {
		if at > timeLimit/1000 || at < -timeLimit/1000 {
			return false
		}
		at *= 1000
	}
	s.any = true
	s.Coded = base
	s.time += at
	s.bid += t.n[atBid]
	s.spread += t.n[atSpread]
	s.bidSize += t.n[atBidSize]
	s.askSize += t.n[atAskSize]
	s.cut, s.sizeCut, s.gap = int8(t.cut), int8(t.sizeCut), t.gap
	in := func(v, limit int64) bool { return 0 <= v && v < limit }
	return in(s.time, timeLimit) && in(s.bid, codedLimit) && in(s.bid+s.spread, codedLimit) &&
		in(s.bidSize, codedLimit+1) && in(s.askSize, codedLimit+1) &&
		in(max(t.cut, -t.cut), int64(s.digits)+1) && in(max(t.sizeCut, -t.sizeCut), int64(s.sizeDigits)+1) &&
		base.texts == (len(t.ask) > 0) && !(base.texts && s.bid+s.spread != 0) && !(base.sizeTexts && s.bidSize+s.askSize != 0)
}

// quote returns the quote of a tick that was applied.
func (d *Decoder) quote(s *decoded, t *wireTick, skipped uint64) Quote {
	q := Quote{Symbol: s.name, Time: At(time.UnixMicro(s.time).UTC()), Seq: s.seq,
		Extra: Extra{Epoch: string(t.epoch), Skipped: skipped, Status: string(t.status), Gap: s.gap}}
	if s.texts {
		q.Bid, q.Ask = string(t.bid), string(t.ask)
	} else {
		q.Bid = d.decimal(s.bid, s.digits, t.cut)
		q.Ask = d.decimal(s.bid+s.spread, s.digits, -t.cut)
	}
	switch {
	case s.sizeTexts:
		q.BidSize, q.AskSize = string(t.bidSizeText), string(t.askSizeText)
	default:
		if s.bidSize > 0 {
			q.BidSize = d.decimal(s.bidSize-1, s.sizeDigits, t.sizeCut)
		}
		if s.askSize > 0 {
			q.AskSize = d.decimal(s.askSize-1, s.sizeDigits, -t.sizeCut)
		}
	}
	return q
}

func (d *Decoder) decimal(n int64, digits uint8, cut int64) string {
	d.text = appendDecimal(d.text[:0], n, digits, max(int(cut), 0))
	return string(d.text)
}

// parse parses one tick.
func (t *wireTick) parse(tick []byte) (ok bool) {
	*t = wireTick{}
	good := true
	ok = fields(tick, func(tag, value uint64, text []byte) {
		if len(text) > maxTextBytes {
			good = false
			return
		}
		switch tag {
		case tagNumbers:
			for len(text) > 0 {
				v, n := binary.Uvarint(text)
				if n <= 0 {
					good = false
					return
				}
				if text = text[n:]; t.used < numbers {
					t.n[t.used] = unzigzag(v)
					t.used++
				}
			}
		case tagNumbers&^wireBytes | wireVarint: // not packed, as any encoder of Protobuf may write it
			if t.used < numbers {
				t.n[t.used] = unzigzag(value)
				t.used++
			}
		case tagCut:
			t.cut = unzigzag(value)
		case tagSizeCut:
			t.sizeCut = unzigzag(value)
		case tagGap:
			t.gap = value != 0
		case tagSkipped:
			t.skipped = value
		case tagEpoch:
			t.epoch = text
		case tagStatus:
			t.status = text
		case tagBidText:
			t.bid = text
		case tagAskText:
			t.ask = text
		case tagBidSizeText:
			t.bidSizeText = text
		case tagAskSizeText:
			t.askSizeText = text
		}
	})
	for _, v := range t.n {
		if v <= -timeLimit || timeLimit <= v {
			return false
		}
	}
	return ok && good && t.skipped < timeLimit
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// fields passes each field of a Protobuf message to f: its tag, and its value or its bytes. ok is
// false if the message is malformed.
func fields(message []byte, f func(tag, value uint64, text []byte)) (ok bool) {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag>>3 == 0 {
			return false
		}
		message = message[n:]
		size := 0
		value := uint64(0)
		var text []byte
		switch tag & 7 {
		case wireVarint:
			if value, size = binary.Uvarint(message); size <= 0 {
				return false
			}
		case 1:
			size = 8
		case 5:
			size = 4
		case wireBytes:
			length, n := binary.Uvarint(message)
			if n <= 0 || length > uint64(len(message)-n) {
				return false
			}
			size = n + int(length)
			text = message[n:size]
		default:
			return false
		}
		if size > len(message) {
			return false
		}
		f(tag, value, text)
		message = message[size:]
	}
	return true
}
