// Package tickfile reads recorded quotes: the tick exports of Dukascopy (CSV and
// .bi5), HistData, TrueFX, FXCM and MetaTrader 4 and 5, any other CSV whose heading
// names time, bid and ask, and NDJSON as producers send it; plain or compressed by
// gzip, zip, xz, lzma, zstd or bzip2. The content decides what a file is, never the
// extension of its name. Prices keep the file's digits exactly.
//
// A file is refused if it can be read in two ways, or if it holds bars or trades:
// a wrong price is worse than none.
//
// Times become UTC. HistData writes Eastern Standard Time without daylight
// saving, five hours behind UTC. MetaTrader writes the time of the broker's
// server and does not say which that is. Its times, and all others without a zone,
// count as UTC unless WithZone says otherwise. Times that go backwards are handed
// out as they are.
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
	ErrAmbiguous = errors.New("tickfile: can be read in two ways") // and so is not read
	ErrNotTicks  = errors.New("tickfile: not ticks")

	errBars   = fmt.Errorf("%w: bars of open, high, low and close; want ticks with bid and ask", ErrNotTicks)
	errTrades = fmt.Errorf("%w: time, price and volume; want ticks with bid and ask", ErrNotTicks)
)

// MaxLine is how many bytes a line may have. A longer one is a bad line.
const MaxLine = 1024

// LineError is a line that could not be read; the ones after it can be.
type LineError struct {
	Line   int         // from 1; in a .bi5 file the number of the record
	Kind   feed.Reason // feed.ReasonBadLine if no other one fits
	Reason string      // bounded and printable
	Text   string      // the beginning of the line as it is; "" in a .bi5 file
}

// Error returns the line's number and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Reader reads the quotes of one file. It is not safe for concurrent use.
type Reader struct {
	format  string
	source  source
	content *content
	last    error // what ended the file; nil before its end
	close   []func() error
}

// source is one kind of content. A bad line is a *LineError, the end io.EOF.
type source interface{ next() (feed.Quote, error) }

// Option changes how a file is read.
type Option func(*options)

type options struct {
	symbol      feed.Symbol
	zone        *time.Location
	instruments *feed.Instruments
}

// WithZone gives the zone of times that have none. It takes precedence over what
// is known of the format.
func WithZone(zone *time.Location) Option { return func(o *options) { o.zone = zone } }

// WithInstruments gives the table that symbols are read by; without it that is
// the built-in one.
func WithInstruments(t *feed.Instruments) Option { return func(o *options) { o.instruments = t } }

// WithSymbol gives the symbol of files that do not name theirs. It takes
// precedence over the file's name; a line that names another symbol is a bad line.
func WithSymbol(s feed.Symbol) Option { return func(o *options) { o.symbol = s } }

// Open opens the file called name. The error names the file; it wraps one of those
// above or that of the file system. A pipe is read once, from its beginning.
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
//
// A file is recognised by its first 40 lines. If r has a method
// Ready(time.Duration) bool, which waits for so long at most and reports whether Read
// would return at once, then fewer are enough when no more have come in a moment: a
// pipe may be slow.
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
	if err := rd.recognise(content, o); err != nil {
		rd.Close()
		return nil, err
	}
	return rd, nil
}

// Format names what the file was recognised as: "dukascopy", "bi5", "histdata",
// "truefx", "fxcm", "metatrader5", "metatrader4", "csv" or "ndjson".
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

// Offset returns how many bytes of the file have been read, compressed as they are;
// what is only buffered does not count, as far as that is known. It is for showing
// progress, and may be called whenever Next may be.
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
