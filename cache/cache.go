// Package cache keeps values of the program in Redis for a while, in
// namespaces with a life of their own, and in front of a slow source loads
// each value once.
//
// A cache may lose anything at any time. Redis holds a value at
//
//	cache:<namespace>:<version>:<key>
//
// until it expires, is deleted, or Redis evicts it. The version is 1, or what
// cache:<namespace>:version holds: see Namespace.InvalidateAll. Bytes and
// strings are stored as they are, everything else as JSON; a header marks what
// is not plain: see Typed. What another program wrote is read as bytes.
//
// # Without Redis
//
// A round trip takes at most Config.Timeout. When Redis does not answer, reads
// are answered by a bounded copy in this process of values it has recently
// read or written, and marked SourceMemory; what the copy does not have, and
// every write, is refused with ErrUnavailable. For as long as Redis is lost one
// call in 250 ms tries it and the others are refused or answered at once. (On
// a cluster every call tries, since other nodes may answer.) Fetch goes on
// working: it loads, and keeps the value in the copy. The copy may answer with
// a value that was deleted or replaced since, by another node or by a call of
// the same moment, for at most the time CopyFor sets. A full Redis (OOM) refuses writes only.
//
// A failed write may have been done: an answer that was lost looks the same.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

var (
	// ErrMiss means that the key is not in the cache. A function given to
	// Fetch returns it, or an error that wraps it, to say that there is no
	// such thing.
	ErrMiss = errors.New("cache: miss")

	// ErrUnavailable means that Redis could not be asked, or refused: it is
	// not known whether the key is there, or the write was not done.
	ErrUnavailable = redislink.ErrUnavailable

	// ErrFormat means that a value is no JSON of the type it was read as.
	ErrFormat = errors.New("cache: value of another type")

	// ErrClosed is returned by Fetch when it would have to load after Close.
	ErrClosed = errors.New("cache: closed")
)

const (
	// DefaultNamespace is used where none is named.
	DefaultNamespace = "default"

	// MaxKey and MaxValue bound what is stored, in bytes; a value is measured
	// before compression. MaxBulk bounds the keys of one call.
	MaxKey   = 512
	MaxValue = 8 << 20
	MaxBulk  = 10_000

	maxNamespaces = 1000 // in use by one Cache
	maxDeclared   = 64   // label values of the metrics
	maxReloads    = 64   // reloads behind stale values at a time
	batch         = 500  // keys of one command, so that none holds up Redis for long
)

var namespaceName = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

// Config of a Cache. Only Redis has no default.
type Config struct {
	// Redis is required and stays the caller's. Its ContextTimeoutEnabled must
	// be set, or Timeout does not bound a call.
	Redis redis.UniversalClient

	// Namespaces are the names that the metrics tell apart, at most 64; all
	// others are counted as "other".
	Namespaces []string

	Timeout        time.Duration // for a round trip, plus 1 ms per key of a bulk call; default 500 ms
	LoadTimeout    time.Duration // for a function given to Fetch; default 10 s
	VersionRefresh time.Duration // see InvalidateAll; default 1 s
	CopyBytes      int           // size of the copy for times without Redis; default 16 MiB, below 0 none
	CompressFrom   int           // size in bytes from which values are compressed if that saves an eighth; default 1024, below 0 never

	Registerer prometheus.Registerer // may be nil
	Logger     *slog.Logger          // may be nil
}

// Cache is a cache in Redis. It is safe for concurrent use.
type Cache struct {
	// Static after construction.
	cfg     Config
	single  bool // one node holds all keys: commands may name many
	codec   *codec
	recent  *recent
	breaker *redislink.Breaker
	metrics *metrics
	log     *slog.Logger
	life    context.Context // ends with Close
	end     context.CancelFunc
	reloads chan struct{} // a slot per reload behind a stale value
	running sync.WaitGroup

	mu     sync.Mutex // guards the following fields
	spaces map[string]*space
	closed bool
}

// New returns a cache. The error says which part of the Config is wrong.
func New(cfg Config) (*Cache, error) {
	if cfg.Redis == nil {
		return nil, errors.New("cache: Config.Redis is required")
	}
	if len(cfg.Namespaces) > maxDeclared {
		return nil, fmt.Errorf("cache: %d namespaces declared, want at most %d", len(cfg.Namespaces), maxDeclared)
	}
	for _, name := range cfg.Namespaces {
		if err := checkNamespace(name); err != nil {
			return nil, err
		}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 500 * time.Millisecond
	}
	if cfg.LoadTimeout <= 0 {
		cfg.LoadTimeout = 10 * time.Second
	}
	if cfg.VersionRefresh <= 0 {
		cfg.VersionRefresh = time.Second
	}
	if cfg.CopyBytes == 0 {
		cfg.CopyBytes = 16 << 20
	}
	if cfg.CompressFrom == 0 {
		cfg.CompressFrom = 1024
	}
	codec, err := newCodec(cfg.CompressFrom)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		cfg: cfg, codec: codec, recent: newRecent(cfg.CopyBytes), breaker: redislink.NewBreaker(), log: cfg.Logger,
		reloads: make(chan struct{}, maxReloads), spaces: map[string]*space{},
	}
	c.single = redislink.TopologyOf(cfg.Redis).Single()
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.metrics = newMetrics(cfg.Registerer, cfg.Namespaces, c)
	return c, nil
}

// Close cancels the loads under way and waits for them, at most
// Config.LoadTimeout. Nothing is loaded afterwards; all else goes on working.
// The error says that a load did not heed its context.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(c.cfg.LoadTimeout):
		return errors.New("cache: a load is still running and does not heed its context")
	}
}

// begin enters a load or reload that Close must wait for; running.Done ends it.
func (c *Cache) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Add(1)
	return true
}

// space returns what this process knows of the namespace of that name.
func (c *Cache) space(name string) (*space, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.spaces[name]
	if !ok {
		if len(c.spaces) >= maxNamespaces {
			return nil, fmt.Errorf("cache: namespace %s: %d are in use already, the limit", name, maxNamespaces)
		}
		s = newSpace(name, c.metrics.namespace(name))
		c.spaces[name] = s
	}
	return s, nil
}

func checkNamespace(name string) error {
	if !namespaceName.MatchString(name) {
		return fmt.Errorf("cache: namespace %.80q: want 1 to 64 of the characters a-z 0-9 _ . -", name)
	}
	return nil
}

func checkKeys(keys ...string) error {
	if len(keys) > MaxBulk {
		return fmt.Errorf("cache: %d keys in one call, want at most %d", len(keys), MaxBulk)
	}
	for _, key := range keys {
		if key == "" || len(key) > MaxKey {
			return fmt.Errorf("cache: a key of %d bytes: want 1 to %d", len(key), MaxKey)
		}
	}
	return nil
}
