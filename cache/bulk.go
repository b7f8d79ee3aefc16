package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// PartialError means that a bulk call failed for some of its keys and succeeded for the others.
// errors.Is examines the reasons, such as ErrUnavailable, ErrFormat or context.Canceled.
type PartialError struct {
	Failed map[string]error // the reason, by key
	Total  int              // number of keys in the call

	reasons []error // the different reasons in Failed
}

func newPartialError(failed map[string]error, total int) error {
	if len(failed) == 0 {
		return nil
	}
	e := &PartialError{Failed: failed, Total: total}
	seen := map[string]bool{}
	for _, err := range failed {
		if text := err.Error(); !seen[text] && len(seen) < 10 {
			seen[text] = true
			e.reasons = append(e.reasons, err)
		}
	}
	slices.SortFunc(e.reasons, func(a, b error) int {
		if a.Error() < b.Error() {
			return -1
		}
		return 1
	})
	return e
}

// Error returns the number of failed keys and a reason.
func (e *PartialError) Error() string {
	return fmt.Sprintf("cache: %d of %d keys: %v", len(e.Failed), e.Total, e.reasons[0])
}

// Unwrap returns the different reasons, at most ten.
func (e *PartialError) Unwrap() []error { return e.reasons }

// firstOf unwraps the PartialError of a call with one key.
func firstOf(err error) error {
	if p, ok := errors.AsType[*PartialError](err); ok {
		return p.reasons[0]
	}
	return err
}

// GetMany returns the entries of those keys that are in the cache, in one round trip (on a cluster,
// one per node). A missing key is not an error. If Redis does not answer for some keys and the copy
// in this process does not have them, GetMany returns a PartialError with these, and the other
// entries.
func (n *Namespace) GetMany(ctx context.Context, keys ...string) (map[string]Entry[[]byte], error) {
	entries := make(map[string]Entry[[]byte], len(keys))
	if err := checkKeys(keys...); err != nil || len(keys) == 0 {
		return entries, err
	}
	failed := map[string]error{}
	_, all := n.lookup(ctx, keys...)
	for i := range all {
		entry, err := n.get(&all[i])
		switch {
		case err == nil:
			entries[keys[i]] = entry
		case !errors.Is(err, ErrMiss):
			failed[keys[i]] = err
		}
	}
	return entries, newPartialError(failed, len(keys))
}

// SetMany stores values by key as Set does, in one round trip (on a cluster, one per node). It
// stores nothing if a key or a value is invalid. If Redis does not store some, the error is a
// PartialError with these.
func (n *Namespace) SetMany(ctx context.Context, values map[string]any) error {
	keys, raws := make([]string, 0, len(values)), make([][]byte, 0, len(values))
	for key, value := range values {
		if err := checkKeys(key); err != nil {
			return err
		}
		raw, err := n.cache.codec.encode(value)
		if err != nil {
			return err
		}
		keys, raws = append(keys, key), append(raws, raw)
	}
	if err := checkKeys(keys...); err != nil || len(keys) == 0 {
		return err
	}
	n.space.supersede(keys...)
	var cmds []*redis.StatusCmd
	prefix, err := n.trip(ctx, len(keys), func(p redis.Pipeliner, prefix string) {
		cmds = make([]*redis.StatusCmd, len(keys))
		for i, key := range keys {
			cmds[i] = p.Set(ctx, prefix+key, raws[i], n.life())
		}
	})
	n.space.supersede(keys...)
	failed := map[string]error{}
	for i, key := range keys {
		if err != nil && (cmds == nil || cmds[i].Err() != nil) {
			// It may have been written: either value may be the current one.
			n.cache.recent.drop(prefix + key)
			failed[key] = err
			continue
		}
		n.cache.recent.put(prefix+key, raws[i], n.copied)
	}
	n.cache.metrics.wrote(len(keys)-len(failed), len(failed))
	return newPartialError(failed, len(keys))
}

// DeleteMany deletes keys in one round trip (on a cluster, one per node), and returns how many of
// them existed. If Redis does not delete some, the error is a PartialError: on a cluster with these
// keys, else with all keys of the same batch of 500.
func (n *Namespace) DeleteMany(ctx context.Context, keys ...string) (int, error) {
	if err := checkKeys(keys...); err != nil || len(keys) == 0 {
		return 0, err
	}
	n.space.supersede(keys...)
	step := batch
	if !n.cache.single {
		step = 1
	}
	var cmds []*redis.IntCmd
	prefix, err := n.trip(ctx, len(keys), func(p redis.Pipeliner, prefix string) {
		cmds = nil
		for part := range slices.Chunk(keys, step) {
			full := make([]string, len(part))
			for i, key := range part {
				full[i] = prefix + key
			}
			cmds = append(cmds, p.Unlink(ctx, full...))
		}
	})
	n.space.supersede(keys...)
	deleted := 0
	failed := map[string]error{}
	for i, key := range keys {
		n.cache.recent.drop(prefix + key)
		if err != nil && (cmds == nil || cmds[i/step].Err() != nil) {
			failed[key] = err
		}
	}
	for _, cmd := range cmds {
		deleted += int(cmd.Val())
	}
	n.cache.metrics.wrote(len(keys)-len(failed), len(failed))
	return deleted, newPartialError(failed, len(keys))
}
