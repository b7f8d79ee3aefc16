package limiter

import "time"

// Source names the part that made a decision.
type Source string

const (
	FromRedis   Source = "redis"  // Redis, which counts over all nodes
	FromLocal   Source = "local"  // this node's memory, which counts this node only, because Redis is lost
	FromRefusal Source = "front"  // a refusal by Redis that this node remembers and that still holds
	FromPolicy  Source = "policy" // the policy allow or deny, without counting, because Redis is lost
)

var sources = [...]Source{FromRedis, FromLocal, FromRefusal, FromPolicy}

// TierState is the state of one tier. All times count from the moment of the decision.
type TierState struct {
	Limit
	Remaining int64 // free units, after the charge if one was made

	// Reset is the time until one more unit becomes free, or 0 if all are free.
	Reset time.Duration

	// RetryAfter is the time until the cost fits this tier if nothing else is charged before,
	// or 0 if it fits now.
	RetryAfter time.Duration

	// Never is set if the cost exceeds the limit, so that it never fits.
	Never bool
}

// Refused reports whether this tier refuses the call.
func (s TierState) Refused() bool { return s.Never || s.RetryAfter > 0 }

// Decision is the result of a call. The caller owns it.
type Decision struct {
	Allowed bool
	Source  Source
	Tiers   []TierState // in the order of the call

	// WouldRefuse is set, together with Allowed, if only the dry run kept the call from being
	// refused. Nothing was charged then.
	WouldRefuse bool
}

// RetryAfter returns the time until the same call is allowed if nothing else is charged before. It
// is 0 if the call was allowed. ok is false if the cost can never fit.
func (d Decision) RetryAfter() (wait time.Duration, ok bool) {
	if d.Allowed {
		return 0, true
	}
	for _, t := range d.Tiers {
		if t.Never {
			return 0, false
		}
		wait = max(wait, t.RetryAfter)
	}
	return wait, true
}

// Violated returns the labels of the tiers that refuse the call, each once.
func (d Decision) Violated() []string {
	names := []string{}
	for i, t := range d.Tiers {
		if t.Refused() && !refusedBefore(d.Tiers[:i], t.Label()) {
			names = append(names, t.Label())
		}
	}
	return names
}

func refusedBefore(tiers []TierState, name string) bool {
	for _, t := range tiers {
		if t.Refused() && t.Label() == name {
			return true
		}
	}
	return false
}

// decision returns the Decision that follows from the verdicts on p's slots.
func (p *plan) decision(allowed bool, source Source, verdicts []verdict) Decision {
	d := Decision{Allowed: allowed, Source: source, Tiers: make([]TierState, len(p.tiers))}
	for i, l := range p.tiers {
		v := verdicts[p.slotOf[i]]
		d.Tiers[i] = TierState{
			Limit: l, Remaining: max(v.remaining, 0),
			Reset: time.Duration(v.reset) * time.Microsecond,
		}
		if v.retry == never {
			d.Tiers[i].Never = true
		} else {
			d.Tiers[i].RetryAfter = time.Duration(v.retry) * time.Microsecond
		}
	}
	return d
}
