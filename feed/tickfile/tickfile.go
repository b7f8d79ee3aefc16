// Package tickfile reads recorded quotes: the tick exports of Dukascopy (CSV and
// .bi5), HistData, TrueFX and MetaTrader 4 and 5, plain or compressed by gzip,
// zip, xz, lzma, zstd or bzip2. What a file is, is told from its content, never
// from the extension of its name. Prices keep the file's digits exactly.
//
// Times become UTC. HistData writes Eastern Standard Time without daylight
// saving, five hours behind UTC. MetaTrader writes the time of the broker's
// server and does not say which that is: it is taken as UTC. Times that go
// backwards are handed out as they are.
package tickfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fxcast/fxcast/feed"
)

// Errors of Open and NewReader that a caller may branch on.
var (
	ErrFormat   = errors.New("tickfile: unknown format")
	ErrNoSymbol = errors.New("tickfile: symbol not known")
)

// MaxLine is how many bytes a line may have. A longer one is a bad line.
const MaxLine = 1024

// LineError is a line that could not be read; the ones after it can be.
type LineError struct {
	Line   int    // from 1; in a .bi5 file the number of the record
	Reason string // bounded and printable
}

// Error returns the line's number and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Reader reads the quotes of one file. It is not safe for concurrent use.
type Reader struct {
	format string
	source source
	last   error // what ended the file; nil before its end
	close  []func() error
}

// source is one kind of content. A bad line is a *LineError, the end io.EOF.
type source interface{ next() (feed.Quote, error) }

// Option changes how a file is read.
type Option func(*options)

type options struct{ symbol feed.Symbol }

// WithSymbol gives the symbol of files that do not name theirs. It takes
// precedence over the file's name; a line that names another symbol is a bad line.
func WithSymbol(s feed.Symbol) Option { return func(o *options) { o.symbol = s } }

// Open opens the file called name. The error names the file; it wraps ErrFormat,
// ErrNoSymbol or that of the file system.
func Open(name string, opts ...Option) (*Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	full, err := filepath.Abs(name) // a .bi5 file is known by the folders it is in
	if err != nil {
		full = name
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s: a folder; want a file of ticks", name)
	}
	r, err := NewReader(f, full, opts...)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.close = append(r.close, f.Close)
	return r, nil
}

// NewReader reads from r. name is where the content came from: it is used to
// find the symbol, and the hour of .bi5 files, if the content does not tell.
// Close does not close r. A zip archive that is no io.ReaderAt and io.Seeker is read
// into memory, at most 64 MB of it.
func NewReader(r io.Reader, name string, opts ...Option) (*Reader, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	content, err := decompress(r, name)
	if err != nil {
		return nil, err
	}
	rd := &Reader{close: content.close}
	if err := rd.recognise(content, o.symbol); err != nil {
		rd.Close()
		return nil, err
	}
	return rd, nil
}

// Format names what the file was recognised as: "dukascopy", "bi5", "histdata",
// "truefx", "metatrader5" or "metatrader4".
func (r *Reader) Format() string { return r.format }

// Next returns the next quote. A *LineError tells of a line that could not be
// read: call Next again for the one after it. Every other error is final: io.EOF at
// the end, or why the file cannot be read further. Prices are checked to be
// decimal text; whether a quote can be accepted (feed.Quote.Check) is not.
// Quote.Source is empty.
func (r *Reader) Next() (feed.Quote, error) {
	if r.last != nil {
		return feed.Quote{}, r.last
	}
	q, err := r.source.next()
	if err != nil {
		if _, bad := errors.AsType[*LineError](err); !bad {
			r.last = err
		}
		return feed.Quote{}, err
	}
	return q, nil
}

// Close closes the file if Open opened it. Next must not be called afterwards.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.close {
		errs = append(errs, c())
	}
	r.close = nil
	return errors.Join(errs...)
}

// sniffLines is how many lines may come before one that can be recognised.
const (
	sniffLines = 20
	sniffBytes = 16 << 10
)

// recognise finds out what content holds.
func (r *Reader) recognise(content *content, symbol feed.Symbol) error {
	text := bufio.NewReaderSize(content, sniffBytes)
	head, err := text.Peek(sniffBytes)
	if err != nil && err != io.EOF && len(head) == 0 {
		return fmt.Errorf("read: %w", err)
	}
	place := parsePlace(content.names)
	switch {
	case len(head) == 0 && place.hourly:
		// An hour without ticks is an empty file.
	case len(head) == 0:
		return fmt.Errorf("%w: the file is empty", ErrFormat)
	case !looksBinary(head):
		return r.recogniseText(text, head, symbol, content.names)
	case !looksLikeRecords(head):
		return fmt.Errorf("%w: neither text nor a .bi5 file", ErrFormat)
	}
	if symbol == "" {
		if symbol, err = findSymbol(content.names); err != nil {
			return err
		}
	}
	if !place.hourly {
		return fmt.Errorf("%w: a .bi5 file does not say its hour; want a path such as EURUSD/2012/11/03/12h_ticks.bi5 "+
			"(months from 00) or a name such as EURUSD_2012-12-03_12h_ticks.bi5", ErrFormat)
	}
	r.format = "bi5"
	r.source = &records{in: text, symbol: symbol, hour: place.hour}
	return nil
}

func (r *Reader) recogniseText(text *bufio.Reader, head []byte, symbol feed.Symbol, names []string) error {
	if enc := utf16Order(head); enc != nil {
		text = bufio.NewReaderSize(&utf16Text{in: text, order: enc}, sniffBytes)
		var err error
		if head, err = text.Peek(sniffBytes); err != nil && err != io.EOF && len(head) == 0 {
			return fmt.Errorf("read: %w", err)
		}
	}
	head = bytes.TrimPrefix(head, utf8BOM)
	seen := 0
	for line := range bytes.Lines(head) {
		one := string(bytes.TrimSpace(line))
		if one == "" {
			continue
		}
		if seen++; seen > sniffLines {
			break
		}
		for _, f := range formats {
			parse, hasSymbol := f.recognise(one)
			if parse == nil {
				continue
			}
			if symbol == "" && !hasSymbol {
				var err error
				if symbol, err = findSymbol(names); err != nil {
					return err
				}
			}
			r.format = f.name
			r.source = &lines{in: text, parse: parse, symbol: symbol}
			return nil
		}
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(head), []byte("\n"))
	return fmt.Errorf("%w: it begins %s; want ticks of Dukascopy, HistData, TrueFX or MetaTrader", ErrFormat, quoted(string(first)))
}

// quoted returns a bounded, printable form of s.
func quoted(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
