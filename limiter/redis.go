package limiter

import (
	"context"
	_ "embed"
	"errors"
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
	calls   batcher
}

func newRedisStore(client redis.UniversalClient, timeout time.Duration) *redisStore {
	s := &redisStore{client: redislink.Bounded(client, timeout), timeout: timeout}
	s.calls.exec = s.exec
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
	if c.cmd == nil { // the caller that made the round trip panicked
		return outcome{}, errBadReply
	}
	reply, err := c.cmd.Slice()
	if err != nil {
		return outcome{}, err
	}
	return readOutcome(reply, len(slots))
}

// exec sends calls in one pipeline.
func (s *redisStore) exec(ctx context.Context, calls []*call) {
	if len(calls) == 1 {
		calls[0].cmd = windowScript.Run(ctx, s.client, calls[0].keys, calls[0].args...)
		return
	}
	send := func(calls []*call) (unknown []*call) {
		pipe := s.client.Pipeline()
		for _, c := range calls {
			c.cmd = windowScript.EvalSha(ctx, pipe, c.keys, c.args...)
		}
		pipe.Exec(ctx) // each command has its own error
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
