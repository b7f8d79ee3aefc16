package tickfile

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"

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
	head, whole, err := peekHead(text)
	if err != nil {
		return err
	}
	place := parsePlace(content.names)
	switch {
	case len(head) == 0 && place.hourly:
		// An hour without ticks is an empty file.
	case len(head) == 0:
		return fmt.Errorf("%w: the file is empty", ErrFormat)
	case !looksBinary(head):
		return r.recogniseText(text, head, whole, o, content.names)
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
func (r *Reader) recogniseText(text *bufio.Reader, head []byte, whole bool, o options, names []string) error {
	if enc := utf16Order(head); enc != nil {
		text = bufio.NewReaderSize(&utf16Text{in: text, order: enc}, sniffBytes)
		var err error
		if head, whole, err = peekHead(text); err != nil {
			return err
		}
	}
	lines := firstLines(bytes.TrimPrefix(head, utf8BOM), whole)
	for i, line := range lines[:min(len(lines), sniffLines)] {
		if line[0] == '{' {
			r.format = "ndjson"
			r.source = newLines(text, parseObject(o), "")
			return nil
		}
		l, err := recogniseHeading(line)
		if err != nil {
			return err
		}
		if l == nil {
			l = recogniseLine(line)
		}
		if l == nil {
			continue
		}
		if err := l.judge(lines[i:min(len(lines), i+sniffLines+1)]); err != nil {
			return err
		}
		if o.zone != nil {
			l.clock.zone = o.zone
		}
		if o.symbol == "" && l.symbol < 0 {
			if o.symbol, err = findSymbol(names, o.instruments); err != nil {
				return fmt.Errorf("%w (the format is %s)", err, l.format)
			}
		}
		r.format = l.format
		parse := func(line string) (feed.Quote, error) { return l.parse(line, o.instruments) }
		r.source = newLines(text, parse, o.symbol)
		return nil
	}
	first := ""
	if len(lines) > 0 {
		first = lines[0]
	}
	return fmt.Errorf("%w: it begins %s; want lines of time, bid and ask under a heading that names them, or ticks of Dukascopy, HistData, TrueFX, FXCM or MetaTrader",
		ErrFormat, quoted(first))
}

// peekHead returns the beginning of a file as far as it is needed to recognise it, and
// whether that is all there is. It waits for no more: a pipe may be slow.
func peekHead(in *bufio.Reader) (head []byte, whole bool, err error) {
	for {
		_, err := in.Peek(in.Buffered() + 1)
		head, _ := in.Peek(in.Buffered())
		switch {
		case err != nil && err != io.EOF && len(head) == 0:
			return nil, false, fmt.Errorf("read: %w", err)
		case err != nil || len(head) == in.Size():
			return head, err != nil, nil
		case isEnough(head):
			return head, false, nil
		}
	}
}

// isEnough reports whether what follows head cannot change what the file is.
func isEnough(head []byte) bool {
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
