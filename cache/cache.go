// Package cache caches values in Redis. Values live in namespaces, each with its own TTL. In front
// of a slow source, the cache loads each value once.
//
// A cache may lose any value at any time. Redis holds a value at
//
//	cache:<namespace>:<version>:<key>
//
// until it expires, is deleted, or is evicted. The version is 1, or the content of
// cache:<namespace>:version: see Namespace.InvalidateAll. Bytes and strings are stored unchanged,
// all other values as JSON. A header marks stored values that are not plain: see Typed. A value
// that another program wrote is read as bytes.
//
// # Without Redis
//
// A round trip takes at most Config.Timeout. While Redis does not answer, a bounded copy in this
// process answers reads, with values that it has recently read or written; their source is
// SourceMemory. A read that the copy cannot answer, and every write, returns ErrUnavailable. While
// Redis is lost, one call per 250 ms tries it, and all others return at once. (On a cluster every
// call tries, since other nodes may answer.) Fetch still loads, and keeps the value in the copy.
//
// The copy may return a value that another node, or a concurrent call, has deleted or replaced, for
// at most the time that CopyFor sets. A Redis that is out of memory refuses writes only.
//
// A write that returns an error may have been executed, because its reply may have been lost.
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
	// ErrMiss means that the key is not in the cache. A load function of Fetch returns it, or
	// an error that wraps it, if the source has no value for the key.
	ErrMiss = errors.New("cache: miss")

	// ErrUnavailable means that Redis did not answer or refused: it is unknown whether the key
	// exists, or whether the write was executed.
	ErrUnavailable = redislink.ErrUnavailable

	// ErrFormat means that a value is not JSON of the type it was read as.
	ErrFormat = errors.New("cache: value of another type")

	// ErrClosed means that Fetch would have had to load after Close.
	ErrClosed = errors.New("cache: closed")
)

const (
	// DefaultNamespace is the namespace whose name is given as "".
	DefaultNamespace = "default"

	// MaxKey and MaxValue are the largest key and value in bytes; a value is measured before
	// compression. MaxBulk is the largest number of keys in one call.
	MaxKey   = 512
	MaxValue = 8 << 20
	MaxBulk  = 10_000

	maxNamespaces = 1000 // in use by one Cache
	maxDeclared   = 64   // label values of the metrics
	maxReloads    = 64   // concurrent reloads behind stale values
	batch         = 500  // keys per command, so that none blocks Redis for long
)

var namespaceName = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

// Config configures a Cache. Only Redis has no default.
type Config struct {
	// Redis is required and is not closed by the Cache. It must have ContextTimeoutEnabled set,
	// or Timeout does not bound a call.
	Redis redis.UniversalClient

	// Namespaces are the namespaces that have a metric label of their own, at most 64; all
	// others share "other".
	Namespaces []string

	Timeout        time.Duration // of a round trip, plus 1 ms per key; default 500 ms
	LoadTimeout    time.Duration // of a load function of Fetch; default 10 s
	VersionRefresh time.Duration // see InvalidateAll; default 1 s
	CopyBytes      int           // size of the copy that answers without Redis; default 16 MiB, none if negative
	CompressFrom   int           // values of this many bytes are compressed if that saves an eighth; default 1024, never if negative

	Registerer prometheus.Registerer // may be nil
	Logger     *slog.Logger          // may be nil
}

// Cache is a cache in Redis. It is safe for concurrent use.
type Cache struct {
	// Static after construction.
	cfg     Config
	single  bool // one node holds all keys, so a command may have several
	codec   *codec
	recent  *recent
	breaker *redislink.Breaker
	metrics *metrics
	log     *slog.Logger
	life    context.Context // canceled by Close
	end     context.CancelFunc
	reloads chan struct{} // holds a token per running reload behind a stale value
	running sync.WaitGroup

	mu     sync.Mutex // guards the following fields
	spaces map[string]*space
	closed bool
}

// New returns a Cache. It returns an error if cfg is invalid.
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

// Close cancels the running loads and waits for them, for at most Config.LoadTimeout. After Close
// nothing is loaded; all other operations still work. Close returns an error if a load ignores its
// context.
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
		return errors.New("cache: a load is still running and ignores its context")
	}
}

// begin registers a load or reload that Close must wait for; running.Done ends it. It returns false
// after Close.
func (c *Cache) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Add(1)
	return true
}

// space returns the state that this process keeps of a namespace.
func (c *Cache) space(name string) (*space, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.spaces[name]
	if !ok {
		if len(c.spaces) >= maxNamespaces {
			return nil, fmt.Errorf("cache: namespace %s: the limit of %d namespaces in use is reached", name, maxNamespaces)
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
