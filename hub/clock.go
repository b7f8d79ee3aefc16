package hub

import (
	"math"
	"sync"
	"time"
)

// redisWait is how long after an instant its frame is sent: ticks accepted before the instant have
// arrived by then, unless a message took this much longer than the fastest of late. Clients are
// promised 50 ms; the rest is for writing to them.
const redisWait = 40 * time.Millisecond

// A redisClock estimates the clock that stamps the acceptance of ticks from the stamps themselves.
// The tick that arrived fastest of late shows the clock best: any other was longer on its way, and
// its stamp lags further behind. A clock that went back is noticed after one or two spans.
type redisClock struct {
	mu    sync.Mutex // guards the fields below; nothing is called under it
	begun time.Duration
	last  time.Duration // lead within the span before begun
	lead  time.Duration // greatest difference of stamp and arrival since begun
	known bool
}

// clockSpan is how long the fastest tick counts at least; for twice as long at most.
const clockSpan = 5 * time.Second

// none is the lead of a span without ticks.
const none = time.Duration(math.MinInt64)

// observe learns from a tick with stamp at, in Unix microseconds, that arrives now.
func (c *redisClock) observe(at int64, now time.Duration) {
	lead := microseconds(at) - now
	c.mu.Lock()
	defer c.mu.Unlock()
	switch age := now - c.begun; {
	case !c.known || age >= 2*clockSpan:
		c.known, c.begun, c.last, c.lead = true, now, none, lead
	case age >= clockSpan:
		c.begun, c.last, c.lead = now, c.lead, lead
	default:
		c.lead = max(c.lead, lead)
	}
}

// ahead returns what the clock shows when the hub's clock shows 0. Before the first tick it is as
// this machine's clock.
func (c *redisClock) ahead(start time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return microseconds(start.UnixMicro())
	}
	return max(c.last, c.lead)
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
