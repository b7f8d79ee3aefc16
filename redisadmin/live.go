package redisadmin

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"time"
)

const (
	watchTimeout  = 3 * time.Second // of one reading
	maxNewSlow    = 128             // slow commands of one reading, per node
	maxShownSlow  = 20
	maxShownRates = 50
	minWatchEvery = 100 * time.Millisecond
)

// Sample is what happened since the sample before. Of a cluster, numbers are
// sums over the masters.
type Sample struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"` // since the one before

	OpsPerSecond         *float64 `json:"ops_per_second"` // commands, with those of this watch
	InputBytesPerSecond  *float64 `json:"input_bytes_per_second"`
	OutputBytesPerSecond *float64 `json:"output_bytes_per_second"`
	HitRatio             *float64 `json:"hit_ratio"` // of these look-ups; null without any
	Evicted              Number   `json:"evicted"`   // keys, since the sample before
	Expired              Number   `json:"expired"`
	Clients              Number   `json:"clients"` // now
	Blocked              Number   `json:"blocked"`
	UsedBytes            Number   `json:"used_bytes"`
	MaxBytes             Number   `json:"max_bytes"`        // 0 = no limit
	Restarted            bool     `json:"restarted"`        // a server is another process than before
	Silent               []string `json:"silent,omitempty"` // nodes that do not answer: sums are without them

	Commands []CommandRate `json:"commands"` // busiest first; nil = not told
	Slow     []SlowEntry   `json:"slow"`     // new in the slow log, slowest first; nil = not told

	Touched *Touched `json:"touched,omitempty"` // with WatchConfig.Commands
}

// CommandRate is one command's share of a Sample.
type CommandRate struct {
	Name       string   `json:"name"` // lower case; "config|get" for a subcommand
	Calls      int64    `json:"calls"`
	PerSecond  float64  `json:"per_second"`
	MeanMicros *float64 `json:"mean_us"` // nil = not told
	Failed     Number   `json:"failed"`  // begun, and answered with an error
}

// WatchConfig says how Watch looks.
type WatchConfig struct {
	Every time.Duration // between samples; at least 100 ms, 0 = 1 s

	// Commands tells which keys are touched. It uses MONITOR: see Admin.Commands
	// for what that costs.
	Commands bool
}

