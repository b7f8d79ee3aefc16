package admin_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/web/admin"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestRingProperty compares a ring with a map of steps: of the newest steps it has every point, in
// memory that does not grow, however the clock runs.
func TestRingProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 9).Draw(t, "size")
		ring, model := admin.NewRing(size), map[int64]float64{}
		step := rapid.Int64Range(-20, 20).Draw(t, "start")
		for i := range rapid.IntRange(0, 60).Draw(t, "points") {
			ring.Put(step, float64(i))
			for s := range model {
				if s > step || s <= step-int64(size) {
					delete(model, s)
				}
			}
			model[step] = float64(i)
			first, values := ring.Read()
			if last := first + int64(len(values)) - 1; last != step || len(values) > size || ring.Size() != size {
				t.Fatalf("steps %d to %d of %d, want %d as the last", first, last, size, step)
			}
			for s, want := range model {
				if got := values[s-first]; got != want {
					t.Fatalf("step %d is %v, want %v", s, got, want)
				}
			}
			for i, got := range values {
				if _, known := model[first+int64(i)]; !known && !math.IsNaN(got) {
					t.Fatalf("step %d is %v, want unknown", first+int64(i), got)
				}
			}
			step += rapid.SampledFrom([]int64{0, 1, 1, 1, 2, 3, 12, -1, -2, -15}).Draw(t, "next")
		}
	})
}

// A metricsSource is what a test has a recorder read.
type metricsSource struct {
	*prometheus.Registry
	received, rejected prometheus.Counter
	clients            prometheus.Gauge
	delay              prometheus.Histogram
}

func newSource() *metricsSource {
	s := &metricsSource{Registry: prometheus.NewRegistry(),
		received: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_feed_received_total", Help: "x"}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_feed_rejected_total", Help: "x", ConstLabels: prometheus.Labels{"reason": "wide"}}),
		clients:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "fx_hub_clients", Help: "x"}),
		delay:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "fx_hub_latency_seconds", Help: "x", Buckets: prometheus.ExponentialBuckets(1./1024, 2, 14)}),
	}
	other := prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_feed_rejected_total", Help: "x", ConstLabels: prometheus.Labels{"reason": "old"}})
	other.Add(1000)
	s.MustRegister(s.received, s.rejected, other, s.clients, s.delay)
	return s
}

// near reports whether values are as wanted, to six digits; NaN equals NaN.
func near(got []float64, want ...float64) bool {
	return slices.EqualFunc(got, want, func(a, b float64) bool {
		return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-6*math.Abs(b)
	})
}

// TestRecorder runs a recorder by the clock: rates of counters, peaks of gauges, the 99th percentile,
// and what is not known as such. Then the process is stopped for a while, and its clock goes back.
func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, unknown := newSource(), math.NaN()
		var lost atomic.Bool
		rec := admin.NewRecorder(admin.RecorderConfig{Metrics: source, Log: slog.New(slog.DiscardHandler), Ping: func(context.Context) error {
			time.Sleep(2 * time.Millisecond)
			if lost.Load() {
				return context.DeadlineExceeded
			}
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := rec.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second) // between two readings from here on
		synctest.Wait()
		if got := rec.Values("1h", "clients"); len(got) != 0 {
			t.Errorf("one reading makes the points %v", got)
		}
		for i := range 6 {
			source.received.Add(float64(100 * i))
			source.rejected.Add(5)
			source.clients.Set(float64(10 - i))
			source.delay.Observe(0.003)
			if i == 3 {
				lost.Store(true)
			}
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		for series, want := range map[string][]float64{
			"received_quotes_per_second": {0, 10, 20, 30, 40, 50},
			"rejected_quotes_per_second": {.5, .5, .5, .5, .5, .5},
			"clients":                    {10, 10, 9, 8, 7, 6}, // the higher of both ends
			"redis_ping_seconds":         {.002, .002, .002, .002, unknown, unknown},
			"memory_bytes":               {unknown, unknown, unknown, unknown, unknown, unknown},
		} {
			if got := rec.Values("1h", series); !near(got, want...) {
				t.Errorf("%s: %v, want %v", series, got, want)
			}
		}
		for _, got := range rec.Values("1h", "delay_p99_seconds") {
			if got < 0.003 || got > 1./256 {
				t.Errorf("the delay is %v, want that of the bucket that ends at %v", got, 1./256)
			}
		}
		if got := rec.Values("24h", "received_quotes_per_second"); !near(got, 25) {
			t.Errorf("a minute is %v, want the mean of its six steps", got)
		}
		if got := rec.Values("24h", "clients"); !near(got, 10) {
			t.Errorf("a minute is %v, want its peak", got)
		}
		cancel()
		running.Wait()

		// Stopped for a minute: no point while it was, and none that stands for all of it.
		families, _ := source.Gather()
		at := time.Now().Add(time.Minute)
		rec.Record(at, families, .1)
		if got := rec.Values("1h", "received_quotes_per_second"); !near(got[6:], unknown, unknown, unknown, unknown, unknown, unknown) {
			t.Errorf("after a stop: %v", got)
		}
		if got := rec.Values("1h", "redis_ping_seconds"); !near(got[6:], unknown, unknown, unknown, unknown, unknown, .1) {
			t.Errorf("after a stop: %v", got)
		}
		rec.Record(at.Add(-70*time.Second), families, .2)
		if got := rec.Values("1h", "redis_ping_seconds"); len(got) != 5 || got[4] != .2 {
			t.Errorf("after the clock went back: %v", got)
		}
		// A day and more.
		for range 3000 {
			at = at.Add(time.Minute)
			rec.Record(at, families, .3)
		}
		if hour, day := rec.Values("1h", "clients"), rec.Values("24h", "clients"); len(day) != 1440 || len(hour) > 360 || slices.ContainsFunc(day, math.IsNaN) {
			t.Errorf("%d points of an hour, %d of a day", len(hour), len(day))
		}
		if got := rec.Values("24h", "delay_p99_seconds"); !slices.ContainsFunc(got, math.IsNaN) {
			t.Error("a delay although nothing was sent")
		}
	})
}

