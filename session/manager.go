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

// Config holds the settings of a Manager. Only Redis is required.
type Config struct {
	// Redis should have ContextTimeoutEnabled. Without it, a call may outlast its context by the
	// timeouts and retries of the client.
	Redis  redis.UniversalClient
	Prefix string // of the control channel <Prefix>control; "" = "fx:"
	Node   string // the name of this node in notices; "" = random

	TTL         time.Duration // idle lifetime; 0 = 1 h
	AbsoluteTTL time.Duration // the lifetime that no extension exceeds; 0 = 24 h
	GuestTTL    time.Duration // idle lifetime of guests; 0 = 10 min
	GuestMax    int           // the most guests, over all nodes; 0 = no limit
	AutoExtend  bool          // activity extends a session: see Use, Touch and Bind
	Grace       time.Duration // how long bindings stay while Redis does not confirm their session; 0 = 60 s
	MaxData     int           // the most bytes of Draft.Data; 0 = 8192

	// OnDegraded is called with true when Redis is lost, and with false when it is back. All calls
	// come from one goroutine. OnDegraded must not block. nil = no calls.
	OnDegraded func(bool)

	Registerer prometheus.Registerer // nil = metrics are counted but not registered
	Logger     *slog.Logger          // nil = no log
}

// A Manager creates, reads and ends sessions. Its methods are safe for concurrent use. A method
// with a context blocks for a few round trips to Redis. Run maintains bindings and leases.
type Manager struct {
	// Static after construction.
	cfg     Config
	rdb     redis.UniversalClient
	log     *slog.Logger
	metrics *metrics
	start   time.Time // the zero moment
	control *redislink.Listener

	// Leases counts connections per user over all nodes.
	Leases *Leases

	running  atomic.Bool
	degraded atomic.Bool
	silent   atomic.Bool               // Redis answered no background call for lostAfter
	began    atomic.Pointer[time.Time] // the start of Run; before that, the time of New
	answered atomic.Pointer[time.Time] // the last answer of Redis to a re-check; nil = none

	wakeCheck chan struct{} // capacity 1: a check is due before the next tick
	wakeEnds  chan struct{} // capacity 1: ends is not empty
	follow    chan renewal  // renewals to look up, bounded

	mu       sync.Mutex           // guards the fields below; held over no I/O and no callback
	bound    map[string]*bound    // by session id
	ends     []ended              // bindings whose onEnd is to be called; at most one entry per binding
	revoked  map[string]time.Time // revoked ids, and until when to keep them (monotonic); at most maxRevoked
	checkAll bool                 // re-check every bound session at the next tick
	doubts   uint64               // how often Redis may have forgotten revocations
	settled  uint64               // the doubts after which the ids of revoked were revoked again
}

// New returns a Manager. It does not call Redis and starts no goroutine.
func New(cfg Config) *Manager {
	if cfg.Prefix == "" {
		cfg.Prefix = "fx:"
	}
	if cfg.Node == "" {
		cfg.Node = newToken()[:8]
	}
	cfg.TTL = positive(cfg.TTL, time.Hour)
	cfg.GuestTTL = positive(cfg.GuestTTL, 10*time.Minute)
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
