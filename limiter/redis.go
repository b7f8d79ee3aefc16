package limiter

import (
	"context"
	_ "embed"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

//go:embed window.lua
var windowSource string

var windowScript = redis.NewScript(windowSource)

// redisStore keeps each window in Redis, as one string.
type redisStore struct {
	client  redis.UniversalClient
	timeout time.Duration // of one decision, including dialing and retries
	calls   *batcher
}

func newRedisStore(client redis.UniversalClient, timeout time.Duration) *redisStore {
	s := &redisStore{client: redislink.Once(redislink.Bounded(client, timeout)), timeout: timeout}
	s.calls = newBatcher(s.exec, timeout)
	return s
}

// outcome is the result of a decision.
type outcome struct {
	allowed  bool
	verdicts []verdict // one per slot
	now      int64     // time of Redis's clock in microseconds
	damaged  int64     // keys that did not hold a window
	wentBack int64     // keys that were ahead of Redis's clock
}

// decide decides the slots in one round trip, which concurrent calls share. If charge is set, it
// charges all slots or none. It returns within the store's timeout.
func (s *redisStore) decide(ctx context.Context, slots []slot, charge bool) (outcome, error) {
	// A client that disconnects during the decision is charged all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	c := newCall(slots, charge)
	if err := s.calls.do(ctx, c); err != nil {
		return outcome{}, err
	}
	reply, err := c.cmd.Slice()
	if err != nil {
		return outcome{}, err
	}
	return readOutcome(reply, len(slots))
}

// warm opens the connections that concurrent round trips need, and loads the script. That takes
// several round trips, for which a call has no time if Redis is far away. A failure needs no report:
// the calls meet it too.
func (s *redisStore) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	masters, err := redislink.TopologyOf(s.client).Masters(ctx)
	if err != nil {
		return
	}
	var loads sync.WaitGroup
	for _, master := range masters {
		for range maxFlights {
			loads.Go(func() {
				pipe := master.Pipeline()
				pipe.ScriptLoad(ctx, windowSource)
				_ = redislink.Exec(ctx, pipe)
			})
		}
	}
	loads.Wait()
}

// exec sends calls in one pipeline, a single call too: pipelines may have connections of their own,
// and those are the ones that warm has opened.
func (s *redisStore) exec(ctx context.Context, calls []*call) {
	send := func(calls []*call) (unknown []*call) {
		pipe := s.client.Pipeline()
		for _, c := range calls {
			c.cmd = windowScript.EvalSha(ctx, pipe, c.keys, c.args...)
		}
		_ = redislink.Exec(ctx, pipe) // each command has its own error
		for _, c := range calls {
			if err := c.cmd.Err(); err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
				unknown = append(unknown, c)
			}
		}
		return unknown
	}
	if unknown := send(calls); len(unknown) > 0 { // Redis ran none of these
		first := unknown[0]
		first.cmd = windowScript.Eval(ctx, s.client, first.keys, first.args...)
		if first.cmd.Err() == nil && len(unknown) > 1 {
			send(unknown[1:])
		}
	}
}

var errBadReply = errors.New("the limiter's script returned a malformed reply")

func readOutcome(reply []any, slots int) (outcome, error) {
	if len(reply) != 4+3*slots {
		return outcome{}, errBadReply
	}
	number := func(i int) int64 {
		n, _ := reply[i].(int64)
		return n
	}
	o := outcome{allowed: number(0) == 1, now: number(1), damaged: number(2), wentBack: number(3), verdicts: make([]verdict, slots)}
	for i := range o.verdicts {
		o.verdicts[i] = verdict{number(4 + 3*i), number(5 + 3*i), number(6 + 3*i)}
	}
	return o, nil
}

// reset deletes windows of a subject: those at keys, or all that a scan of its master finds if keys
// is empty.
func (s *redisStore) reset(ctx context.Context, subject string, keys []string) error {
	if len(keys) > 0 {
		return s.client.Unlink(ctx, keys...).Err()
	}
	node, err := redislink.TopologyOf(s.client).MasterOf(ctx, keyPrefix(subject))
	if err != nil {
		return err
	}
	const batch = 1000
	var cursor uint64
	for {
		// A canonical subject has no character that is special in a pattern.
		found, next, err := node.Scan(ctx, cursor, keyPrefix(subject)+"*", batch).Result()
		if err != nil {
			return err
		}
		if len(found) > 0 {
			if err := node.Unlink(ctx, found...).Err(); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
