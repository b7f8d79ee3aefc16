package cache

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// found is what one look at a key came to.
type found struct {
	result  result
	payload []byte        // of a value: the caller's memory
	age     time.Duration // from memory
	err     error         // resultError and resultMemory: why Redis did not answer
}

// entry is what f means to a reader: a value, ErrMiss, or why it is not known.
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

// get counts f and returns what Get answers: only Fetch serves what is stale.
func (n *Namespace) get(f *found) (Entry[[]byte], error) {
	if f.result == resultStale {
		f.result = resultMiss
	}
	n.space.counts.look(f.result)
	return f.entry()
}

// lookup looks at keys in one round trip, and in memory at what Redis does not
// answer. It counts nothing.
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

// read decodes raw into f. A remembered miss is never stale: it is kept for
// its own time only.
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

// remembered is what memory knows of a key that Redis did not answer for.
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

// reply is the place of one key in the answer to a GET or MGET.
type reply struct {
	get  *redis.StringCmd
	mget *redis.SliceCmd
	at   int
}

// queueGets queues GET, or MGET where all keys are on one node.
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

// value returns the raw value of an answered reply. A key that holds no string
// is another program's and counts as missing.
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
