package vendor

import (
	"errors"
	"math/rand/v2"
	"time"
)

// pace holds the times of a Supervisor that do not depend on the vendor's heartbeat.
type pace struct {
	open        time.Duration // a connect may take this long
	first, most time.Duration // pauses between connects
	settled     time.Duration // a connection that lived this long ends the growth of pauses
	throttled   time.Duration // the least pause after Throttled without a time
	spacing     time.Duration // see Traits
}

func defaultPace(t Traits) pace {
	return pace{
		open: 15 * time.Second, first: 200 * time.Millisecond, most: 30 * time.Second, settled: 10 * time.Second,
		throttled: 30 * time.Second, spacing: t.Spacing,
	}
}

// maxRefusals is how often in a row a vendor that has sent prices before may refuse the target
// until the Supervisor gives up. A service that restarts may refuse a good key for a while.
const maxRefusals = 3

// delays are the growing pauses of a Supervisor.
type delays struct{ next, throttled time.Duration }

// after returns the pause after a connection that began at a time and ended with err. An error
// means that there is nothing to wait for.
func (s *Supervisor) after(err error, began time.Time) (wait time.Duration, final error) {
	if time.Since(began) >= s.pace.settled {
		s.delays = delays{}
	}
	d := &s.delays
	d.next = min(max(2*d.next, s.pace.first), s.pace.most)
	wait = d.next/2 + rand.N(d.next/2)
	result := s.metrics.failed
	refusal, isRefused := errors.AsType[*Refused](err)
	throttle, isThrottled := errors.AsType[*Throttled](err)
	switch {
	case isRefused:
		result = s.metrics.refused
		if s.refusals++; !s.worked || s.refusals >= maxRefusals {
			result.Inc()
			return 0, refusal
		}
	case isThrottled && throttle.After > 0:
		result = s.metrics.throttled
		wait = max(wait, throttle.After+rand.N(throttle.After/10+1)) // never earlier
	case isThrottled:
		result = s.metrics.throttled
		d.throttled = min(max(2*d.throttled, s.pace.throttled), max(10*time.Minute, s.pace.throttled))
		wait = max(wait, d.throttled+rand.N(d.throttled/10+1))
	}
	result.Inc()
	wait = max(wait, s.pace.spacing-time.Since(began))
	s.log.Warn("not connected to the vendor, retrying", "err", err, "retry_in", wait.Round(time.Millisecond))
	return wait, nil
}
