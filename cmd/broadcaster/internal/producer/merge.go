package producer

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

// merge plays several recordings in the order of their times.
type merge struct {
	waiting recordingHeap
	bad     func(name string, err *tickfile.LineError)
	broken  func(r *recording, err error) // called when an input cannot be read to its end

	streams bool  // some recordings are streams
	total   int64 // bytes of all recordings; 0 = unknown
	read    int64 // bytes read of total
}

func newMerge(recordings []*recording) *merge {
	m := &merge{}
	for _, r := range recordings {
		r.at, r.held, r.offset = r.first, false, 0
		m.waiting = append(m.waiting, r)
		m.total += r.size
		m.streams = m.streams || r.stream != nil
	}
	if m.streams {
		m.total = 0
	}
	heap.Init(&m.waiting)
	return m
}

// next returns the earliest quote that is left. It does not read ahead, since the next line of a
// stream may come much later. When ctx ends it returns at once; ok is then false, as it is at the
// end.
func (m *merge) next(ctx context.Context) (q feed.Quote, ok bool) {
	for len(m.waiting) > 0 && ctx.Err() == nil {
		r := m.waiting[0]
		switch {
		case r.held:
			r.held = false
			return r.head, true
		case r.reader == nil:
			if err := r.open(); err != nil {
				m.drop(r, err)
			}
		default:
			m.advance(ctx, r)
		}
	}
	return q, false
}

// advance reads the next quote of r, the earliest recording, and moves r to its new place.
func (m *merge) advance(ctx context.Context, r *recording) {
	q, err := r.reader.Next()
	m.read += r.reader.Offset() - r.offset
	r.offset = r.reader.Offset()
	bad, isLine := errors.AsType[*tickfile.LineError](err)
	switch {
	case err == nil:
		r.head, r.held, r.read, r.at = q, true, true, q.Time
		heap.Fix(&m.waiting, 0)
	case isLine:
		r.read = true
		m.bad(r.name, bad)
	case isEnd(err):
		m.drop(r, nil)
	case ctx.Err() == nil:
		m.drop(r, fmt.Errorf("%s: %w", r.name, err))
	}
}

// isEnd reports whether an error means that a file was read to its end.
func isEnd(err error) bool { return err == io.EOF }

// drop closes r, the earliest recording. err is the reason if it ended early.
func (m *merge) drop(r *recording, err error) {
	if err != nil {
		m.broken(r, err)
	}
	r.close()
	m.read += max(r.size-r.offset, 0)
	heap.Pop(&m.waiting)
}

func (m *merge) close() {
	for _, r := range m.waiting {
		r.close()
	}
}

// recordingHeap is ordered by time, then by place on the command line.
type recordingHeap []*recording

// name returns the name of the earliest recording, "" without one.
func (h recordingHeap) name() string {
	if len(h) == 0 {
		return ""
	}
	return h[0].name
}

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
