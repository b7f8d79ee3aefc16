// Package cache keeps values of the program in Redis for a while, in
// namespaces with a life of their own.
//
// A cache may lose anything at any time: when Redis is full, restarts or is
// gone, a value is missing or a call fails, and the caller goes to the source
// of the value. Nothing is kept in this process. Every call is bounded by its
// context, and by the timeouts of the client.
package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// ErrMiss means that the key is not in the cache.
var ErrMiss = errors.New("cache: miss")

const (
	// DefaultNamespace is used where none is named.
	DefaultNamespace = "default"

	// MaxKey and MaxValue bound what is stored, in bytes.
	MaxKey   = 512
	MaxValue = 8 << 20

	prefix  = "cache:"
	version = "1" // of the namespace's content; another one leaves the old keys to expire
	batch   = 500 // keys of one round trip
)

var namespaceName = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

// Config of a Cache.
type Config struct {
	Redis      redis.UniversalClient // required; stays the caller's
	Registerer prometheus.Registerer // may be nil
}

// Cache is a cache in Redis. It is safe for concurrent use.
type Cache struct {
	redis   redis.UniversalClient
	metrics *metrics
}

// New returns a cache.
func New(cfg Config) *Cache {
	return &Cache{redis: cfg.Redis, metrics: newMetrics(cfg.Registerer)}
}

// Namespace returns the part of the cache with that name, whose values live
// for ttl, less a random tenth so that they do not all end at once. The name
// is 1 to 64 of a-z 0-9 _ . -, or empty for the default namespace; ttl is at
// least 10 ms. Two calls with one name mean the same values.
func (c *Cache) Namespace(name string, ttl time.Duration) (*Namespace, error) {
	if name == "" {
		name = DefaultNamespace
	}
	if !namespaceName.MatchString(name) {
		return nil, fmt.Errorf("cache: namespace %.80q: want 1 to 64 of the characters a-z 0-9 _ . -", name)
	}
	if ttl < 10*time.Millisecond {
		return nil, fmt.Errorf("cache: namespace %s: ttl %v: want at least 10ms", name, ttl)
	}
	return &Namespace{cache: c, prefix: prefix + name + ":" + version + ":", ttl: ttl}, nil
}

// Namespace is one part of a Cache. It is safe for concurrent use.
type Namespace struct {
	cache  *Cache
	prefix string
	ttl    time.Duration
}

// Get returns the value of key, or ErrMiss.
func (n *Namespace) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	value, err := n.cache.redis.Get(ctx, n.prefix+key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		n.cache.metrics.misses.Inc()
		return nil, ErrMiss
	case err != nil:
		return nil, n.failed("get", err)
	}
	n.cache.metrics.hits.Inc()
	return value, nil
}

// GetMany returns those of the keys that are in the cache. A missing key is no
// error. It is one round trip per 500 keys (on a cluster, to each node).
func (n *Namespace) GetMany(ctx context.Context, keys ...string) (map[string][]byte, error) {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
	}
	found := make(map[string][]byte, len(keys))
	for len(keys) > 0 {
		part := keys[:min(batch, len(keys))]
		keys = keys[len(part):]
		// Single GETs in a pipeline: the keys of one MGET must lie in one slot
		// of a cluster.
		cmds := make([]*redis.StringCmd, len(part))
		_, err := n.cache.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range part {
				cmds[i] = p.Get(ctx, n.prefix+key)
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, n.failed("get", err)
		}
		for i, key := range part {
			value, err := cmds[i].Bytes()
			switch {
			case errors.Is(err, redis.Nil):
				n.cache.metrics.misses.Inc()
			case err != nil:
				return nil, n.failed("get", err)
			default:
				n.cache.metrics.hits.Inc()
				found[key] = value
			}
		}
	}
	return found, nil
}

// Set stores value, at most MaxValue bytes, for the life of the namespace.
func (n *Namespace) Set(ctx context.Context, key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > MaxValue {
		return fmt.Errorf("cache: a value of %d bytes is above the limit of %d", len(value), MaxValue)
	}
	ttl := n.ttl - rand.N(n.ttl/10)
	if err := n.cache.redis.Set(ctx, n.prefix+key, value, ttl).Err(); err != nil {
		return n.failed("set", err)
	}
	return nil
}

// Delete removes keys and returns how many were there.
func (n *Namespace) Delete(ctx context.Context, keys ...string) (int, error) {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return 0, err
		}
	}
	if len(keys) == 0 {
		return 0, nil
	}
	cmds := make([]*redis.IntCmd, len(keys))
	_, err := n.cache.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			cmds[i] = p.Unlink(ctx, n.prefix+key)
		}
		return nil
	})
	deleted := 0
	for _, cmd := range cmds {
		deleted += int(cmd.Val())
	}
	if err != nil {
		return deleted, n.failed("delete", err)
	}
	return deleted, nil
}

// failed counts and words an error of Redis.
func (n *Namespace) failed(what string, err error) error {
	n.cache.metrics.errors.Inc()
	return fmt.Errorf("cache: %s: %w", what, err)
}

func checkKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("cache: a key of %d bytes: want 1 to %d", len(key), MaxKey)
	}
	return nil
}
