package accept

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Lease lets one of several processes work, while the others stand by. A process that ends gives
// the lease back at once. A process that is killed, or that loses Redis, has it for 3 s longer, and
// stops working before these are over.
type Lease struct {
	leader *leader
	log    *slog.Logger
}

// NewLease returns a lease that a key in Redis stands for. process names this process in that key.
func NewLease(client redis.UniversalClient, key, process string, logger *slog.Logger) *Lease {
	return &Lease{newLeader(redislink.Once(client), key, process), cmp.Or(logger, slog.New(slog.DiscardHandler))}
}

// Hold waits for the lease and calls work with a context that ends with the lease. If work returns
// because of that, Hold waits for the lease again. Otherwise it returns what work has returned. It
// returns nil when ctx ends.
//
//	Hold       waits for the lease, then calls work     (the caller's goroutine)
//	* renew    keeps the lease, or ends work            (1 goroutine while work runs)
func (l *Lease) Hold(ctx context.Context, work func(ctx context.Context) error) error {
	for ctx.Err() == nil {
		if !l.acquire(ctx) {
			return nil
		}
		held, lose := context.WithCancelCause(ctx)
		var renewing sync.WaitGroup
		renewing.Go(func() { l.renew(held, lose) })
		err := work(held)
		lost := context.Cause(held)
		lose(nil)
		renewing.Wait()
		if err := l.leader.resign(context.WithoutCancel(ctx)); err != nil {
			l.log.Warn("the lease was not given back; it expires after a while", "err", err)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case lost == nil:
			return err
		}
		l.log.Warn("the lease is lost, standing by", "err", lost)
	}
	return nil
}

// acquire waits for the lease. It returns false when ctx ends.
func (l *Lease) acquire(ctx context.Context) bool {
	failing, waiting := false, false
	for {
		err := l.leader.elect(ctx)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case errors.Is(err, errAnotherLeader):
			if !waiting {
				l.log.Info("standing by: another process has the lease", "key", l.leader.key)
			}
			waiting, failing = true, false
		case !failing:
			failing = true
			l.log.Warn("the lease cannot be taken, retrying", "err", redislink.Unavailable("", err))
		}
		if !redislink.Sleep(ctx, leaderPoll*3/4+rand.N(leaderPoll/2)) {
			return false
		}
	}
}

// renew keeps the lease until ctx ends. When the lease is lost, or may be, it calls lose.
func (l *Lease) renew(ctx context.Context, lose context.CancelCauseFunc) {
	for redislink.Sleep(ctx, leaderRenew) {
		err := l.leader.renew(ctx)
		if ctx.Err() == nil && err != nil && (errors.Is(err, errNotLeader) || !l.leader.certain()) {
			lose(err)
			return
		}
	}
}
