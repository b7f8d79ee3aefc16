package limiter

import "time"

// Source says who made a decision.
type Source string

const (
	FromRedis   Source = "redis"  // Redis: the limit over all nodes
	FromLocal   Source = "local"  // this node's memory, because Redis is lost: the limit of this node
	FromRefusal Source = "front"  // this node's memory of a refusal by Redis that still holds
	FromPolicy  Source = "policy" // nobody counted: Redis is lost and the policy is allow or deny
)

var sources = [...]Source{FromRedis, FromLocal, FromRefusal, FromPolicy}

// TierState is how one tier stands. All times are from the moment of the
// decision.
type TierState struct {
	Limit
	Remaining int64 // units free, after the charge if there was one

	// Reset is when one more unit becomes free, 0 if all are.
	Reset time.Duration

	// RetryAfter is when the cost fits this tier, if nothing else is charged
	// in between; 0 if it fits now.
	RetryAfter time.Duration

	// Never is set if the cost is above the limit and so never fits.
	Never bool
}

// Refused reports whether this tier refuses the call.
func (s TierState) Refused() bool { return s.Never || s.RetryAfter > 0 }

// Decision is the answer to a call. It is the caller's to keep.
type Decision struct {
	Allowed bool
	Source  Source
	Tiers   []TierState // in the order asked

	// WouldRefuse is set in dry-run mode, together with Allowed, if the call
	// would have been refused. Nothing was charged then.
	WouldRefuse bool
}

// RetryAfter is how long to wait before the same call is allowed, if nothing
// else is charged in between: 0 if it was allowed. It is not ok if the cost
// can never fit.
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

// Violated returns the names of the tiers that refuse the call, without
// repetition.
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

// decision puts the verdicts of p's slots into words.
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
