// Package limiter limits the rate of a subject (a user, an address, a token) by exact sliding
// windows that all nodes share through Redis.
//
// A decision covers several tiers at once, such as 60 per minute, 1,000 per hour and 10,000 per
// day. One script makes it, in one round trip and by Redis's clock:
//
//   - No window of a tier's length, wherever it starts, admits more than the limit.
//   - A call is refused only if it would exceed the limit in a window that is longer by at most a
//     sixtieth.
//   - All tiers are charged, or none. A refused call charges nothing.
//   - A tier takes at most 1 KB of Redis per subject, for any limit, window and traffic (the three
//     tiers above take 1.4 KB together), and expires automatically.
//   - The decision says when to retry. A call made then is admitted if nothing else was charged.
//
// This holds while Redis keeps the keys and its clock does not go back. If the clock goes back,
// earlier charges stay counted for at most one window from then. A key that does not hold a window
// counts as empty, and the next charge replaces it; fx_limiter_keys_repaired_total counts such
// keys.
//
// If Redis is slow or down, a decision waits for at most Config.Timeout. From then on
// Config.OnRedisDown decides until Redis answers again. This node's memory can decide, with the
// same tiers and with all that it has admitted so far. Or everything is allowed, or everything is
// denied. Redis does not learn what was admitted meanwhile. A call whose reply was lost may have
// been charged.
package limiter

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Policy decides calls while Redis is lost.
type Policy string

const (
	PolicyLocal Policy = "local" // this node's memory, with the same tiers
	PolicyAllow Policy = "allow" // everything is allowed
	PolicyDeny  Policy = "deny"  // everything is refused
)

// Config configures a Limiter. Only Redis has no default.
type Config struct {
	// Redis is not closed by the Limiter. If it is nil, this node's memory decides every call.
	// A ClusterClient must have ContextTimeoutEnabled set, or Timeout does not bound its calls.
	Redis redis.UniversalClient

	OnRedisDown Policy        // default PolicyLocal, also for an unknown one
	Timeout     time.Duration // the longest wait for Redis; default 50 ms

	// DryRun allows every call and counts those that would have been refused.
	DryRun bool

	Refusals    int           // refusals that this node remembers; default 10,000, none if negative
	RefusalHold time.Duration // the longest that one is remembered; default 1 minute
	LocalSize   int           // windows in this node's memory; default 50,000

	// TierNames are the tiers that have a metric label of their own; all others share "other".
	// The default is minute, hour, day, publish and check.
	TierNames []string

	Registerer prometheus.Registerer // may be nil
	Logger     *slog.Logger          // may be nil
}

// Limiter decides calls. It is safe for concurrent use.
type Limiter struct {
	redis     *redisStore // nil: memory only
	local     *memoryStore
	refusals  *refusals
	breaker   *redislink.Breaker
	refusal   atomic.Value // string: for which reason Redis refused last in this outage
	offenders *offenders
	metrics   *metrics
	log       *slog.Logger
	policy    Policy
	dryRun    bool
}

