package session

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Config of a Manager. Only Redis is required.
type Config struct {
	// Redis should have ContextTimeoutEnabled, or a call may outlast its context by the client's own timeouts and retries.
	Redis  redis.UniversalClient
	Prefix string // of the control channel <Prefix>control; "" = "fx:"
	Node   string // name of this node in notices; "" = random

	TTL         time.Duration // idle lifetime; 0 = 1 h
	AbsoluteTTL time.Duration // lifetime no extension passes; 0 = 24 h
	AutoExtend  bool          // activity extends a session: see Use, Touch and Bind
	Grace       time.Duration // how long bindings outlive the last answer of Redis; 0 = 60 s
	MaxData     int           // bytes of Draft.Data; 0 = 8192

	// OnDegraded is told when Redis is lost (true) and back (false), from one goroutine; it must not block.
	OnDegraded func(bool)

	Registerer prometheus.Registerer // nil = metrics are kept and not registered
	Logger     *slog.Logger          // nil = no log
}

// Manager makes, reads and ends sessions. Its methods are safe for concurrent use and block for one or
// a few Redis round trips. Bindings and leases are looked after by Run.
type Manager struct {
	// Static after construction.
	cfg     Config
	rdb     redis.UniversalClient
	log     *slog.Logger
	metrics *metrics
	start   time.Time // what moments count from
	control *redislink.Listener

	// Leases counts connections per user over all nodes.
	Leases *Leases

	running   atomic.Bool
	degraded  atomic.Bool
	silent    atomic.Bool               // no background call was answered for lostAfter
	listening atomic.Bool               // the control channel is subscribed to
	began     atomic.Pointer[time.Time] // when Run did, before that New
	answered  atomic.Pointer[time.Time] // the last answer of Redis to a re-check; nil = none

	wakeCheck chan struct{} // 1: something is due before the next tick
	wakeEnds  chan struct{} // 1: ends is not empty
	follow    chan renewal  // renewals to look up, bounded

	mu       sync.Mutex           // guards the fields below; no I/O and no calls out under it
	bound    map[string]*bound    // by session id
	ends     []ended              // to be told; at most one entry per binding
	revoked  map[string]time.Time // ids seen revoked, until when to keep them (monotonic); at most maxRevoked
	checkAll bool                 // re-check every bound session at the next tick
	reRevoke bool                 // revoke those ids again before that
}

// New returns a Manager. It does not touch Redis.
func New(cfg Config) *Manager {
	if cfg.Prefix == "" {
		cfg.Prefix = "fx:"
	}
	if cfg.Node == "" {
		cfg.Node = newToken()[:8]
	}
	cfg.TTL = positive(cfg.TTL, time.Hour)
	cfg.AbsoluteTTL = positive(cfg.AbsoluteTTL, 24*time.Hour)
	cfg.Grace = positive(cfg.Grace, time.Minute)
	if cfg.MaxData <= 0 {
		cfg.MaxData = 8192
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		cfg: cfg, rdb: cfg.Redis, log: cfg.Logger, start: time.Now(),
		wakeCheck: make(chan struct{}, 1),
		wakeEnds:  make(chan struct{}, 1),
		follow:    make(chan renewal, followQueue),
		bound:     make(map[string]*bound),
		revoked:   make(map[string]time.Time),
	}
	now := time.Now()
	m.began.Store(&now)
	m.control = m.newControl()
	m.metrics = newMetrics(cfg.Registerer, m)
	m.Leases = newLeases(cfg.Redis, m.metrics, m.log)
	return m
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
