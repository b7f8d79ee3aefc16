package protocol

import (
	"encoding/binary"
	"time"
)

// Bounds of the integers in fx.proto. A double holds all of them, and the zigzag form of their
// differences, exactly.
const (
	codedLimit  = 1_000_000_000_000_000 // prices and sizes are below it
	codedDigits = 15                    // decimals of an integer
	timeLimit   = 1 << 53               // microseconds
)

// Numbers of the fields in fx.proto, with their wire types.
const (
	wireVarint = 0
	wireBytes  = 2

	tagTicks    = 1<<3 | wireBytes
	tagSymbols  = 2<<3 | wireBytes
	tagSnapshot = 3<<3 | wireVarint
	tagReset    = 4<<3 | wireVarint

	tagNumber = 1<<3 | wireVarint
	tagName   = 2<<3 | wireBytes

	tagNumbers     = 1<<3 | wireBytes
	tagCut         = 2<<3 | wireVarint
	tagSizeCut     = 3<<3 | wireVarint
	tagEpoch       = 4<<3 | wireBytes
	tagGap         = 5<<3 | wireVarint
	tagStatus      = 6<<3 | wireBytes
	tagBidText     = 7<<3 | wireBytes
	tagAskText     = 8<<3 | wireBytes
	tagBidSizeText = 9<<3 | wireBytes
	tagAskSizeText = 10<<3 | wireBytes
	tagSkipped     = 11<<3 | wireVarint
)

// Indexes of the numbers of a tick in fx.proto.
const (
	atSymbol = iota
	atTime
	atBid
	atSpread
	atBidSize
	atAskSize
	atSeq // a tick with this one is a key
	atDigits
	atSizeDigits
	numbers
)

// A Coded is a quote in the numbers of fx.proto. It depends on the quote alone, so a difference
// between two of them serves every client that has the first.
type Coded struct {
	time               int64 // microseconds
	bid, spread        int64
	bidSize, askSize   int64
	seq                uint64
	digits, sizeDigits uint8
	cut, sizeCut       int8
	gap                bool

	texts, sizeTexts bool // prices, or sizes, are too long for integers: body has them
	body             []byte
}

// Code parses a body, as AppendBody writes it. The result shares the body's memory. ok is false if
// it has another layout.
func Code(body []byte) (q Coded, ok bool) {
	b, _, ok := CutBody(body)
	if !ok {
		return q, false
	}
	q.body, q.gap = body, b.Gap
	for _, c := range b.Seq {
		q.seq = q.seq*10 + uint64(c-'0')
	}
	if q.time, ok = parseTime(b.Time); !ok || len(b.Seq) > 18 {
		return q, false
	}
	var ask int64
	if q.bid, ask, q.digits, q.cut, ok = parsePair(b.Bid, b.Ask); ok {
		q.spread = ask - q.bid
	} else {
		q.texts = true
	}
	q.codeSizes(&b)
	return q, true
}

func (q *Coded) codeSizes(b *Body[[]byte]) {
	switch {
	case len(b.BidSize)+len(b.AskSize) == 0:
		return
	case len(b.AskSize) == 0:
		n, digits, ok := parseDecimal(b.BidSize)
		q.bidSize, q.sizeDigits, q.sizeTexts = n+1, digits, !ok
	case len(b.BidSize) == 0:
		n, digits, ok := parseDecimal(b.AskSize)
		q.askSize, q.sizeDigits, q.sizeTexts = n+1, digits, !ok
	default:
		bid, ask, digits, cut, ok := parsePair(b.BidSize, b.AskSize)
		q.bidSize, q.askSize, q.sizeDigits, q.sizeCut, q.sizeTexts = bid+1, ask+1, digits, cut, !ok
	}
	if q.sizeTexts {
		q.bidSize, q.askSize, q.sizeDigits, q.sizeCut = 0, 0, 0, 0
	}
}

// Follows reports whether q can be coded as the difference to a base, an earlier quote of the same
// epoch.
func (q *Coded) Follows(base *Coded) bool {
	return q.seq > base.seq && max(q.time-base.time, base.time-q.time) < codedLimit && q.digits == base.digits && q.sizeDigits == base.sizeDigits &&
		!q.texts && !q.sizeTexts && !base.texts && !base.sizeTexts
}

// AppendDifference appends a tick that is the difference to a base, without its length. q follows
// the base.
func (q *Coded) AppendDifference(dst []byte, number int, base *Coded) []byte {
	n := [atSeq]int64{
		atSymbol: int64(number), atTime: q.time - base.time, atBid: q.bid - base.bid, atSpread: q.spread - base.spread,
		atBidSize: q.bidSize - base.bidSize, atAskSize: q.askSize - base.askSize,
	}
	used := len(n)
	for n[used-1] == 0 {
		used--
	}
	dst = q.appendFlags(appendNumbers(dst, n[:used]))
	if skipped := q.seq - base.seq - 1; skipped > 0 {
		dst = binary.AppendUvarint(append(dst, tagSkipped), skipped)
	}
	return dst
}

