package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// firstVersion is the version of a namespace that was never invalidated as a whole.
const firstVersion = 1

// version is the version of a namespace as this process knows it.
type version struct {
	mu    sync.Mutex // guards the following fields
	value uint64
	asked time.Time // when the last request was sent to which Redis replied with value
}

// current returns the version, and whether it is time to ask Redis.
func (v *version) current(refresh time.Duration) (value uint64, due bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.value, time.Since(v.asked) >= refresh
}

// learn records that Redis replied got to a request of the time asked, whose caller knew the
// version known. It returns the version to use. lost means that Redis has forgotten a version, so
// that values from before an InvalidateAll would be read again.
func (v *version) learn(known, got uint64, asked time.Time) (now uint64, lost bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case got >= v.value:
		v.value = got
		if asked.After(v.asked) {
			v.asked = asked
		}
	case v.value == known:
		return known, true
	}
	return v.value, false
}

// bump moves a namespace to a new version: the time in ms, so that no version is used twice even if
// the key was lost, or the successor of the old version if that is greater. ARGV[1] is the version
// that the caller knows.
var bump = redis.NewScript(`
local old = redis.pcall('GET', KEYS[1])
old = type(old) == 'string' and string.match(old, '^%d+$') and tonumber(old) or 1
if old > 9e15 then old = 1 end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local new = string.format('%.0f', math.max(old + 1, tonumber(ARGV[1]) + 1, ms))
redis.call('SET', KEYS[1], new)
return new
`)

// parseVersion parses the version key. It returns 0, which is below any version, for invalid
// content.
func parseVersion(cmd *redis.StringCmd) uint64 {
	text, err := cmd.Result()
	if errors.Is(err, redis.Nil) {
		return firstVersion
	}
	value, err := strconv.ParseUint(text, 10, 53)
	if err != nil {
		return 0
	}
	return value
}

// InvalidateAll empties the namespace at once, whatever its size. It moves the namespace to a new
// version, which is part of every key, and the old values expire unread. The version is in Redis at
// cache:<namespace>:version, without expiry; eviction policies named volatile-* keep it.
//
// This process uses the new version when the call returns. Every other process asks for the version
// once per Config.VersionRefresh, in the round trip of a call. So a call that begins that long
// after InvalidateAll has returned sees no old value. A running load of Fetch stores its value in
// the old version.
//
// If Redis has lost the version (by a restart, a failover or an eviction), any process that knew it
// moves the namespace to a new one.
func (n *Namespace) InvalidateAll(ctx context.Context) error {
	if !n.cache.breaker.Allow() {
		return errLost
	}
	v, _ := n.space.version.current(n.cache.cfg.VersionRefresh)
	if _, err := n.bump(ctx, v); err != nil {
		return err
	}
	n.cache.metrics.bumps.Inc()
	return nil
}

// bump moves the namespace to a new version and drops copies of the old ones.
func (n *Namespace) bump(ctx context.Context, known uint64) (uint64, error) {
	c := n.cache
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	asked := time.Now()
	text, err := bump.Run(bounded, c.cfg.Redis, []string{n.space.versionKey}, known).Text()
	if err = c.judge(ctx, err, false); err != nil {
		return 0, err
	}
	value, err := strconv.ParseUint(text, 10, 53)
	if err != nil {
		return 0, fmt.Errorf("cache: version of namespace %s: %w", n.space.name, err)
	}
	value, _ = n.space.version.learn(known, value, asked)
	n.space.supersedeIf(func(string) bool { return true })
	current := n.prefix(value)
	c.recent.dropIf(func(key string) bool {
		return strings.HasPrefix(key, n.space.prefix) && !strings.HasPrefix(key, current)
	})
	return value, nil
}

func (n *Namespace) prefix(version uint64) string {
	return n.space.prefix + strconv.FormatUint(version, 10) + ":"
}

// trip sends the commands that queue adds for keys with that prefix, in one round trip. The round
// trip also reads the version if that is due; if the version has changed, queue is called again
// with the new prefix. The error is that of exec.
func (n *Namespace) trip(ctx context.Context, keys int, queue func(p redis.Pipeliner, prefix string)) (prefix string, err error) {
	v, due := n.space.version.current(n.cache.cfg.VersionRefresh)
	for send := n.cache.exec; ; send = n.cache.send {
		prefix = n.prefix(v)
		var answer *redis.StringCmd
		asked := time.Now()
		err = send(ctx, keys, func(p redis.Pipeliner) {
			if due {
				answer = p.Get(ctx, n.space.versionKey)
			}
			queue(p, prefix)
		})
		if !due || answer == nil {
			return prefix, err
		}
		if !isAnswer(answer.Err()) {
			return prefix, err
		}
		now, lost := n.space.version.learn(v, parseVersion(answer), asked)
		if lost {
			n.cache.metrics.versionsLost.Inc()
			var bumpErr error
			if now, bumpErr = n.bump(ctx, v); bumpErr != nil {
				return prefix, bumpErr
			}
		}
		if now == v {
			return prefix, err
		}
		v, due = now, false
	}
}
