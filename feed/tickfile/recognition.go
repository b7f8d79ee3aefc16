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

// sniffLines bounds the lines before the first one that can be recognized, and also the lines after
// it that are examined. sniffBytes bounds their size.
const (
	sniffLines = 20
	sniffBytes = 16 << 10
)

// recognize determines the format of content and sets up its source.
func (r *Reader) recognize(content *content, o options) error {
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
		return r.recognizeText(text, head, whole, o, content)
	case !looksLikeRecords(head):
		return fmt.Errorf("%w: neither text nor a .bi5 file", ErrFormat)
	}
	if o.symbol == "" {
		if o.symbol, err = findSymbol(content.names, o.instruments); err != nil {
			return err
		}
	}
	if !place.hourly {
		return fmt.Errorf("%w: a .bi5 file does not contain its hour; want a path such as EURUSD/2012/11/03/12h_ticks.bi5 "+
			"(months from 00) or a name such as EURUSD_2012-12-03_12h_ticks.bi5", ErrFormat)
	}
	digits, known := bi5Digits[o.symbol]
	if !known {
		return fmt.Errorf("%w: Dukascopy's scale of %s in .bi5 files is not known; want an export as CSV", ErrAmbiguous, o.symbol)
	}
	r.format = "bi5"
	r.source = &records{in: text, symbol: o.symbol, digits: digits, hour: place.hour}
	return nil
}

// recognizeText determines the layout of a text by its first lines.
func (r *Reader) recognizeText(text *bufio.Reader, head []byte, whole bool, o options, content *content) error {
	if enc := utf16Order(head); enc != nil {
		text = bufio.NewReaderSize(&utf16Text{in: text, order: enc}, sniffBytes)
		var err error
		if head, whole, err = content.peekHead(text); err != nil {
			return err
		}
	}
	lines := firstLines(bytes.TrimPrefix(head, utf8BOM), whole)
	l, _, err := recognizeLines(lines)
	switch {
	case err != nil:
		return err
	case l == nil:
		first := ""
		if len(lines) > 0 {
			first = lines[0]
		}
		if err := notTicks(first); err != nil {
			return err
		}
		if text := unknownTime(first); text != "" {
			return unknownLayout(text)
		}
		return fmt.Errorf("%w: it begins with %s; want lines of time, bid and ask under a heading that names them, or ticks of Dukascopy, HistData, TrueFX, FXCM or MetaTrader",
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

// recognizeLines returns the layout that the first lines of a text show, and the index of the line
// that showed it. For NDJSON the layout has only a format. l is nil if no line shows a layout.
func recognizeLines(lines []string) (l *layout, at int, err error) {
	for i, line := range lines[:min(len(lines), sniffLines)] {
		if line[0] == '{' {
			return &layout{format: formatNDJSON}, i, nil
		}
		if strings.Contains(line, "\r") {
			return nil, i, fmt.Errorf("%w: its lines end with only a carriage return; want a line feed", ErrFormat)
		}
		if l, err = recognizeHeading(line); err != nil {
			return nil, i, err
		}
		if l == nil {
			l = recognizeLine(line)
		}
		if l != nil {
			return l, i, l.judge(lines[i:min(len(lines), i+sniffLines+1)])
		}
	}
	return nil, 0, nil
}

// peekHead returns as much of the beginning of a file as is needed to recognize it, and whether
// that is the whole file. If a pipe has sent lines that can be read, peekHead does not wait for
// more than settleTime.
func (c *content) peekHead(in *bufio.Reader) (head []byte, whole bool, err error) {
	var enough time.Time // when to stop waiting; zero until head can be read
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

// settleTime is how long to wait for further lines of a pipe, which could still show that the first
// ones can be read in two ways.
const settleTime = 250 * time.Millisecond

// sendsBefore reports whether data arrives through a pipe before end, or is already buffered below
// in.
func (c *content) sendsBefore(end time.Time, in *bufio.Reader) bool {
	below := 0
	for _, b := range c.buffered {
		if b != in {
			below += b.Buffered()
		}
	}
	return below > 1 || c.ready(time.Until(end)) // one byte may be half a character
}

// canBeRead reports whether head contains a tick of a layout that it shows, or a heading for which
// the file is refused.
func canBeRead(head []byte) bool {
	if bytes.IndexByte(head, '\n') < 0 {
		return false
	}
	lines := firstLines(bytes.TrimPrefix(head, utf8BOM), false)
	l, at, err := recognizeLines(lines)
	if err != nil {
		return l == nil // otherwise more lines may show which reading is right
	}
	return l != nil && (l.heading == "" || len(lines) > at+1)
}

// isEnough reports whether the data after head cannot change the recognized format.
func isEnough(head []byte) bool {
	if utf16Order(head) != nil {
		return len(head) >= 4 // it is decoded before it is examined
	}
	if looksBinary(head) {
		return len(head) >= 3*recordSize
	}
	lines := firstLines(bytes.TrimPrefix(head, utf8BOM), false)
	return len(lines) > 2*sniffLines || len(lines) > 0 && lines[0][0] == '{' && bytes.HasSuffix(head, []byte("\n"))
}

// firstLines returns the lines of head that are not blank. An incomplete last line is included only
// if head is the whole file.
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

// parseObject returns a parser for lines of NDJSON, in all forms that producers may use.
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