// Watch yields a sample every so often until ctx ends or the caller stops. It
// asks INFO and SLOWLOG GET each time and the first time at once; what it
// yields first covers the time from then on. With an error, which is
// ErrUnavailable when no node answers, there is no sample, and the next one covers the whole time:
// Watch goes on when the server is back.
func (a *Admin) Watch(ctx context.Context, cfg WatchConfig) iter.Seq2[Sample, error] {
	every := max(cfg.Every, minWatchEvery)
	if cfg.Every == 0 {
		every = time.Second
	}
	return func(yield func(Sample, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		t := newTally()
		if cfg.Commands {
			stop := t.follow(ctx, a)
			defer stop()
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
				before = now // the first one that was answered
				continue
			}
			s := now.since(before)
			before = now
			if cfg.Commands {
				s.Touched = t.take(s.Seconds)
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// A reading is what all nodes said at one moment.
type reading struct {
	at     time.Time // monotonic
	nodes  map[string]nodeReading
	silent []string
	slow   []SlowEntry
	told   bool // the slow log was
}

type nodeReading struct {
	info   Info
	lastID int64 // of the slow log
}

// read asks every node. before is nil the first time: the slow log is then
// only looked at for where it ends.
func (a *Admin) read(ctx context.Context, before *reading) (*reading, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return nil, err
	}
	readings, slow := make([]nodeReading, len(nodes)), make([][]SlowEntry, len(nodes))
	faults := make([]error, len(nodes))
	each(nodes, func(i int, n node) {
		if readings[i].info, faults[i] = a.info(ctx, n, "commandstats"); faults[i] != nil {
			return
		}
		limit := maxNewSlow
		if before == nil {
			limit = 1
		}
		list, err := n.slowLog(ctx, limit)
		if err != nil {
			return // not offered, or gone: the next reading says so
		}
		slow[i] = list
	})
	r := &reading{at: time.Now(), nodes: map[string]nodeReading{}, slow: []SlowEntry{}}
	if r.silent, err = silent(nodes, faults); err != nil {
		return nil, err
	}
	for i, n := range nodes {
		if faults[i] != nil {
			continue
		}
		last := int64(-1)
		if before != nil {
			old, seen := before.nodes[n.addr]
			if seen && processOf(old.info) == processOf(readings[i].info) {
				last = old.lastID
			}
		}
		readings[i].lastID = last
		for _, entry := range slow[i] {
			if entry.ID > last && before != nil {
				r.slow = append(r.slow, entry)
			}
			readings[i].lastID = max(readings[i].lastID, entry.ID)
		}
		r.told = r.told || slow[i] != nil
		r.nodes[n.addr] = readings[i]
	}
	return r, nil
}

// since makes the sample between two readings.
func (r *reading) since(before *reading) Sample {
	seconds := max(r.at.Sub(before.at).Seconds(), 1e-3)
	s := Sample{At: r.at.UTC(), Seconds: seconds, Silent: r.silent}
	var ops, in, out, hits, misses Number
	rates := map[string]*CommandRate{}
	micros := map[string]Number{}
	told := false
	for addr, now := range r.nodes {
		old, seen := before.nodes[addr]
		if !seen {
			continue // of a cluster that grew: from the next sample on
		}
		past := old.info
		if processOf(now.info) != processOf(past) {
			s.Restarted = true
			past = now.info.zeroed()
		}
		if c := now.info.Clients; c != nil {
			s.Clients, s.Blocked = s.Clients.add(c.Connected), s.Blocked.add(c.Blocked)
		}
		if m := now.info.Memory; m != nil {
			s.UsedBytes, s.MaxBytes = s.UsedBytes.add(m.UsedBytes), s.MaxBytes.add(m.MaxBytes)
		}
		if n, p := now.info.Stats, past.Stats; n != nil && p != nil {
			ops = ops.add(n.CommandsProcessed.since(p.CommandsProcessed))
			in = in.add(n.InputBytes.since(p.InputBytes))
			out = out.add(n.OutputBytes.since(p.OutputBytes))
			hits, misses = hits.add(n.Hits.since(p.Hits)), misses.add(n.Misses.since(p.Misses))
			s.Evicted = s.Evicted.add(n.EvictedKeys.since(p.EvictedKeys))
			s.Expired = s.Expired.add(n.ExpiredKeys.since(p.ExpiredKeys))
		}
		told = told || now.info.Commands != nil
		for name, stat := range now.info.Commands {
			was, known := past.Commands[name]
			if !known { // not called before
				was = CommandStat{Calls: Known(0), Micros: Known(0), Failed: Known(0)}
			}
			calls := stat.Calls.since(was.Calls).Or(0)
			if calls == 0 {
				continue
			}
			rate := rates[name]
			if rate == nil {
				rate = &CommandRate{Name: name}
				rates[name] = rate
			}
			rate.Calls += calls
			rate.Failed = rate.Failed.add(stat.Failed.since(was.Failed))
			micros[name] = micros[name].add(stat.Micros.since(was.Micros))
		}
	}
	s.OpsPerSecond, s.InputBytesPerSecond, s.OutputBytesPerSecond = ops.per(seconds), in.per(seconds), out.per(seconds)
	if ratio, ok := hitRatio(hits, misses); ok {
		s.HitRatio = &ratio
	}
	if told {
		s.Commands = rankRates(rates, micros, seconds)
	}
	if r.told {
		s.Slow = slices.SortedFunc(slices.Values(r.slow), func(a, b SlowEntry) int { return cmp.Compare(b.Micros, a.Micros) })
		s.Slow = append([]SlowEntry{}, s.Slow[:min(len(s.Slow), maxShownSlow)]...)
	}
	return s
}

// rankRates orders by how often they were called.
func rankRates(rates map[string]*CommandRate, micros map[string]Number, seconds float64) []CommandRate {
	list := []CommandRate{}
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		rate := *rates[name]
		rate.PerSecond = float64(rate.Calls) / seconds
		rate.MeanMicros = micros[name].per(float64(rate.Calls))
		list = append(list, rate)
	}
	slices.SortStableFunc(list, func(a, b CommandRate) int { return cmp.Compare(b.Calls, a.Calls) })
	return list[:min(len(list), maxShownRates)]
}

// per returns a count by x, nil if it is unknown.
func (n Number) per(x float64) *float64 {
	count, known := n.Get()
	if !known {
		return nil
	}
	return new(float64(count) / x)
}

// zeroed is what a server that has just started would have said: the counters
// that it tells are 0.
func (i Info) zeroed() Info {
	z := Info{Server: i.Server, Commands: map[string]CommandStat{}}
	if i.Stats != nil {
		z.Stats = &StatsInfo{
			CommandsProcessed: Known(0), InputBytes: Known(0), OutputBytes: Known(0), Hits: Known(0), Misses: Known(0),
			EvictedKeys: Known(0), ExpiredKeys: Known(0),
		}
	}
	return z
}

// processOf names the life of the process that answered; "" = not told.
func processOf(i Info) string {
	if i.Server == nil {
		return ""
	}
	return string(i.Server.RunID)
}
