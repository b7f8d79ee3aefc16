package producer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

// recording is one input. A file is open only from its first quote to its last, so
// that thousands of hourly files can be replayed; a stream is open from the start,
// since it can be read once.
type recording struct {
	name    string
	number  int // in the order of the command line
	options []tickfile.Option
	size    int64     // of the file; 0 = unknown
	first   time.Time // of its first quote; zero if it has none, or is a stream
	stream  *stream   // nil for a file

	// Owned by the merge that plays it.
	reader *tickfile.Reader // nil while it is not open
	head   feed.Quote
	held   bool      // head was read but not returned yet
	read   bool      // at least one line was read, even if it was bad
	at     time.Time // of head, of the quote before it, or of the first one
	offset int64     // the bytes that the merge has counted
}

// newRecording detects the kind of an input and, for a file, the time of its first quote. Its error
// names the input.
func newRecording(ctx context.Context, name string, number int, options []tickfile.Option) (*recording, error) {
	r := &recording{name: name, number: number, options: options}
	var err error
	if isStream(name) {
		err = r.openStream(ctx)
	} else {
		err = r.sniff(ctx)
	}
	if errors.Is(err, tickfile.ErrNoSymbol) {
		err = fmt.Errorf("%w with --symbol", err)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// sniff reads the first quote of a file.
func (r *recording) sniff(ctx context.Context) error {
	info, err := os.Stat(r.name)
	if err != nil {
		return err
	}
	r.size = info.Size()
	if err := r.open(); err != nil {
		return err
	}
	defer r.close()
	for {
		q, err := r.reader.Next()
		_, bad := errors.AsType[*tickfile.LineError](err)
		switch {
		case err == nil:
			r.first = q.Time
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case bad:
			r.read = true // the replay reports it
		case isEnd(err) || r.read:
			return nil // the replay reports this too
		default:
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
}

// open opens a file.
func (r *recording) open() (err error) {
	r.offset = 0
	r.reader, err = tickfile.Open(r.name, r.options...)
	return err
}

// openStream opens a stream and waits for the lines that identify its format.
func (r *recording) openStream(ctx context.Context) (err error) {
	if r.stream, err = openStream(ctx, r.name); err != nil {
		return err
	}
	name := r.name
	if full, err := filepath.Abs(name); err == nil && name != standardInput {
		name = full // the folders may name the symbol
	}
	if r.reader, err = tickfile.NewReader(r.stream, name, r.options...); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}

// close closes the input. A stream cannot be opened again.
func (r *recording) close() {
	if r.reader != nil {
		r.reader.Close() // it was only read from
		r.reader = nil
	}
	if r.stream != nil {
		r.stream.Close()
	}
}
