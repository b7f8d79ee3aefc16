package admin

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/protocol"
)

const (
	recordEvery = 10 * time.Second
	pingTime    = time.Second // a Redis that does not answer a PING within it has no round trip
)

// RecorderConfig configures NewRecorder. All fields are required.
type RecorderConfig struct {
	Metrics prometheus.Gatherer
	Ping    func(context.Context) error // of Redis
	Log     *slog.Logger
}

// A Recorder keeps the history of this node's own metrics: a point each 10 s of the last hour, and
// one each minute of the last 24 h. It lives in memory of a fixed size, about 150 KB, so a node that
// starts again begins a new history. It is safe for concurrent use.
type Recorder struct {
	cfg RecorderConfig

	mu    sync.Mutex // guards spans
	spans []*span
}

// A span is a history with one length of step.
type span struct {
	name   string // in the query
	length time.Duration
	points *ring
	step   int64     // in which the last reading was taken
	from   *reading  // the first reading of step
	peaks  []float64 // of levels, since the last point
}

// NewRecorder returns an empty Recorder.
func NewRecorder(cfg RecorderConfig) *Recorder {
	return &Recorder{cfg: cfg, spans: []*span{newSpan("1h", recordEvery, 360), newSpan("24h", time.Minute, 1440)}}
}

func newSpan(name string, length time.Duration, size int) *span {
	return &span{name: name, length: length, points: newRing(size, len(plotted))}
}

// Run takes a reading each 10 s until ctx ends; it returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	for {
		r.record(r.read(ctx))
		now := time.Now()
		if !redislink.Sleep(ctx, now.Truncate(recordEvery).Add(recordEvery).Sub(now)) {
			return nil
		}
	}
}

// read takes a reading of this moment. What cannot be read is not known.
func (r *Recorder) read(ctx context.Context) *reading {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	ping, start := math.NaN(), time.Now()
	if err := r.cfg.Ping(ctx); err == nil {
		ping = time.Since(start).Seconds()
	}
	families, err := r.cfg.Metrics.Gather()
	if err != nil {
		r.cfg.Log.Debug("some metrics cannot be read", "err", err)
	}
	return newReading(time.Now(), families, ping)
}

func (r *Recorder) record(now *reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		s.add(now)
	}
}

// add takes a reading in. The first reading in a step ends the one before: it makes a point, of all
// that happened since the first reading of that.
func (s *span) add(now *reading) {
	step := now.at.Unix() / int64(s.length/time.Second)
	if s.from != nil && step != s.step {
		point := make([]float64, len(plotted))
		known := now.at.Sub(s.from.at) <= 2*s.length // else it describes no one step: this process was stopped
		for i, p := range plotted {
			switch {
			case p.kind == level:
				point[i] = higher(s.peaks[i], now.values[i])
			case known:
				point[i] = now.since(s.from, i)
			default:
				point[i] = math.NaN()
			}
		}
		s.points.put(step, point)
	}
	if s.from == nil || step != s.step {
		s.from, s.step, s.peaks = now, step, append([]float64(nil), now.values...)
		return
	}
	for i := range s.peaks {
		s.peaks[i] = higher(s.peaks[i], now.values[i])
	}
}

// higher returns the higher of two values, or the one that is known.
func higher(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}

// history returns the points of one span; false if there is no such span.
func (r *Recorder) history(name string) (h pastAnswer, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.name != name {
			continue
		}
		h = pastAnswer{Range: name, Step: int(s.length / time.Second), Points: s.points.size, Series: make(map[string]pastValues, len(plotted))}
		for i, p := range plotted {
			h.Series[p.name] = s.points.read(i)
		}
		if n := s.points.last; n >= s.points.first {
			h.Until = new(protocol.FormatTime(time.Unix(n*int64(h.Step), 0)))
		}
		return h, true
	}
	return h, false
}