// AppendKey appends a tick that is a key, without its length.
func (q *Coded) AppendKey(dst []byte, number int) []byte {
	n := [numbers]int64{
		atSymbol: int64(number), atTime: q.time, atBid: q.bid, atSpread: q.spread, atBidSize: q.bidSize, atAskSize: q.askSize,
		atSeq: int64(q.seq), atDigits: int64(q.digits), atSizeDigits: int64(q.sizeDigits),
	}
	used := len(n)
	for used > atSeq+1 && n[used-1] == 0 {
		used--
	}
	dst = q.appendFlags(appendNumbers(dst, n[:used]))
	if !q.texts && !q.sizeTexts {
		return dst
	}
	b, _, _ := CutBody(q.body)
	if q.texts {
		dst = appendBytes(appendBytes(dst, tagBidText, b.Bid), tagAskText, b.Ask)
	}
	if q.sizeTexts {
		dst = appendBytes(appendBytes(dst, tagBidSizeText, b.BidSize), tagAskSizeText, b.AskSize)
	}
	return dst
}

// appendNumbers appends the numbers of a tick. Whole milliseconds, and most files have no others,
// make a time shorter.
func appendNumbers(dst []byte, n []int64) []byte {
	if len(n) > atTime {
		if n[atTime]%1000 == 0 {
			n[atTime] /= 1000
		} else {
			n[atSymbol] = -n[atSymbol]
		}
	}
	dst = append(dst, tagNumbers, 0)
	begin := len(dst)
	for _, v := range n {
		u := zigzag(v)
		for ; u >= 0x80; u >>= 7 {
			dst = append(dst, byte(u)|0x80)
		}
		dst = append(dst, byte(u))
	}
	dst[begin-1] = byte(len(dst) - begin) // at most 9 numbers of 10 bytes
	return dst
}

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func (q *Coded) appendFlags(dst []byte) []byte {
	if q.cut != 0 {
		dst = binary.AppendUvarint(append(dst, tagCut), zigzag(int64(q.cut)))
	}
	if q.sizeCut != 0 {
		dst = binary.AppendUvarint(append(dst, tagSizeCut), zigzag(int64(q.sizeCut)))
	}
	if q.gap {
		dst = append(dst, tagGap, 1)
	}
	return dst
}

// AppendTick appends to a batch a tick, as AppendKey or AppendDifference wrote it, with the fields
// for one client. Skipped is not written: the client computes it, or the difference has it.
func AppendTick(dst, tick []byte, x Extra) []byte {
	dst = append(dst, tagTicks, 0)
	begin := len(dst)
	dst = append(dst, tick...)
	if x.Epoch != "" {
		dst = appendBytes(dst, tagEpoch, x.Epoch)
	}
	if x.Gap {
		dst = append(dst, tagGap, 1)
	}
	if x.Status != "" && x.Status != StatusLive {
		dst = appendBytes(dst, tagStatus, x.Status)
	}
	return withLength(dst, begin)
}

// AppendSymbol appends to a batch the name of a symbol's number.
func AppendSymbol(dst []byte, number int, name string) []byte {
	dst = append(dst, tagSymbols, 0)
	begin := len(dst)
	dst = binary.AppendUvarint(append(dst, tagNumber), uint64(number))
	return withLength(appendBytes(dst, tagName, name), begin)
}

// AppendBatchHead appends the beginning of a batch that is the message with a head of JSON.
func AppendBatchHead(dst []byte, head string) []byte {
	switch head {
	case SnapshotHead:
		return append(dst, tagSnapshot, 1)
	case ResetHead:
		return append(dst, tagSnapshot, 1, tagReset, 1)
	}
	return dst
}

// withLength writes the length of what begins at begin into the byte before it, and makes room for
// a longer one.
func withLength(dst []byte, begin int) []byte {
	n := len(dst) - begin
	if n < 0x80 {
		dst[begin-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:size-1]...)
	copy(dst[begin+size-1:], dst[begin:begin+n])
	copy(dst[begin-1:], length[:size])
	return dst
}

func appendBytes[T ~string | ~[]byte](dst []byte, tag byte, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	return append(binary.AppendUvarint(append(dst, tag), uint64(len(value))), value...)
}

// parseTime parses a time in TimeLayout as microseconds since 1970.
func parseTime(text []byte) (micros int64, ok bool) {
	const layout = "0000-00-00T00:00:00.000000Z"
	if len(text) != len(layout) {
		return 0, false
	}
	var parts [7]int
	part := 0
	for i, c := range text {
		switch {
		case layout[i] != '0':
			if c != layout[i] {
				return 0, false
			}
			part++
		case c < '0' || '9' < c:
			return 0, false
		default:
			parts[part] = parts[part]*10 + int(c-'0')
		}
	}
	t := time.Date(parts[0], time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], parts[6]*1000, time.UTC)
	micros = t.UnixMicro()
	return micros, 0 <= micros && micros < timeLimit && t.Day() == parts[2] && t.Hour() == parts[3] && t.Second() == parts[5]
}
