package accept

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
)

const (
	leaderTTL   = 3 * time.Second
	leaderRenew = time.Second
	leaderPoll  = 500 * time.Millisecond
)

// leader elects one node at a time. A key in Redis names the leader, and expires unless the leader
// renews it. Its methods are safe for concurrent use.
type leader struct {
	client redis.UniversalClient
	key    string
	token  string // node, "#" and random text, so that a restarted node is another leader

	// until is the instant, by this node's clock, up to which this node is certainly the leader;
	// nil = it is not. It counts from before the request was sent.
	until atomic.Pointer[time.Time]
}

func newLeader(client redis.UniversalClient, key, node string) *leader {
	return &leader{client: client, key: key, token: node + "#" + rand.Text()}
}

var (
	renewScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)
	resignScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
)

var (
	errNotLeader     = errors.New("this node is no longer the leader")
	errAnotherLeader = errors.New("another node has become the leader")
)

// node returns the name of the leader, "" if there is none.
func (l *leader) node(ctx context.Context) (string, error) {
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

// elect makes this node the leader. If there is another one, it returns errAnotherLeader.
func (l *leader) elect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	until := time.Now().Add(leaderTTL)
	ok, err := l.client.SetNX(ctx, l.key, l.token, leaderTTL).Result()
	if err != nil {
		return err
	}
	if !ok {
		return errAnotherLeader
	}
	l.until.Store(&until)
	return nil
}

// renew extends the time of this node as the leader. It returns errNotLeader if the key no longer
// names this node. After another error the key may still do so: see certain.
func (l *leader) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaderRenew)
	defer cancel()
	until := time.Now().Add(leaderTTL)
	n, err := renewScript.Run(ctx, l.client, []string{l.key}, l.token, leaderTTL.Milliseconds()).Int()
	if err != nil {
		return err
	}
	if n == 0 {
		l.until.Store(nil)
		return errNotLeader
	}
	l.until.Store(&until)
	return nil
}

// certain reports whether this node is certainly the leader. It asks both clocks: the monotonic one
// stands still while some machines sleep, and the other one may be set.
func (l *leader) certain() bool {
	until := l.until.Load()
	now := time.Now()
	return until != nil && now.Before(*until) && now.Round(0).Before(until.Round(0))
}

// resign deletes the key if it names this node, so that another node need not wait for its expiry.
func (l *leader) resign(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	l.until.Store(nil)
	return resignScript.Run(ctx, l.client, []string{l.key}, l.token).Err()
}