// A past is the answer of GET /api/v1/metrics/history.
type past struct {
	Node, Range string
	Now         time.Time
	Until       *time.Time
	Step        int `json:"step_seconds"`
	Points      int
	Series      map[string][]*float64
}

// TestPast asks a node for its own history and for that of another one, which then hangs, and then
// leaves.
func TestPast(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	o := a.Operator()
	source, start := newSource(), time.Now().Add(-time.Minute)
	source.clients.Set(7)
	families, err := source.Gather()
	if err != nil {
		t.Fatal(err)
	}
	b.Recorder.Record(start, families, math.NaN())
	b.Recorder.Record(start.Add(10*time.Second), families, .25)
	var here, there past
	o.Get("/api/v1/metrics/history?range=24h", &here)
	if here.Node != a.Nodes.Name() || here.Range != "24h" || here.Step != 60 || here.Points != 1440 || time.Since(here.Now) > time.Minute || here.Series["clients"] == nil {
		t.Errorf("this node: %+v", here)
	}
	path := "/api/v1/metrics/history?node=" + b.Nodes.Name()
	webtest.Eventually(t, "the other node answers", func() bool { return o.Ask("GET", path, "").Status == 200 })
	o.Get(path, &there)
	i := slices.IndexFunc(there.Series["redis_ping_seconds"], func(p *float64) bool { return p != nil && *p == .25 })
	if there.Node != b.Nodes.Name() || there.Step != 10 || there.Until == nil || i < 0 || *there.Series["clients"][i] != 7 || there.Series["memory_bytes"][i] != nil {
		t.Errorf("the other node: %+v", there)
	}
	release := make(chan struct{})
	b.Nodes.Handle("past", func(context.Context, json.RawMessage) (any, error) { <-release; return nil, nil })
	asked := time.Now()
	o.Ask("GET", path, "").Problem(t, 503)
	if took := time.Since(asked); took > 20*time.Second { // a second, but for a busy machine
		t.Errorf("a silent node takes %v", took)
	}
	close(release)
	b.Nodes.Handle("past", func(context.Context, json.RawMessage) (any, error) { return "what?", nil })
	webtest.Eventually(t, "an answer that is none", func() bool {
		return o.Ask("GET", path, "").Problem(t, 503).Detail == "node "+b.Nodes.Name()+" cannot answer"
	})
	b.Stop()
	webtest.Eventually(t, "no such node", func() bool { return o.Ask("GET", path, "").Status == 404 })
	o.Ask("GET", "/api/v1/metrics/history?range=1d", "").Problem(t, 400)

	// The node starts again: its history begins again, and is that of a new node.
	c := webtest.Start(t, func(cfg *webtest.Config) { cfg.Redis = a.Redis })
	path = "/api/v1/metrics/history?node=" + c.Nodes.Name()
	var again past
	webtest.Eventually(t, "the new node answers", func() bool { return o.Ask("GET", path, "").Status == 200 })
	o.Get(path, &again)
	if len(again.Series["clients"]) > 6 {
		t.Errorf("the history of a new node: %+v", again)
	}
}
