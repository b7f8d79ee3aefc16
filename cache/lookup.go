package cache

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// found is the result of looking up one key.
type found struct {
	result  result
	payload []byte        // the value, if there is one; the caller owns it
	age     time.Duration // of a value from memory
	err     error         // resultError and resultMemory: why Redis did not answer
}

// entry returns the value, ErrMiss, or the reason why it is unknown.
func (f *found) entry() (Entry[[]byte], error) {
	switch f.result {
	case resultHit:
		return Entry[[]byte]{Value: f.payload, Source: SourceRedis}, nil
	case resultStale:
		return Entry[[]byte]{Value: f.payload, Source: SourceStale}, nil
	case resultMemory:
		return Entry[[]byte]{Value: f.payload, Source: SourceMemory, Age: f.age}, nil
	case resultError:
		return Entry[[]byte]{}, f.err
	}
	return Entry[[]byte]{}, ErrMiss
}

// get counts f and returns the result of Get, to which a stale value is a miss.
func (n *Namespace) get(f *found) (Entry[[]byte], error) {
	if f.result == resultStale {
		f.result = resultMiss
	}
	n.space.counts.look(f.result)
	return f.entry()
}

// lookup looks keys up in Redis, in one round trip, and in memory those that Redis does not answer.
// It counts nothing.
func (n *Namespace) lookup(ctx context.Context, keys ...string) (prefix string, all []found) {
	var values []reply
	var left []*redis.DurationCmd
	prefix, failed := n.trip(ctx, len(keys), func(p redis.Pipeliner, prefix string) {
		values, left = n.queueGets(ctx, p, prefix, keys), nil
		if n.stale > 0 {
			for _, key := range keys {
				left = append(left, p.PTTL(ctx, prefix+key))
			}
		}
	})
	all = make([]found, len(keys))
	for i, key := range keys {
		f := &all[i]
		if failed != nil && (values == nil || !values[i].answered() || left != nil && !isAnswer(left[i].Err())) {
			*f = n.remembered(prefix+key, failed)
			continue
		}
		raw, there := values[i].value()
		switch {
		case !there:
			f.result = resultMiss
			n.cache.recent.drop(prefix + key)
			continue
		case left != nil && n.isStale(left[i]):
			f.result = resultStale
		default:
			f.result = resultHit
		}
		n.cache.recent.put(prefix+key, raw, n.copied)
		n.read(f, raw)
	}
	return prefix, all
}

// read decodes raw into f. A cached miss is never stale: it lives for the time of CacheMisses only.
func (n *Namespace) read(f *found, raw []byte) {
	payload, k, known := n.cache.codec.decode(raw)
	if !known {
		n.cache.metrics.foreign.Inc()
	}
	f.payload = payload
	if k == kindMiss {
		f.result = resultKnownMiss
	}
}

// remembered looks up in memory a key that Redis did not answer.
func (n *Namespace) remembered(full string, failed error) found {
	f := found{result: resultError, err: failed}
	if errors.Is(failed, context.Canceled) {
		return f
	}
	if raw, age, ok := n.cache.recent.get(full); ok {
		f.result, f.age = resultMemory, age
		n.read(&f, raw)
	}
	return f
}

// reply is the part of a GET or MGET reply that belongs to one key.
type reply struct {
	get  *redis.StringCmd
	mget *redis.SliceCmd
	at   int
}

// queueGets queues a GET per key, or MGETs if all keys are on one node.
func (n *Namespace) queueGets(ctx context.Context, p redis.Pipeliner, prefix string, keys []string) []reply {
	replies := make([]reply, len(keys))
	if !n.cache.single || len(keys) == 1 {
		for i, key := range keys {
			replies[i].get = p.Get(ctx, prefix+key)
		}
		return replies
	}
	for from := 0; from < len(keys); from += batch {
		part := keys[from:min(from+batch, len(keys))]
		full := make([]string, len(part))
		for i, key := range part {
			full[i] = prefix + key
		}
		cmd := p.MGet(ctx, full...)
		for i := range part {
			replies[from+i] = reply{mget: cmd, at: i}
		}
	}
	return replies
}

func (r *reply) answered() bool {
	if r.get != nil {
		return isAnswer(r.get.Err())
	}
	return isAnswer(r.mget.Err())
}

// value returns the raw value of an answered reply. A key that does not hold a string belongs to
// another program and counts as missing.
func (r *reply) value() (raw []byte, there bool) {
	if r.get != nil {
		raw, err := r.get.Bytes()
		return raw, err == nil
	}
	if all := r.mget.Val(); r.at < len(all) {
		if text, ok := all[r.at].(string); ok {
			return []byte(text), true
		}
	}
	return nil, false
}
