// Package tickfile reads recorded quotes. It reads the tick exports of Dukascopy (CSV and .bi5),
// HistData, TrueFX, FXCM and MetaTrader 4 and 5, any other CSV with a heading that names time, bid
// and ask, and NDJSON as producers send it. Files may be plain or compressed by gzip, zip, xz,
// lzma, zstd or bzip2. The content determines the format, never the extension of the name. Prices
// keep the file's digits exactly.
//
// A file is refused if it can be read in two ways, or if it contains bars or trades: a wrong price
// is worse than none.
//
// Times are converted to UTC. HistData writes Eastern Standard Time without daylight saving time,
// five hours behind UTC. MetaTrader writes the time of the broker's server, without its zone. Its
// times, and all others without a zone, count as UTC unless WithZone is given. Times that go
// backwards are returned unchanged.
package tickfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// Errors of Open and NewReader that a caller may branch on.
var (
	ErrFormat    = errors.New("tickfile: unknown format")
	ErrNoSymbol  = errors.New("tickfile: symbol not known")
	ErrAmbiguous = errors.New("tickfile: can be read in two ways")
	ErrNotTicks  = errors.New("tickfile: not ticks")

	errBars   = fmt.Errorf("%w: bars of open, high, low and close; want ticks with bid and ask", ErrNotTicks)
	errTrades = fmt.Errorf("%w: time, price and volume; want ticks with bid and ask", ErrNotTicks)
)

// MaxLine is the largest length of a line in bytes. Next reports a longer one as a bad line.
const MaxLine = 1024

// LineError is the error for one line that could not be read. Reading may continue after it.
type LineError struct {
	Line   int         // from 1; in a .bi5 file the number of the record
	Kind   feed.Reason // feed.ReasonBadLine if no other reason fits
	Reason string      // bounded and printable
	Text   string      // the beginning of the line, unchanged; "" in a .bi5 file
}

// Error returns the line's number and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Reader reads the quotes of one file. It is not safe for concurrent use.
type Reader struct {
	format  string
	source  source
	content *content
	last    error // the final error; nil before the end
	close   []func() error
}

// source is one kind of content. next returns a *LineError for a bad line and io.EOF at the end.
type source interface{ next() (feed.Quote, error) }

// Option configures how a file is read.
type Option func(*options)

type options struct {
	symbol      feed.Symbol
	zone        *time.Location
	instruments *feed.Instruments
}

// WithZone sets the zone of times without one. It takes precedence over the zone of the format.
func WithZone(zone *time.Location) Option { return func(o *options) { o.zone = zone } }

// WithInstruments sets the table that resolves symbols. The default is the built-in table.
func WithInstruments(t *feed.Instruments) Option { return func(o *options) { o.instruments = t } }

// WithSymbol sets the symbol of files that do not name it. It takes precedence over the file's
// name. A line that names another symbol is a bad line.
func WithSymbol(s feed.Symbol) Option { return func(o *options) { o.symbol = s } }

// Open opens the file with a name. Its error contains the name and wraps an error of this package
// or of the file system. A pipe is read once, from its beginning.
func Open(name string, opts ...Option) (*Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	full, err := filepath.Abs(name) // the folders of a .bi5 file may contain its symbol and hour
	if err != nil {
		full = name
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s: it is a folder; want a file of ticks", name)
	}
	r, err := NewReader(f, full, opts...)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.close = append(r.close, f.Close)
	return r, nil
}

// NewReader returns a Reader of r. name is the path of the content: the symbol and the hour of .bi5
// files are taken from it if the content does not contain them. Close does not close r. A zip
// archive that does not implement io.ReaderAt and io.Seeker is read into memory, up to 64 MB.
//
// A file is recognized by its first 40 lines. r may have a method Ready(d time.Duration) bool,
// which waits at most d and reports whether Read would return at once. Then fewer lines are enough
// if no more arrive within a moment, since a pipe may be slow.
func NewReader(r io.Reader, name string, opts ...Option) (*Reader, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	content, err := decompress(r, name)
	if err != nil {
		return nil, err
	}
	rd := &Reader{content: content, close: content.close}
	if err := rd.recognize(content, o); err != nil {
		rd.Close()
		return nil, err
	}
	return rd, nil
}

// Format returns the recognized format: "dukascopy", "bi5", "histdata", "truefx", "fxcm",
// "metatrader5", "metatrader4", "csv" or "ndjson".
func (r *Reader) Format() string { return r.format }

// Next returns the next quote. A *LineError reports a line that could not be read; call Next again
// for the following one. Every other error is final: io.EOF at the end, or why reading failed.
// Prices are decimal text, but feed.Instruments.Check may still reject the quote. Quote.Source is
// empty.
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

// Offset returns how many bytes of the file, as stored, have been read. Buffered bytes do not count
// as far as they are known. It is for showing progress and may be called whenever Next may be.
func (r *Reader) Offset() int64 { return r.content.offset() }

// Close closes the file if Open opened it. Next must not be called afterwards.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.close {
		errs = append(errs, c())
	}
	r.close = nil
	return errors.Join(errs...)
}
