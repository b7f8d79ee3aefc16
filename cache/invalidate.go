package cache

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Progress of an Invalidate.
type Progress struct {
	Scanned int // keys of the namespace looked at
	Deleted int
	Nodes   int // masters done, of Masters
	Masters int
}

// Invalidate deletes the keys that match pattern, in every version of the
// namespace, and returns how many they were. The pattern is Redis's glob over
// the whole key, as in user:*; see Escape for text that must be taken as it
// is. A wrong pattern is an error.
//
// It walks over all keys of Redis by SCAN and removes what matches by UNLINK,
// in batches, on each master of a cluster in turn, and calls progress, if not
// nil, after each batch. It ends early when ctx does; each round trip is
// bounded, the whole is not. It is not atomic: keys written meanwhile may or
// may not be deleted, and keys that move between nodes of a cluster meanwhile
// may be left. With an error, n is what was deleted before, and other masters
// were still done. InvalidateAll is faster and exact where all keys are meant.
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

// key returns the key of a full key in Redis, in any version, if that belongs
// to this namespace.
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

// sweep does one master.
func (n *Namespace) sweep(ctx context.Context, master redis.Cmdable, glob *pattern, p *Progress, progress func(Progress)) error {
	// The names hold nothing that a glob gives a meaning to.
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

// unlink removes full keys in one round trip.
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

// bounded runs one call of Redis within the timeout of a batch.
func (n *Namespace) bounded(ctx context.Context, call func(context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, 2*n.cache.cfg.Timeout)
	defer cancel()
	return n.cache.judge(ctx, call(inner), false)
}
