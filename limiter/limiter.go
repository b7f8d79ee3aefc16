// Package limiter limits how much a subject (a user, an address, a token) may
// do, by exact sliding windows that all nodes share through Redis.
//
// A decision covers several tiers at once, say 60 a minute, 1,000 an hour and
// 10,000 a day. It is made by one script in one round trip, by Redis's clock:
//
//   - in no window of a tier's length, wherever it starts, is more than its
//     limit admitted;
//   - a call is refused only if it would exceed the limit in a window longer by
//     at most a sixtieth;
//   - all tiers are charged, or none; refused calls charge nothing;
//   - a tier costs Redis at most 1 KB per subject, for any limit, window and
//     traffic (those three together 1.4 KB), and expires by itself;
//   - the answer says when to try again, and a call made then, with none in
//     between, is admitted.
//
// This holds while Redis keeps the keys and its clock does not go back. If the
// clock goes back, what was counted stays counted, for at most one window from
// then. A key that holds something else is counted as empty, replaced by the
// next charge, and shows in fx_limiter_keys_repaired_total.
//
// If Redis is slow or gone, a decision waits for it at most Config.Timeout;
// then Config.OnRedisDown decides until Redis answers again: in this node's
// memory with the same tiers, which has counted along all the time, or by
// allowing or denying everything. What was admitted then is not told to Redis.
// A call whose answer was lost may have been charged.
//
// On Redis Cluster, decisions over several subjects take one call each, since
// their keys are on different nodes; if one refuses, the others get their
// units back, and may have refused somebody in the meantime.
package limiter

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Policy says who decides while Redis is lost.
type Policy string

const (
	PolicyLocal Policy = "local" // this node's memory, with the same tiers
	PolicyAllow Policy = "allow" // everything is allowed
	PolicyDeny  Policy = "deny"  // everything is refused
)

// Config of a Limiter. Only Redis has no default.
type Config struct {
	// Redis is not closed by the Limiter. If nil, this node's memory decides
	// from the start. A ClusterClient must have ContextTimeoutEnabled, or
	// Timeout does not bound its calls.
	Redis redis.UniversalClient

	OnRedisDown Policy        // default PolicyLocal; one that is not known counts as that
	Timeout     time.Duration // how long a decision may wait for Redis; default 50 ms

	// DryRun allows everything and counts what would have been refused.
	DryRun bool

	Refusals    int           // refusals remembered on this node; default 10,000, below 0 none
	RefusalHold time.Duration // how long one may be remembered; default 1 minute
	LocalSize   int           // windows kept in this node's memory; default 50,000

	// TierNames are the names of tiers that metrics tell apart; others are
	// "other". Default minute, hour, day, publish, check.
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
	offenders *offenders
	metrics   *metrics
	log       *slog.Logger
	policy    Policy
	dryRun    bool
}

// New makes a Limiter. It works without Run, but see there.
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

// Run hands back to Redis after an outage as soon as it answers, until ctx
// ends; its error is always nil. Without it a call now and then has to try,
// and waits for the timeout.
func (l *Limiter) Run(ctx context.Context) error {
	l.breaker.Run(ctx, l.probe)
	return nil
}

// probe tries what decisions need, a write included.
func (l *Limiter) probe(ctx context.Context) error {
	slots := []slot{{windowKey{"probe", MaxLimit, MinWindow.Microseconds()}, newScale(MaxLimit, MinWindow), 1}}
	if _, err := l.redis.decide(ctx, slots, true); err != nil {
		return err
	}
	l.back()
	return nil
}

// Allow decides whether subject may spend cost units of all tiers, and charges
// them if so. It waits for Redis at most the timeout; if ctx ends meanwhile
// the call is still charged. The error, which wraps ErrInvalid, is about the
// arguments only.
func (l *Limiter) Allow(ctx context.Context, subject string, cost int64, tiers ...Limit) (Decision, error) {
	return l.decide(ctx, true, subject, cost, tiers)
}

// Peek says what Allow would, and charges nothing.
func (l *Limiter) Peek(ctx context.Context, subject string, cost int64, tiers ...Limit) (Decision, error) {
	return l.decide(ctx, false, subject, cost, tiers)
}

// decide is the path of every decision:
//
//	newPlan             check, canonical subject, every window once
//	* refusals.answer    was refused a moment ago: no need to ask
//	* redisStore.decide one EVALSHA, bounded
//	* undecided         Redis is lost: memory or policy
//	finish              counts, offenders, dry run
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

// deniedFor is the retry-after of calls that the policy deny refuses.
const deniedFor = time.Second

// undecided decides without Redis.
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

// finish counts the decision and applies the dry run.
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
	l.metrics.failures[redislink.FailureOf(err)].Inc()
	if l.breaker.Fail() {
		l.log.Warn("limiter: Redis is lost", "policy", string(l.policy), "err", err)
	}
}

func (l *Limiter) back() {
	if l.breaker.Succeed() {
		l.log.Info("limiter: Redis is back")
	}
}

// Lost reports whether Redis is lost to this node's limiter.
func (l *Limiter) Lost() bool { return l.breaker.Lost() }

// Reset forgets what a subject was charged: all of it, or that of the given
// tiers. Without tiers it searches all keys of the Redis node, which takes
// time: it is meant for operators. Other nodes may refuse from memory for up
// to Config.RefusalHold more.
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

// TopOffenders returns at most n subjects that were refused most often by this
// node, most first. n is at most 100.
func (l *Limiter) TopOffenders(n int) []Offender { return l.offenders.top(n) }