// New returns a Limiter. It works without Run, but see there.
func New(c Config) *Limiter {
	if c.Timeout <= 0 {
		c.Timeout = 50 * time.Millisecond
	}
	if c.Refusals == 0 {
		c.Refusals = 10_000
	}
	if c.RefusalHold <= 0 {
		c.RefusalHold = time.Minute
	}
	if c.LocalSize <= 0 {
		c.LocalSize = 50_000
	}
	if c.OnRedisDown != PolicyAllow && c.OnRedisDown != PolicyDeny {
		c.OnRedisDown = PolicyLocal
	}
	if c.TierNames == nil {
		c.TierNames = []string{"minute", "hour", "day", "publish", "check"}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Limiter{
		local: newMemoryStore(c.LocalSize), refusals: newRefusals(c.Refusals, c.RefusalHold), breaker: redislink.NewBreaker(),
		offenders: newOffenders(), log: c.Logger, policy: c.OnRedisDown, dryRun: c.DryRun,
	}
	if c.Redis != nil {
		l.redis = newRedisStore(c.Redis, c.Timeout)
	}
	l.metrics = newMetrics(c.Registerer, c.TierNames, l)
	return l
}

// Run probes Redis while it is lost, and lets it decide again as soon as it answers. It returns nil
// when ctx has ended and no round trip is under way. Without Run, a call now and then probes Redis
// and may wait for the timeout.
func (l *Limiter) Run(ctx context.Context) error {
	if l.redis != nil {
		l.redis.warm(ctx)
		defer l.redis.calls.wait()
	}
	l.breaker.Run(ctx, l.probe)
	return nil
}

// probe makes a decision, which includes a write, as calls need it.
func (l *Limiter) probe(ctx context.Context) error {
	l.redis.warm(ctx)
	slots := []slot{{windowKey{"probe", MaxLimit, MinWindow.Microseconds()}, newScale(MaxLimit, MinWindow), 1}}
	_, err := l.redis.decide(ctx, slots, true)
	if err != nil {
		l.warn(err, false)
		return err
	}
	l.back()
	return nil
}

// Allow decides whether subject may spend cost units of each tier, and charges all tiers if so. It
// waits for Redis for at most Config.Timeout; the end of ctx neither shortens the wait nor prevents
// the charge. An error means invalid arguments only, and wraps ErrInvalid.
func (l *Limiter) Allow(ctx context.Context, subject string, cost int64, tiers ...Limit) (Decision, error) {
	return l.decide(ctx, true, subject, cost, tiers)
}

// Local returns a limiter that decides by this node's memory alone, as l does while Redis is lost. It
// has windows of its own and no metrics.
func (l *Limiter) Local() *Limiter {
	return New(Config{DryRun: l.dryRun, LocalSize: l.local.max, Logger: l.log})
}

// Remembered returns the refusal of such a call that this node remembers and that still holds, and
// counts it as Allow does. It never asks Redis: without a refusal, refused is false and nothing is
// decided.
func (l *Limiter) Remembered(subject string, cost int64, tiers ...Limit) (d Decision, refused bool) {
	if l.dryRun || l.breaker.Lost() {
		return Decision{}, false
	}
	p, err := newPlan(subject, cost, tiers)
	if err != nil {
		return Decision{}, false
	}
	if l.redis == nil {
		o := l.local.decide(p.slots, false)
		d, refused = p.decision(false, FromLocal, o.verdicts), !o.allowed
	} else if verdicts, ok := l.refusals.answer(p, time.Now()); ok {
		d, refused = p.decision(false, FromRefusal, verdicts), true
	}
	if !refused {
		return Decision{}, false
	}
	l.finish(p, &d)
	return d, true
}

// Peek returns the decision that Allow would make, and charges nothing.
func (l *Limiter) Peek(ctx context.Context, subject string, cost int64, tiers ...Limit) (Decision, error) {
	return l.decide(ctx, false, subject, cost, tiers)
}

// decide makes every decision:
//
//	newPlan              validate, canonicalize the subject, merge equal tiers
//	* refusals.answer    a remembered refusal holds: Redis is not asked
//	* redisStore.decide  one EVALSHA with a deadline
//	* undecided          Redis is lost: memory or policy
//	finish               metrics, offenders, dry run
func (l *Limiter) decide(ctx context.Context, charge bool, subject string, cost int64, tiers []Limit) (Decision, error) {
	p, err := newPlan(subject, cost, tiers)
	if err != nil {
		return Decision{}, err
	}
	d := l.ask(ctx, p, charge)
	if charge {
		l.finish(p, &d)
	}
	return d, nil
}

func (l *Limiter) ask(ctx context.Context, p *plan, charge bool) Decision {
	if l.redis == nil {
		o := l.local.decide(p.slots, charge)
		return p.decision(o.allowed, FromLocal, o.verdicts)
	}
	if !l.breaker.Allow() {
		return l.undecided(p, charge)
	}
	start := time.Now()
	if charge {
		if verdicts, ok := l.refusals.answer(p, start); ok {
			return p.decision(false, FromRefusal, verdicts)
		}
	}
	o, err := l.redis.decide(ctx, p.slots, charge)
	l.metrics.seconds.Observe(time.Since(start).Seconds())
	if err != nil {
		l.gone(err)
		return l.undecided(p, charge)
	}
	l.back()
	l.metrics.keys(o)
	switch {
	case charge && o.allowed:
		l.local.record(p.slots)
		l.refusals.admitted(p)
	case charge:
		l.refusals.remember(p, o.verdicts, start)
	}
	return p.decision(o.allowed, FromRedis, o.verdicts)
}

// deniedFor is the retry-after of calls that PolicyDeny refuses.
const deniedFor = time.Second

// undecided decides by the policy, without Redis.
func (l *Limiter) undecided(p *plan, charge bool) Decision {
	if l.policy == PolicyLocal {
		o := l.local.decide(p.slots, charge)
		return p.decision(o.allowed, FromLocal, o.verdicts)
	}
	verdicts := make([]verdict, len(p.slots))
	for i := range verdicts {
		if l.policy == PolicyAllow {
			verdicts[i].remaining = p.slots[i].scale.limit
		} else {
			verdicts[i].reset, verdicts[i].retry = deniedFor.Microseconds(), deniedFor.Microseconds()
		}
	}
	return p.decision(l.policy == PolicyAllow, FromPolicy, verdicts)
}

// finish counts the decision and applies Config.DryRun.
func (l *Limiter) finish(p *plan, d *Decision) {
	if !d.Allowed {
		if d.Source != FromPolicy {
			l.offenders.add(p.slots[0].subject)
		}
		if l.dryRun {
			d.Allowed, d.WouldRefuse = true, true
		}
	}
	l.metrics.decided(d)
}

func (l *Limiter) gone(err error) {
	l.metrics.failed(redislink.FailureOf(err))
	l.warn(err, l.breaker.Fail())
}

// warn logs the begin of an outage, and each new reason for which a Redis that answers refuses.
func (l *Limiter) warn(err error, began bool) {
	refusal := redislink.Trouble(err)
	switch {
	case refusal == "" && began:
		l.log.Warn("limiter: Redis is lost", "policy", string(l.policy), "err", err)
	case refusal != "" && l.refusal.Swap(refusal) != refusal:
		l.log.Warn("limiter: Redis refuses to count", "reason", refusal, "policy", string(l.policy), "err", err)
	}
}

func (l *Limiter) back() {
	if l.breaker.Succeed() {
		l.refusal.Store("")
		l.log.Info("limiter: Redis decides again")
	}
}

// Lost reports whether this node's limiter has lost Redis.
func (l *Limiter) Lost() bool { return l.breaker.Lost() }

// Reset clears the windows of a subject: those of the given tiers, or all if there are none.
// Without tiers it scans all keys of a Redis node, which takes time; that is meant for operators.
// Other nodes may apply remembered refusals for up to Config.RefusalHold.
func (l *Limiter) Reset(ctx context.Context, subject string, tiers ...Limit) error {
	canonical, err := canonicalSubject(subject)
	if err != nil {
		return err
	}
	var keys []string
	for _, t := range tiers {
		if err := t.Validate(); err != nil {
			return err
		}
		keys = append(keys, windowKey{canonical, min(t.Max, MaxLimit), t.Window.Microseconds()}.redisKey())
	}
	if l.redis != nil {
		if err := l.redis.reset(ctx, canonical, keys); err != nil {
			return fmt.Errorf("limiter: reset: %w", err)
		}
	}
	l.refusals.forget(canonical)
	l.local.reset(canonical)
	return nil
}

// TopOffenders returns the n subjects that this node refused most often, the most refused first. It
// returns fewer if there are fewer, and at most 100.
func (l *Limiter) TopOffenders(n int) []Offender { return l.offenders.top(n) }
