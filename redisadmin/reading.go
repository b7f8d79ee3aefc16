package redisadmin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// reading is what all servers reported at one moment.
type reading struct {
	at        time.Time // monotonic
	servers   map[string]serverReading
	silent    []string
	slow      []SlowEntry
	slowKnown bool // a server offers its slow log
}

type serverReading struct {
	info   Info
	lastID int64 // of the slow log
}

// read asks every server. The first time, before is nil and read only finds the end of each slow
// log.
func (a *Admin) read(ctx context.Context, before *reading) (*reading, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return nil, err
	}
	readings, slow := make([]serverReading, len(servers)), make([][]SlowEntry, len(servers))
	errs := make([]error, len(servers))
	forEach(servers, func(i int, srv server) {
		if readings[i].info, errs[i] = a.info(ctx, srv, "commandstats"); errs[i] != nil {
			return
		}
		limit := maxNewSlow
		if before == nil {
			limit = 1
		}
		list, err := srv.slowLog(ctx, limit)
		if err != nil {
			return // not offered, or the server is gone, which the next reading finds out
		}
		slow[i] = list
	})
	r := &reading{at: time.Now(), servers: map[string]serverReading{}, slow: []SlowEntry{}}
	if r.silent, err = silentServers(servers, errs); err != nil {
		return nil, err
	}
	for i, srv := range servers {
		if errs[i] != nil {
			continue
		}
		last := int64(-1)
		if before != nil {
			old, seen := before.servers[srv.addr]
			if seen && old.info.runID() == readings[i].info.runID() {
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
		r.slowKnown = r.slowKnown || slow[i] != nil
		r.servers[srv.addr] = readings[i]
	}
	return r, nil
}

// since returns the sample between two readings.
func (r *reading) since(before *reading) Sample {
	seconds := max(r.at.Sub(before.at).Seconds(), 1e-3)
	s := Sample{At: r.at.UTC(), Seconds: seconds, Silent: r.silent}
	var ops, in, out, hits, misses Number
	rates := commandRates{rates: map[string]*CommandRate{}, micros: map[string]Number{}}
	for addr, now := range r.servers {
		old, seen := before.servers[addr]
		if !seen {
			continue // it joined the cluster: it counts from the next sample on
		}
		past := old.info
		if now.info.runID() != past.runID() {
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
		rates.add(now.info.Commands, past.Commands)
	}
	s.OpsPerSecond, s.InputBytesPerSecond, s.OutputBytesPerSecond = ops.per(seconds), in.per(seconds), out.per(seconds)
	if ratio, ok := hitRatio(hits, misses); ok {
		s.HitRatio = &ratio
	}
	s.Commands = rates.ranked(seconds)
	if r.slowKnown {
		s.Slow = slices.SortedFunc(slices.Values(r.slow), func(a, b SlowEntry) int { return cmp.Compare(b.Micros, a.Micros) })
		s.Slow = append([]SlowEntry{}, s.Slow[:min(len(s.Slow), maxShownSlow)]...)
	}
	return s
}

// commandRates sums the calls of each command over the servers.
type commandRates struct {
	known  bool // a server reports them
	rates  map[string]*CommandRate
	micros map[string]Number
}

// add adds the calls of one server.
func (c *commandRates) add(now, past map[string]CommandStat) {
	c.known = c.known || now != nil
	for name, stat := range now {
		was, known := past[name]
		if !known { // not called before
			was = CommandStat{Calls: Known(0), Micros: Known(0), Failed: Known(0)}
		}
		calls := stat.Calls.since(was.Calls).Or(0)
		if calls == 0 {
			continue
		}
		rate := c.rates[name]
		if rate == nil {
			rate = &CommandRate{Name: name}
			c.rates[name] = rate
		}
		rate.Calls += calls
		rate.Failed = rate.Failed.add(stat.Failed.since(was.Failed))
		c.micros[name] = c.micros[name].add(stat.Micros.since(was.Micros))
	}
}

// ranked returns the busiest commands of the last seconds first; nil if no server reports them.
func (c *commandRates) ranked(seconds float64) []CommandRate {
	if !c.known {
		return nil
	}
	list := []CommandRate{}
	for _, name := range slices.Sorted(maps.Keys(c.rates)) {
		rate := *c.rates[name]
		rate.PerSecond = float64(rate.Calls) / seconds
		rate.MeanMicros = c.micros[name].per(float64(rate.Calls))
		list = append(list, rate)
	}
	slices.SortStableFunc(list, func(a, b CommandRate) int { return cmp.Compare(b.Calls, a.Calls) })
	return list[:min(len(list), maxShownRates)]
}

// per divides a count by x; nil if the count is unknown.
func (n Number) per(x float64) *float64 {
	count, known := n.Get()
	if !known {
		return nil
	}
	return new(float64(count) / x)
}

// zeroed returns the counters of the same server just after its start.
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

// runID identifies the process that sent the INFO; "" = unknown.
func (i Info) runID() string {
	if i.Server == nil {
		return ""
	}
	return string(i.Server.RunID)
}
