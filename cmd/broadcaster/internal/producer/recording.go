package producer

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

// recording is one file. It is open only from its first quote to its last, so
// that thousands of hourly files can be replayed.
type recording struct {
	name   string
	number int // in the order of the command line
	symbol feed.Symbol
	first  time.Time // of its first quote; zero if it has none

	instruments *feed.Instruments

	// Owned by the merge that plays it.
	reader *tickfile.Reader
	head   feed.Quote
	at     time.Time // of head, or of the first quote before the file is open
}

// newRecording checks that the file can be read and when it begins.
func newRecording(name string, number int, symbol feed.Symbol, instruments *feed.Instruments) (*recording, error) {
	r := &recording{name: name, number: number, symbol: symbol, instruments: instruments}
	if err := r.open(); err != nil {
		if errors.Is(err, tickfile.ErrNoSymbol) {
			err = fmt.Errorf("%w with --symbol", err)
		}
		return nil, err
	}
	defer r.close()
	for {
		q, err := r.reader.Next()
		if err == nil {
			r.first = q.Time
			return r, nil
		}
		if _, bad := errors.AsType[*tickfile.LineError](err); !bad {
			return r, nil // reported when it is played
		}
	}
}

func (r *recording) open() (err error) {
	opts := []tickfile.Option{tickfile.WithInstruments(r.instruments)}
	if r.symbol != "" {
		opts = append(opts, tickfile.WithSymbol(r.symbol))
	}
	r.reader, err = tickfile.Open(r.name, opts...)
	return err
}

func (r *recording) close() {
	if r.reader != nil {
		r.reader.Close() // it was only read from
		r.reader = nil
	}
}

// merge plays recordings together, in the order of time.
type merge struct {
	waiting recordingHeap
	bad     func(name string, err *tickfile.LineError)
	broken  func(err error) // a file ended before its end
}

func newMerge(recordings []*recording) *merge {
	m := &merge{}
	for _, r := range recordings {
		r.at = r.first
		m.waiting = append(m.waiting, r)
	}
	heap.Init(&m.waiting)
	return m
}

// next returns the earliest quote that is left.
func (m *merge) next() (q feed.Quote, ok bool) {
	for len(m.waiting) > 0 {
		r := m.waiting[0]
		if r.reader != nil {
			q = r.head
			m.advance(r)
			return q, true
		}
		if err := r.open(); err != nil {
			m.broken(err)
			heap.Pop(&m.waiting)
			continue
		}
		m.advance(r)
	}
	return q, false
}

// advance reads the next quote of r, the earliest recording, and puts it in its
// new place.
func (m *merge) advance(r *recording) {
	for {
		q, err := r.reader.Next()
		bad, isLine := errors.AsType[*tickfile.LineError](err)
		switch {
		case err == nil:
			r.head, r.at = q, q.Time
			heap.Fix(&m.waiting, 0)
			return
		case isLine:
			m.bad(r.name, bad)
		default:
			if err != io.EOF {
				m.broken(fmt.Errorf("%s: %w", r.name, err))
			}
			r.close()
			heap.Pop(&m.waiting)
			return
		}
	}
}

func (m *merge) close() {
	for _, r := range m.waiting {
		r.close()
	}
}

// recordingHeap has the earliest recording first; of equal ones the first on the
// command line.
type recordingHeap []*recording

func (h recordingHeap) Len() int { return len(h) }
func (h recordingHeap) Less(i, j int) bool {
	if c := h[i].at.Compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}
func (h recordingHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *recordingHeap) Push(x any)   { *h = append(*h, x.(*recording)) }
func (h *recordingHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	*h = (*h)[:last]
	return r
}
