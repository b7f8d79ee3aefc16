// Package session keeps who may listen, and for how long, in Redis, and ends what is bound to a
// session (open sockets) when the session ends, on every node.
//
// # Keys
//
//	session:<id>             string, JSON; id = hex SHA-256 of the token; the token itself is never stored
//	session:user:<user_id>   set of ids of a user's sessions
//	session:ticket:<hash>    string, the id of the session a one-use ticket belongs to
//	session:connections:<user_id>  sorted set, connection id by the end of its lease (Unix ms)
//
// The value of a session key is a JSON object another program may write:
//
//	{"user_id":"123","role":"user","data":{…},"ttl_seconds":3600,"created_at":"2026-11-22T10:15:00.000Z",
//	 "last_seen_at":"…","absolute_expires_at":"…","address":"192.0.2.7","agent":"…"}
//
// Required are user_id (string or whole number) and role. Times are RFC 3339 or Unix seconds. Without
// ttl_seconds the expiry the key has when first seen is its ttl; a key without expiry is given the ttl;
// without absolute_expires_at it becomes created_at (or the moment it was first seen) plus the absolute
// lifetime. Fields not named here are kept. A program that makes sessions should SADD the id to the
// user's set too, before it makes the key: RevokeUser and List find sessions by that set. Deleting the key ends
// the session; its sockets close within 5 s. The token should carry at least 128 random bits.
//
// A value that starts with {"tombstone": is no session but says, for a moment, that one was renewed or
// must not be made.
//
// # Time
//
// Redis alone decides when a session ends: expiries are its own and absolute lifetimes are compared
// with its clock. Waits on this node use monotonic time, so a wall clock that jumps moves nothing.
//
// # When Redis fails
//
// Slow or gone: every call returns an error that wraps [ErrUnavailable]; nobody is let in by an error.
// When nothing has been answered for 3 s they do so at once, until Run finds Redis back; only revocations are still tried.
// Bindings keep going until [Config].Grace after their session was last confirmed, then end with [Unverified].
// Restarting (LOADING) counts as gone. Back with its data: ids seen revoked are deleted again, so an
// older copy of the data does not bring them back. Back without its data: the sessions are gone and
// their bindings end. Full: no session can be made; existing ones can be extended and revoked.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// What a caller may branch on.
var (
	// ErrNotFound: no such session, token or ticket, or it has ended.
	ErrNotFound = errors.New("session: not found")
	// ErrCorrupt: the key exists and cannot be read as a session. To a client it is the same as ErrNotFound.
	ErrCorrupt = errors.New("session: corrupt")
	// ErrUnavailable: Redis did not answer, or refused. Nothing is known about the session.
	ErrUnavailable = redislink.ErrUnavailable
	// ErrInvalid: a draft or change is not acceptable; the text names the field.
	ErrInvalid = errors.New("session: invalid")
)

// Session is what is known about a session when it was read. It is a value: changing it changes nothing in Redis.
// Its JSON form has no secret in it.
type Session struct {
	ID                string          `json:"session_id"` // public: safe in URLs and logs
	UserID            string          `json:"user_id"`
	Role              string          `json:"role"`
	Data              json.RawMessage `json:"data,omitempty"` // shared, not to be written to
	CreatedAt         time.Time       `json:"created_at,omitzero"`
	LastSeenAt        time.Time       `json:"last_seen_at,omitzero"` // as of the last extension
	ExpiresAt         time.Time       `json:"expires_at"`            // unless extended
	AbsoluteExpiresAt time.Time       `json:"absolute_expires_at,omitzero"`
	TTL               time.Duration   `json:"-"` // what an extension gives
	Address           string          `json:"address,omitempty"`
	Agent             string          `json:"agent,omitempty"`

	value     string        // of the key, as read
	remaining time.Duration // of the key when read; negative: it had no expiry
	redisNow  time.Time     // Redis's clock when read
	readAt    time.Time     // this node's, monotonic
}

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

// Load returns the session a token opens. A token that cannot be one is ErrNotFound without asking Redis.
// Load does not extend: see Use and Touch.
func (m *Manager) Load(ctx context.Context, token string) (Session, error) {
	if !validToken(token) {
		m.metrics.loads[loadNotFound].Inc()
		return Session{}, ErrNotFound
	}
	return m.LoadID(ctx, ID(token))
}

