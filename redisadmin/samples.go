package redisadmin

import "time"

// A counter holds a total since the start of the server. Only its growth shows that something is
// wrong now, so Health keeps earlier values of the counters.
const (
	sampleWindow  = time.Minute // Health looks back at least this far
	sampleSpacing = time.Second // at least this much time lies between two samples
)

// counters are the counters of one server at one moment.
type counters struct {
	at    time.Time
	runID Text // with another run ID the counters started from 0 again

	evicted, rejected, outputLimit, evictedClients, delayedFsyncs Number
	outOfMemory                                                   Number // commands refused for lack of memory
}

func newCounters(info Info, at time.Time) counters {
	c := counters{at: at}
	if info.Server != nil {
		c.runID = info.Server.RunID
	}
	if s := info.Stats; s != nil {
		c.evicted, c.rejected = s.EvictedKeys, s.RejectedConnections
		c.outputLimit, c.evictedClients = s.OutputLimitDisconnects, s.EvictedClients
		c.outOfMemory = Known(info.Errors["OOM"].Or(0)) // the server lists it from the first one on
	}
	if p := info.Persistence; p != nil {
		c.delayedFsyncs = p.AOFDelayedFsyncs
	}
	return c
}

// growth is how much each counter grew during the time over.
type growth struct {
	over time.Duration // 0: there was no earlier sample, and the counters are unknown
	counters
}

// record keeps a sample and returns the growth since an earlier one: the newest that is at least
// the window old, or else the oldest. Several callers may call Health at any pace. Each of them
// sees every loss within the window, or since the previous sample if that is older.
func (a *Admin) record(addr string, now counters) growth {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.samples[addr]
	if len(list) > 0 && list[0].runID != now.runID {
		list = nil
	}
	for len(list) > 1 && now.at.Sub(list[1].at) >= a.window {
		list = list[1:]
	}
	var g growth
	if len(list) > 0 {
		was := list[0]
		g = growth{over: now.at.Sub(was.at), counters: counters{
			evicted: now.evicted.since(was.evicted), rejected: now.rejected.since(was.rejected),
			outputLimit: now.outputLimit.since(was.outputLimit), evictedClients: now.evictedClients.since(was.evictedClients),
			delayedFsyncs: now.delayedFsyncs.since(was.delayedFsyncs), outOfMemory: now.outOfMemory.since(was.outOfMemory),
		}}
	}
	if len(list) == 0 || now.at.Sub(list[len(list)-1].at) >= sampleSpacing {
		list = append(list, now)
	}
	a.samples[addr] = list
	return g
}

// forgetSamples drops the samples of servers that have left the cluster.
func (a *Admin) forgetSamples(servers []server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.samples) <= len(servers) {
		return
	}
	present := map[string]bool{}
	for _, srv := range servers {
		present[srv.addr] = true
	}
	for addr := range a.samples {
		if !present[addr] {
			delete(a.samples, addr)
		}
	}
}
