package cache

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Progress is the progress of Invalidate.
type Progress struct {
	Scanned int // keys of the namespace examined
	Deleted int
	Nodes   int // masters that are done, of Masters
	Masters int
}

// Invalidate deletes the keys that match pattern, in every version of the namespace, and returns
// their number. The pattern is a Redis glob over the whole key, such as user:*; Escape escapes
// literal text. An invalid pattern is an error.
//
// Invalidate scans all keys of Redis with SCAN and deletes matching ones with UNLINK, in batches,
// on one master of a cluster after another. It calls progress after each batch, unless that is nil.
// Each round trip has a deadline; the whole has none except that of ctx.
//
// It is not atomic: keys written meanwhile may or may not be deleted, and keys that move between
// nodes of a cluster may remain. If a master fails, the others are still done; deleted counts all
// deleted keys. To delete all keys, InvalidateAll is faster and exact.
func (n *Namespace) Invalidate(ctx context.Context, pattern string, progress func(Progress)) (deleted int, err error) {
	glob, err := parsePattern(pattern)
	if err != nil {
		return 0, err
	}
	c := n.cache
	if !c.breaker.Allow() {
		return 0, errLost
	}
	forget := func() {
		n.space.supersedeIf(glob.match)
		c.recent.dropIf(func(full string) bool {
			key, ok := n.space.key(full)
			return ok && glob.match(key)
		})
	}
	forget()
	defer forget()
	masters, err := redislink.TopologyOf(c.cfg.Redis).Masters(ctx)
	if err != nil {
		return 0, c.judge(ctx, err, false)
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	p := Progress{Masters: len(masters)}
	var faults []error
	for _, master := range masters {
		if err := n.sweep(ctx, master, glob, &p, progress); err != nil {
			faults = append(faults, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		p.Nodes++
		progress(p)
	}
	c.metrics.invalidated.Add(float64(p.Deleted))
	return p.Deleted, errors.Join(faults...)
}

// key returns the key that a key in Redis, of any version, stands for, if it is of this namespace.
func (s *space) key(full string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(full, s.prefix)
	if !ok {
		return "", false
	}
	version, key, ok := strings.Cut(rest, ":")
	if !ok || key == "" || version == "" || strings.Trim(version, "0123456789") != "" {
		return "", false
	}
	return key, true
}

// sweep deletes the matching keys of one master.
func (n *Namespace) sweep(ctx context.Context, master redis.Cmdable, glob *pattern, p *Progress, progress func(Progress)) error {
	// Names of namespaces have no character that is special in a glob.
	match := n.space.prefix + "*:" + glob.prefix + "*"
	var found []string
	for cursor := uint64(0); ; {
		var page []string
		err := n.bounded(ctx, func(ctx context.Context) (err error) {
			page, cursor, err = master.Scan(ctx, cursor, match, 1000).Result()
			return err
		})
		if err != nil {
			return err
		}
		for _, full := range page {
			if key, ok := n.space.key(full); ok {
				p.Scanned++
				if glob.match(key) {
					found = append(found, full)
				}
			}
		}
		for len(found) >= batch || cursor == 0 && len(found) > 0 {
			part := found[:min(batch, len(found))]
			found = found[len(part):]
			deleted, err := n.unlink(ctx, part)
			p.Deleted += deleted
			if err != nil {
				return err
			}
			progress(*p)
		}
		if cursor == 0 {
			return nil
		}
	}
}

// unlink deletes keys as they are in Redis, in one round trip.
func (n *Namespace) unlink(ctx context.Context, keys []string) (deleted int, err error) {
	var cmds []*redis.IntCmd
	err = n.cache.send(ctx, len(keys), func(p redis.Pipeliner) {
		if n.cache.single {
			cmds = append(cmds, p.Unlink(ctx, keys...))
			return
		}
		for _, key := range keys {
			cmds = append(cmds, p.Unlink(ctx, key))
		}
	})
	for _, cmd := range cmds {
		deleted += int(cmd.Val())
	}
	return deleted, err
}

// bounded makes one call to Redis within the timeout of a batch.
func (n *Namespace) bounded(ctx context.Context, call func(context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, 2*n.cache.cfg.Timeout)
	defer cancel()
	return n.cache.judge(ctx, call(inner), false)
}
