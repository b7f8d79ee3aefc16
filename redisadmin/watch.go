package redisadmin

import (
	"context"
	"iter"
	"time"
)

const (
	watchTimeout  = 3 * time.Second // of one reading
	minWatchEvery = 100 * time.Millisecond
	maxNewSlow    = 128 // slow commands per reading and server
	maxShownSlow  = 20
	maxShownRates = 50
)

// Sample is what happened since the previous sample. On a cluster, numbers are sums over the
// masters.
type Sample struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"` // since the previous sample

	OpsPerSecond         *float64 `json:"ops_per_second"` // commands, those of this watch included
	InputBytesPerSecond  *float64 `json:"input_bytes_per_second"`
	OutputBytesPerSecond *float64 `json:"output_bytes_per_second"`
	HitRatio             *float64 `json:"hit_ratio"` // of these look-ups; null without any
	Evicted              Number   `json:"evicted"`   // keys, since the previous sample
	Expired              Number   `json:"expired"`
	Clients              Number   `json:"clients"` // now
	Blocked              Number   `json:"blocked"`
	UsedBytes            Number   `json:"used_bytes"`
	MaxBytes             Number   `json:"max_bytes"`        // 0 = no limit
	Restarted            bool     `json:"restarted"`        // a server has restarted since
	Silent               []string `json:"silent,omitempty"` // servers that do not answer; sums leave them out

	Commands []CommandRate `json:"commands"` // busiest first; nil = unknown
	Slow     []SlowEntry   `json:"slow"`     // new in the slow log, slowest first; nil = unknown

	Touched *Touched `json:"touched,omitempty"` // with WatchConfig.Commands
}

// CommandRate is the share of one command in a Sample.
type CommandRate struct {
	Name       string   `json:"name"` // lower case; "config|get" for a subcommand
	Calls      int64    `json:"calls"`
	PerSecond  float64  `json:"per_second"`
	MeanMicros *float64 `json:"mean_us"` // nil = unknown
	Failed     Number   `json:"failed"`  // executed, and answered with an error
}

// WatchConfig configures Watch.
type WatchConfig struct {
	Every time.Duration // between samples; at least 100 ms, 0 = 1 s

	// Commands adds Sample.Touched. It uses MONITOR; see Admin.Commands for its cost.
	Commands bool
}

// Watch yields a sample at each interval until ctx ends or the caller stops. It sends INFO and
// SLOWLOG GET each time, and once at the start; the first sample covers the time from then on. If
// no server answers it yields ErrUnavailable without a sample and goes on. The next sample then
// covers the whole time since the previous one.
func (a *Admin) Watch(ctx context.Context, cfg WatchConfig) iter.Seq2[Sample, error] {
	every := max(cfg.Every, minWatchEvery)
	if cfg.Every == 0 {
		every = time.Second
	}
	return func(yield func(Sample, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		rates := newKeyRates()
		if cfg.Commands {
			wait := rates.start(ctx, a)
			defer wait()
		}
		defer cancel()
		before, err := a.read(ctx, nil)
		if err != nil && ctx.Err() == nil && !yield(Sample{At: time.Now().UTC()}, err) {
			return
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now, err := a.read(ctx, before)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !yield(Sample{At: time.Now().UTC()}, err) {
					return
				}
				continue
			case before == nil:
				before = now // the first reading that succeeded
				continue
			}
			s := now.since(before)
			before = now
			if cfg.Commands {
				s.Touched = rates.drain(s.Seconds)
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}
