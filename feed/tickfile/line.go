package tickfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fxcast/fxcast/feed"
)

// lineParser reads one line without its end. It returns errNoTick for a line that correctly holds
// no tick, such as a heading; any other error says what is wrong with the line. The symbol of the
// result is empty if lines do not name it.
type lineParser func(line string) (feed.Quote, error)

var errNoTick = errors.New("no tick")

// lines is text with one tick per line.
type lines struct {
	in     *bufio.Reader
	parse  lineParser
	symbol feed.Symbol // "" if lines name their symbol
	number int
	before feed.Quote // the previous quote
}

func newLines(in *bufio.Reader, parse lineParser, symbol feed.Symbol) *lines {
	return &lines{in: in, parse: parse, symbol: symbol}
}

var utf8BOM = []byte("\xef\xbb\xbf")

// maxEmpty bounds how many lines without a tick may follow each other: a few compressed bytes can
// expand to gigabytes of them.
const maxEmpty = 1_000_000

func (l *lines) next() (feed.Quote, error) {
	for range maxEmpty {
		raw, tooLong, err := l.read()
		if err != nil {
			return feed.Quote{}, err
		}
		l.number++
		if tooLong {
			return feed.Quote{}, l.bad(raw, feed.NewRejection(feed.ReasonTooLong, "longer than %d bytes", MaxLine))
		}
		raw = bytes.TrimPrefix(raw, utf8BOM) // also within concatenated files
		whole := bytes.HasSuffix(raw, []byte("\n"))
		raw = bytes.TrimSpace(raw)
		if len(raw) == 0 {
			continue
		}
		q, err := l.parse(string(raw)) // prices share this copy
		switch {
		case err == errNoTick:
			continue
		case err != nil:
			return feed.Quote{}, l.bad(raw, err)
		case q.Symbol == "":
			q.Symbol = l.symbol
		case l.symbol != "" && q.Symbol != l.symbol:
			return feed.Quote{}, l.bad(raw, fmt.Errorf("the symbol is %s, want %s", q.Symbol, l.symbol))
		}
		if !whole && l.cutOff(q) {
			return feed.Quote{}, l.bad(raw, fmt.Errorf(
				"the last line has no end, and %s/%s has another number of digits than the previous price: it may be cut off", q.Bid, q.Ask))
		}
		l.before = q
		return q, nil
	}
	return feed.Quote{}, fmt.Errorf("after line %d: no tick in %d lines", l.number, maxEmpty)
}

// bad returns the error for a line.
func (l *lines) bad(raw []byte, err error) *LineError {
	bad := &LineError{Line: l.number, Kind: feed.ReasonBadLine, Reason: err.Error(), Text: string(raw[:min(len(raw), MaxLine)])}
	if r, ok := errors.AsType[*feed.Rejection](err); ok {
		bad.Kind, bad.Reason = r.Reason, r.Message
	}
	return bad
}

// cutOff reports whether a last line without its end may be cut off within a price.
func (l *lines) cutOff(q feed.Quote) bool {
	if l.before.Bid == "" { // it is the only line
		return fractionDigits(q.Bid) != fractionDigits(q.Ask)
	}
	return fractionDigits(q.Bid) != fractionDigits(l.before.Bid) || fractionDigits(q.Ask) != fractionDigits(l.before.Ask)
}

// maxSkip bounds the bytes that are skipped to find the end of one line: a few compressed bytes can
// expand to gigabytes without any.
const maxSkip = 1 << 20

// read returns the next line, in memory that the next call reuses. It skips the rest of a line that
// is too long.
func (l *lines) read() (line []byte, tooLong bool, err error) {
	line, err = l.in.ReadSlice('\n')
	tooLong = len(line) > MaxLine+2 // with CR LF
	skipped := len(line)
	if err == bufio.ErrBufferFull {
		line = bytes.Clone(line[:MaxLine])
	}
	for err == bufio.ErrBufferFull {
		tooLong = true
		var more []byte
		more, err = l.in.ReadSlice('\n')
		if skipped += len(more); skipped > maxSkip {
			return nil, false, fmt.Errorf("after line %d: no end of line within %d bytes", l.number, maxSkip)
		}
	}
	if err == io.EOF && (len(line) > 0 || tooLong) {
		err = nil // no final newline
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("after line %d: %w", l.number, err)
	}
	return line, tooLong, err
}

// utf16Order returns the byte order of head's byte order mark, or nil if it has none.
func utf16Order(head []byte) binary.ByteOrder {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return binary.LittleEndian
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return binary.BigEndian
	}
	return nil
}

// inUTF32 reports whether head begins with a byte order mark of UTF-32. A .bi5 file may begin like
// the big-endian mark, but then not with so low a price.
func inUTF32(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe\x00\x00")) || bytes.HasPrefix(head, []byte("\x00\x00\xfe\xff\x00\x00\x00"))
}

// utf16Text converts UTF-16, which MetaTrader sometimes writes, to ASCII. Everything that has a
// meaning in a file of ticks is ASCII; other characters become '?'.
type utf16Text struct {
	in    *bufio.Reader
	order binary.ByteOrder
}

func (u *utf16Text) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if n > 0 && u.in.Buffered() < 2 {
			return n, nil // a pipe may be slow
		}
		var unit [2]byte
		if _, err := io.ReadFull(u.in, unit[:]); err != nil {
			if err == io.ErrUnexpectedEOF {
				err = io.EOF // half a character at the end
			}
			if n > 0 && err == io.EOF {
				return n, nil
			}
			return n, err
		}
		switch c := u.order.Uint16(unit[:]); {
		case c == 0xfeff: // the mark itself
		case c < 0x80:
			p[n] = byte(c)
			n++
		default:
			p[n] = '?'
			n++
		}
	}
	return n, nil
}
