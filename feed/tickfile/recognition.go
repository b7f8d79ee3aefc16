package tickfile

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// sniffLines is how many lines may come before one that can be recognised, and how
// many after it are looked at.
const (
	sniffLines = 20
	sniffBytes = 16 << 10
)

// recognise finds out what content holds.
func (r *Reader) recognise(content *content, o options) error {
	text := bufio.NewReaderSize(content, sniffBytes)
	content.buffered = append(content.buffered, text)
	head, whole, err := content.peekHead(text)
	if err != nil {
		return err
	}
	place := parsePlace(content.names)
	switch {
	case inUTF32(head):
		return fmt.Errorf("%w: it is in UTF-32, want UTF-8 or UTF-16", ErrFormat)
	case len(head) == 0 && place.hourly:
		// An hour without ticks is an empty file.
	case len(head) == 0:
		return fmt.Errorf("%w: the file is empty", ErrFormat)
	case !looksBinary(head):
		return r.recogniseText(text, head, whole, o, content)
	case !looksLikeRecords(head):
		return fmt.Errorf("%w: neither text nor a .bi5 file", ErrFormat)
	}
	if o.symbol == "" {
		if o.symbol, err = findSymbol(content.names, o.instruments); err != nil {
			return err
		}
	}
	if !place.hourly {
		return fmt.Errorf("%w: a .bi5 file does not say its hour; want a path such as EURUSD/2012/11/03/12h_ticks.bi5 "+
			"(months from 00) or a name such as EURUSD_2012-12-03_12h_ticks.bi5", ErrFormat)
	}
	digits, known := bi5Digits[o.symbol]
	if !known {
		return fmt.Errorf("%w: by how much Dukascopy scales %s in .bi5 files is not known; want an export as CSV", ErrAmbiguous, o.symbol)
	}
	r.format = "bi5"
	r.source = &records{in: text, symbol: o.symbol, digits: digits, hour: place.hour}
	return nil
}

// recogniseText finds the layout of a text by its first lines.
func (r *Reader) recogniseText(text *bufio.Reader, head []byte, whole bool, o options, content *content) error {
	if enc := utf16Order(head); enc != nil {
		text = bufio.NewReaderSize(&utf16Text{in: text, order: enc}, sniffBytes)
		var err error
		if head, whole, err = content.peekHead(text); err != nil {
			return err
		}
	}
	lines := firstLines(bytes.TrimPrefix(head, utf8BOM), whole)
	l, _, err := recogniseLines(lines)
	switch {
	case err != nil:
		return err
	case l == nil:
		first := ""
		if len(lines) > 0 {
			first = lines[0]
		}
		if text := unknownTime(first); text != "" {
			return unknownLayout(text)
		}
		return fmt.Errorf("%w: it begins %s; want lines of time, bid and ask under a heading that names them, or ticks of Dukascopy, HistData, TrueFX, FXCM or MetaTrader",
			ErrFormat, quoted(first))
	case l.format == formatNDJSON:
		r.format, r.source = l.format, newLines(text, parseObject(o), "")
		return nil
	}
	if o.zone != nil {
		l.clock.zone = o.zone
	}
	if o.symbol == "" && l.symbol < 0 {
		if o.symbol, err = findSymbol(content.names, o.instruments); err != nil {
			return fmt.Errorf("%w (the format is %s)", err, l.format)
		}
	}
	r.format = l.format
	parse := func(line string) (feed.Quote, error) { return l.parse(line, o.instruments) }
	r.source = newLines(text, parse, o.symbol)
	return nil
}

const formatNDJSON = "ndjson"

// recogniseLines returns the layout that the first lines of a text show, and the line
// that showed it; of NDJSON there is no more than the format. It is nil if none did.
func recogniseLines(lines []string) (l *layout, at int, err error) {
	for i, line := range lines[:min(len(lines), sniffLines)] {
		if line[0] == '{' {
			return &layout{format: formatNDJSON}, i, nil
		}
		if strings.Contains(line, "\r") {
			return nil, i, fmt.Errorf("%w: its lines end with a carriage return alone, want a line feed", ErrFormat)
		}
		if l, err = recogniseHeading(line); err != nil {
			return nil, i, err
		}
		if l == nil {
			l = recogniseLine(line)
		}
		if l != nil {
			return l, i, l.judge(lines[i:min(len(lines), i+sniffLines+1)])
		}
	}
	return nil, 0, nil
}

// peekHead returns the beginning of a file as far as it is needed to recognise it, and
// whether that is all there is. It does not wait for more of a pipe that has sent what
// can be read.
func (c *content) peekHead(in *bufio.Reader) (head []byte, whole bool, err error) {
	var enough time.Time // when what came is enough; zero before it can be read
	for {
		if !enough.IsZero() && !c.sendsBefore(enough, in) {
			return head, false, nil
		}
		_, err := in.Peek(in.Buffered() + 1)
		head, _ = in.Peek(in.Buffered())
		switch {
		case err != nil && err != io.EOF && len(head) == 0:
			return nil, false, fmt.Errorf("read: %w", err)
		case err != nil || len(head) == in.Size():
			return head, err != nil, nil
		case isEnough(head):
			return head, false, nil
		case c.ready != nil && enough.IsZero() && canBeRead(head):
			enough = time.Now().Add(settleTime)
		}
	}
}

// settleTime is how long those lines of a pipe are waited for that could still show
// that the first ones can be read in two ways.
const settleTime = 250 * time.Millisecond

// sendsBefore reports whether something comes through a pipe, or is buffered below in.
func (c *content) sendsBefore(end time.Time, in *bufio.Reader) bool {
	below := 0
	for _, b := range c.buffered {
		if b != in {
			below += b.Buffered()
		}
	}
	return below > 1 || c.ready(time.Until(end)) // one byte may be half a character
}

// canBeRead reports whether head holds a tick of a layout that it shows, or a heading
// for which the file is refused.
func canBeRead(head []byte) bool {
	if bytes.IndexByte(head, '\n') < 0 {
		return false
	}
	lines := firstLines(bytes.TrimPrefix(head, utf8BOM), false)
	l, at, err := recogniseLines(lines)
	if err != nil {
		return l == nil // else more lines may show which reading is right
	}
	return l != nil && (l.heading == "" || len(lines) > at+1)
}

// isEnough reports whether what follows head cannot change what the file is.
func isEnough(head []byte) bool {
	if utf16Order(head) != nil {
		return len(head) >= 4 // it is decoded before it is looked at
	}
	if looksBinary(head) {
		return len(head) >= 3*recordSize
	}
	lines := firstLines(bytes.TrimPrefix(head, utf8BOM), false)
	return len(lines) > 2*sniffLines || len(lines) > 0 && lines[0][0] == '{' && bytes.HasSuffix(head, []byte("\n"))
}

// firstLines returns the lines of head that are not blank; the last one only if it
// is whole.
func firstLines(head []byte, whole bool) (lines []string) {
	for line := range bytes.Lines(head) {
		if !whole && line[len(line)-1] != '\n' && len(lines) > 0 {
			break
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// parseObject reads a line of NDJSON, in the forms that every producer may use.
func parseObject(o options) lineParser {
	return func(line string) (feed.Quote, error) {
		return feed.ParseInput([]byte(line), feed.InputOptions{Instruments: o.instruments})
	}
}

// quoted returns a bounded, printable form of s.
func quoted(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
