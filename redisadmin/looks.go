package redisadmin

import "time"

// How far back Health looks for losses at least, and how close together looks
// are kept: counters say how many there ever were, and only their growth says
// that something is wrong now.
const (
	lookWindow = time.Minute
	lookApart  = time.Second
)

// look is what a node's counters were at a moment.
type look struct {
	at    time.Time
	runID Text // another one: the counters began anew

	evicted, rejected, outputLimit, evictedClients, delayedFsyncs Number
	outOfMemory                                                   Number // commands refused for lack of memory
}

func newLook(info Info, at time.Time) look {
	l := look{at: at}
	if info.Server != nil {
		l.runID = info.Server.RunID
	}
	if s := info.Stats; s != nil {
		l.evicted, l.rejected, l.outputLimit, l.evictedClients = s.EvictedKeys, s.RejectedConnections, s.OutputLimitDisconnects, s.EvictedClients
		l.outOfMemory = Known(info.Errors["OOM"].Or(0)) // not listed before the first
	}
	if p := info.Persistence; p != nil {
		l.delayedFsyncs = p.AOFDelayedFsyncs
	}
	return l
}

// growth is how much the counters grew in the time over.
type growth struct {
	over time.Duration // 0: there was no earlier look, nothing else is known
	look
}

// see keeps the look and returns how far the counters have come since an
// earlier one: the newest that is at least the window old, else the oldest. So
// several callers may look at any pace, and each learns of every loss within
// the window, or since the look before if that is longer ago.
func (a *Admin) see(addr string, now look) growth {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.looks[addr]
	if len(list) > 0 && list[0].runID != now.runID {
		list = nil
	}
	for len(list) > 1 && now.at.Sub(list[1].at) >= a.window {
		list = list[1:]
	}
	var g growth
	if len(list) > 0 {
		was := list[0]
		g = growth{over: now.at.Sub(was.at), look: look{
			evicted: now.evicted.since(was.evicted), rejected: now.rejected.since(was.rejected),
			outputLimit: now.outputLimit.since(was.outputLimit), evictedClients: now.evictedClients.since(was.evictedClients),
			delayedFsyncs: now.delayedFsyncs.since(was.delayedFsyncs), outOfMemory: now.outOfMemory.since(was.outOfMemory),
		}}
	}
	if len(list) == 0 || now.at.Sub(list[len(list)-1].at) >= lookApart {
		list = append(list, now)
	}
	a.looks[addr] = list
	return g
}

// forget drops the looks at nodes that are no longer there.
func (a *Admin) forget(nodes []node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.looks) <= len(nodes) {
		return
	}
	there := map[string]bool{}
	for _, n := range nodes {
		there[n.addr] = true
	}
	for addr := range a.looks {
		if !there[addr] {
			delete(a.looks, addr)
		}
	}
}
