package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"
)

// Source says where a value comes from.
type Source string

const (
	SourceRedis  Source = "redis"  // Redis has it
	SourceStale  Source = "stale"  // Redis has it, beyond its TTL; it is being loaded anew
	SourceLoad   Source = "load"   // it was loaded just now
	SourceMemory Source = "memory" // Redis is lost: this process's copy, possibly out of date
)

// Entry is a value of the cache, which belongs to the caller.
type Entry[T any] struct {
	Value  T
	Source Source
	Age    time.Duration // of a value from memory: since Redis had it or it was loaded; else 0
}

// Namespace is one part of a Cache. It is safe for concurrent use. Use it as
// it is for bytes, or through Typed.
type Namespace struct {
	cache  *Cache
	space  *space
	ttl    time.Duration
	jitter float64
	stale  time.Duration
	misses time.Duration
	copied time.Duration
}

// Option of a Namespace.
type Option func(*Namespace)

// Jitter shortens each TTL by a random part, up to that fraction of it, so
// that values stored together do not end together. It is cut to 0 to 1; the
// default is 0.1.
func Jitter(fraction float64) Option {
	return func(n *Namespace) { n.jitter = min(max(fraction, 0), 1) }
}

// ServeStale keeps values for that much longer than their TTL, for Fetch to
// answer with while one of its callers' load runs in the background. For Get
// and all else they are gone at the end of the TTL. Handles of one namespace
// must agree on it.
func ServeStale(d time.Duration) Option { return func(n *Namespace) { n.stale = max(d, 0) } }

// CacheMisses makes Fetch remember for that long that there is no such thing,
// and answer ErrMiss without loading.
func CacheMisses(d time.Duration) Option { return func(n *Namespace) { n.misses = max(d, 0) } }

// CopyFor sets for how long the copy in this process may answer while Redis is
// lost, counted from when the value was last seen in Redis. The default is the
// TTL, and what ServeStale adds to it.
func CopyFor(d time.Duration) Option { return func(n *Namespace) { n.copied = max(d, 0) } }

// Namespace returns the part of the cache with that name, whose values live
// for ttl, less the jitter. The name is 1 to 64 of a-z 0-9 _ . -, or empty for
// the default namespace; ttl is at least 10 ms. Two calls with one name mean
// the same values, and at most 1,000 names may be in use.
func (c *Cache) Namespace(name string, ttl time.Duration, options ...Option) (*Namespace, error) {
	if name == "" {
		name = DefaultNamespace
	}
	if err := checkNamespace(name); err != nil {
		return nil, err
	}
	if ttl < 10*time.Millisecond {
		return nil, fmt.Errorf("cache: namespace %s: ttl %v: want at least 10ms", name, ttl)
	}
	s, err := c.space(name)
	if err != nil {
		return nil, err
	}
	n := &Namespace{cache: c, space: s, ttl: ttl, jitter: 0.1, copied: -1}
	for _, option := range options {
		option(n)
	}
	if n.copied < 0 {
		n.copied = ttl + n.stale
	}
	return n, nil
}

// Name returns the name of the namespace.
func (n *Namespace) Name() string { return n.space.name }

// space is what the handles of one namespace share.
type space struct {
	// Static after construction.
	name       string
	prefix     string // of all keys; no other namespace's keys begin with it, since names hold no colon
	versionKey string
	counts     *counts

	version version
	flights singleflight.Group // by key in Redis

	mu        sync.Mutex // guards the following fields
	loads     map[string]*load
	reloading map[string]bool
}

func newSpace(name string, counts *counts) *space {
	prefix := "cache:" + name + ":"
	return &space{
		name: name, prefix: prefix, versionKey: prefix + "version", counts: counts,
		version: version{value: firstVersion},
		loads:   map[string]*load{}, reloading: map[string]bool{},
	}
}

// life returns how long a value written now is kept, with jitter.
func (n *Namespace) life() time.Duration {
	ttl := n.ttl
	if cut := time.Duration(float64(ttl) * n.jitter); cut > 0 {
		ttl -= rand.N(cut)
	}
	return max(ttl, time.Millisecond) + n.stale
}

// Get returns the value of key, or ErrMiss.
func (n *Namespace) Get(ctx context.Context, key string) (Entry[[]byte], error) {
	if err := checkKeys(key); err != nil {
		return Entry[[]byte]{}, err
	}
	_, all := n.lookup(ctx, key)
	return n.get(&all[0])
}

// Set stores value, for the life of the namespace: []byte and string as they
// are, anything else as JSON; at most MaxValue bytes.
func (n *Namespace) Set(ctx context.Context, key string, value any) error {
	return firstOf(n.SetMany(ctx, map[string]any{key: value}))
}

// Delete removes key, and reports whether it was there.
func (n *Namespace) Delete(ctx context.Context, key string) (bool, error) {
	deleted, err := n.DeleteMany(ctx, key)
	return deleted > 0, firstOf(err)
}

// Exists reports whether Get would find key. Without Redis that is not known:
// ErrUnavailable.
func (n *Namespace) Exists(ctx context.Context, key string) (bool, error) {
	if err := checkKeys(key); err != nil {
		return false, err
	}
	var exists *redis.IntCmd
	var head *redis.StringCmd
	var left *redis.DurationCmd
	_, err := n.trip(ctx, 1, func(p redis.Pipeliner, prefix string) {
		exists = p.Exists(ctx, prefix+key)
		head = p.GetRange(ctx, prefix+key, 0, headerSize-1)
		left = p.PTTL(ctx, prefix+key)
	})
	if err != nil {
		return false, err
	}
	known := head.Val() == string(header)+string(rune(kindMiss))
	return exists.Val() == 1 && head.Err() == nil && !known && !n.isStale(left), nil
}

// isStale reports whether a key with that PTTL is beyond its TTL. One without
// expiry is another program's, and never is.
func (n *Namespace) isStale(left *redis.DurationCmd) bool {
	const none = -1 // what go-redis makes of no expiry
	return n.stale > 0 && left.Val() != none && left.Val() <= n.stale
}