// Use is Load for a request of the session's user: it extends the session if auto-extend is on and that
// is due. Redis failing at the extension does not take a good session away.
func (m *Manager) Use(ctx context.Context, token string) (Session, error) {
	s, err := m.Load(ctx, token)
	if err != nil {
		return Session{}, err
	}
	extended, err := m.Touch(ctx, s)
	if errors.Is(err, ErrUnavailable) {
		m.log.Warn("session: not extended", "session_id", s.ID, "err", err)
		return s, nil
	}
	return extended, err
}

// LoadID returns a session by its public id.
func (m *Manager) LoadID(ctx context.Context, id string) (Session, error) {
	s, err := m.load(ctx, id)
	m.metrics.loads[loadResultOf(err)].Inc()
	if errors.Is(err, ErrCorrupt) {
		m.log.Warn("session: key cannot be read", "session_id", id, "err", err)
	}
	return s, err
}

func (m *Manager) load(ctx context.Context, id string) (Session, error) {
	if !ValidID(id) || m.isRevoked(id) {
		return Session{}, ErrNotFound
	}
	if err := m.answers(); err != nil {
		return Session{}, err
	}
	for range writeAttempts {
		s, err := m.read(ctx, id)
		if err != nil {
			return Session{}, err
		}
		if s.complete() {
			return s, nil
		}
		// Written by another program: give it what it lacks, once.
		ttl := s.TTL
		if s.remaining > 0 {
			ttl = s.remaining
		}
		code, err := m.write(ctx, &s, ttl)
		switch {
		case err != nil:
			return Session{}, err
		case code == written:
			m.metrics.adopted.Inc()
			return s, nil
		case code == passed:
			return Session{}, ErrNotFound
		}
	}
	return Session{}, fmt.Errorf("%w: the session changed at every try", ErrUnavailable)
}

// answers spares a caller the wait where Redis is known to be lost; Run finds out when it is back.
func (m *Manager) answers() error {
	if m.silent.Load() {
		return fmt.Errorf("%w: it does not answer", ErrUnavailable)
	}
	return nil
}

// complete reports whether the key has all this package counts on.
func (s *Session) complete() bool {
	return s.remaining > 0 && !s.AbsoluteExpiresAt.IsZero() && s.remaining <= s.Left()+time.Second && s.Left() > 0
}

// Left is the time to the absolute expiry, by Redis's clock when s was read.
func (s *Session) Left() time.Duration { return s.AbsoluteExpiresAt.Sub(s.redisNow) }

// idle is the time since the last extension, by Redis's clock where that makes sense, else by the time left.
func (s *Session) idle() time.Duration {
	if d := s.redisNow.Sub(s.LastSeenAt); !s.LastSeenAt.IsZero() && d >= 0 {
		return d
	}
	return s.TTL - s.remaining
}

// ExtensionDue reports whether a use should extend s: the last extension is at least a third of the
// ttl ago, and the absolute lifetime leaves something to gain.
func (s *Session) ExtensionDue() bool {
	gain := min(s.TTL, s.Left()) - s.remaining
	return s.idle() >= s.TTL/3 && gain >= min(time.Second, s.TTL/3)
}

// Touch extends s if auto-extend is on and an extension is due; otherwise it returns s without a round trip.
func (m *Manager) Touch(ctx context.Context, s Session) (Session, error) {
	if !m.cfg.AutoExtend || !s.ExtensionDue() {
		return s, nil
	}
	code, err := m.write(ctx, &s, s.TTL)
	switch {
	case err != nil:
		return s, err
	case code == written:
		m.metrics.extended.Inc()
		return s, nil
	}
	return m.load(ctx, s.ID) // another node was first, or it is gone
}

// Extend gives a session its own ttl again, counted from now, never past its absolute expiry.
func (m *Manager) Extend(ctx context.Context, id string) (Session, error) {
	for range writeAttempts {
		s, err := m.load(ctx, id)
		if err != nil {
			return Session{}, err
		}
		code, err := m.write(ctx, &s, s.TTL)
		switch {
		case err != nil:
			return Session{}, err
		case code == written:
			m.metrics.extended.Inc()
			return s, nil
		}
	}
	return Session{}, fmt.Errorf("%w: extend: the session changed at every try", ErrUnavailable)
}
