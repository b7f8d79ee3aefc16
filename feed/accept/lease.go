package accept

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
)

const (
	leaseTTL   = 3 * time.Second
	leaseRenew = time.Second
	leasePoll  = 500 * time.Millisecond
)

// lease is a key in Redis that one node holds at a time. It expires unless it
// is renewed. Its methods may be used by several goroutines.
type lease struct {
	client redis.UniversalClient
	key    string
	token  string // node, "#" and random text, so that a restarted node is another holder

	// until is the instant, by this node's clock, up to which the lease is
	// certainly held; nil = not held. It counts from before the request was sent.
	until atomic.Pointer[time.Time]
}

func newLease(client redis.UniversalClient, key, node string) *lease {
	return &lease{client: client, key: key, token: node + "#" + newEpoch() + newEpoch()}
}

var (
	renewScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)
	releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
)

var errLeaseLost = errors.New("the lease of the inbox was lost")

// holder returns the node that holds the lease, "" if none does.
func (l *lease) holder(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	token, err := l.client.Get(ctx, l.key).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if i := strings.LastIndexByte(token, '#'); i > 0 {
		token = token[:i]
	}
	return token, nil
}

// acquire takes the lease if it is free.
func (l *lease) acquire(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	until := time.Now().Add(leaseTTL)
	ok, err := l.client.SetNX(ctx, l.key, l.token, leaseTTL).Result()
	if err == nil && ok {
		l.until.Store(&until)
	}
	return ok, err
}

// renew returns errLeaseLost if the lease is not held any more. After another
// error it may still be, see valid.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	until := time.Now().Add(leaseTTL)
	n, err := renewScript.Run(ctx, l.client, []string{l.key}, l.token, leaseTTL.Milliseconds()).Int()
	if err != nil {
		return err
	}
	if n == 0 {
		l.until.Store(nil)
		return errLeaseLost
	}
	l.until.Store(&until)
	return nil
}

// valid reports whether the lease is held for certain. Both clocks are asked:
// the monotonic one stands still while some machines sleep, the other may be set.
func (l *lease) valid() bool {
	until := l.until.Load()
	now := time.Now()
	return until != nil && now.Before(*until) && now.Round(0).Before(until.Round(0))
}

// release gives the lease up, if it is held, so that another node need not
// wait for it to expire.
func (l *lease) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	l.until.Store(nil)
	return releaseScript.Run(ctx, l.client, []string{l.key}, l.token).Err()
}
