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

// Source names the place that a value came from.
type Source string

const (
	SourceRedis  Source = "redis"  // Redis
	SourceStale  Source = "stale"  // Redis, but older than its TTL; it is being reloaded
	SourceLoad   Source = "load"   // the load function of Fetch
	SourceMemory Source = "memory" // the copy in this process, because Redis is lost; may be out of date
)

// Entry is a value from the cache. The caller owns it.
type Entry[T any] struct {
	Value  T
	Source Source
	Age    time.Duration // for SourceMemory: since Redis had the value or it was loaded; else 0
}

// Namespace is a part of a Cache whose values share a TTL. It stores bytes; Typed stores values of
// a type. It is safe for concurrent use.
type Namespace struct {
	cache  *Cache
	space  *space
	ttl    time.Duration
	jitter float64
	stale  time.Duration
	misses time.Duration
	copied time.Duration
}

// Option configures a Namespace.
type Option func(*Namespace)

// Jitter shortens each TTL by a random part of at most that fraction, so that values stored
// together do not expire together. The fraction is clamped to 0 to 1; the default is 0.1.
func Jitter(fraction float64) Option {
	return func(n *Namespace) { n.jitter = min(max(fraction, 0), 1) }
}

// ServeStale keeps values for that much longer than their TTL. Fetch returns such a stale value and
// reloads it in the background. To Get and all other operations it has expired. All handles of a
// namespace must use the same duration.
func ServeStale(d time.Duration) Option { return func(n *Namespace) { n.stale = max(d, 0) } }

// CacheMisses makes Fetch remember for that long that the source has no value for a key, and return
// ErrMiss without loading.
func CacheMisses(d time.Duration) Option { return func(n *Namespace) { n.misses = max(d, 0) } }

// CopyFor limits how long the copy in this process may answer while Redis is lost, counted from the
// last time that Redis had the value. The default is the TTL plus the duration of ServeStale.
func CopyFor(d time.Duration) Option { return func(n *Namespace) { n.copied = max(d, 0) } }

// Namespace returns a handle of the namespace with that name, whose values live for ttl, less the
// jitter. The name consists of 1 to 64 of the characters a-z 0-9 _ . - or is empty, which means
// DefaultNamespace; ttl is at least 10 ms. Handles with the same name share their values. At most
// 1,000 names may be in use.
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

// space is the state that the handles of a namespace share.
type space struct {
	// Static after construction.
	name       string
	prefix     string // of all keys of this namespace and no other, since names have no colon
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

// life returns how long Redis keeps a value that is written now, with jitter.
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

// Set stores value for the TTL of the namespace: []byte and string unchanged, all other types as
// JSON. A value may have at most MaxValue bytes.
func (n *Namespace) Set(ctx context.Context, key string, value any) error {
	return firstOf(n.SetMany(ctx, map[string]any{key: value}))
}

// Delete deletes key and reports whether it existed.
func (n *Namespace) Delete(ctx context.Context, key string) (bool, error) {
	deleted, err := n.DeleteMany(ctx, key)
	return deleted > 0, firstOf(err)
}

// Exists reports whether Get would find key. It returns ErrUnavailable without Redis.
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

// isStale reports whether a key with that PTTL has outlived its TTL. A key without expiry belongs
// to another program and is never stale.
func (n *Namespace) isStale(left *redis.DurationCmd) bool {
	const none = -1 // go-redis returns this for a key without expiry
	return n.stale > 0 && left.Val() != none && left.Val() <= n.stale
}
