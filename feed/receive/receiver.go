// Package receive hands on the quotes that Redis accepted, each once and in order.
//
// When Redis fails: a Receiver notices within 3 s, by test messages that go
// through Redis. It reports that, opens its connections again and reads what it
// missed from history before it goes on. What history no longer has is not handed
// on: it shows as a gap in the sequence and is counted. What Redis itself lost
// (replication is asynchronous, a server may come back empty) shows as a new
// epoch. Statuses turn stale meanwhile.
//
// The path of a quote:
//
//	Receiver.receive     one message; never waits           (1 goroutine per connection)
//	Receiver.receiveTick decodes it
//	Board.Apply          takes the lock of all symbols
//	* sequence.Offer     passes the tick on, or holds it while one before is missing
//	* value.set          last value and status of the symbol
//	* Board.handOver     without the lock, in order: Sink.Publish
//
// What is missing comes by a side path: Receiver.fill reads history, Board.refill
// gives it to sequence.Refill, and value and handover follow as above.
package receive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// ReceiverConfig configures NewReceiver. Redis, Node, Board and Sink are required.
type ReceiverConfig struct {
	Redis redis.UniversalClient // used for its options; see PublisherConfig
	Keys  feed.Keys
	Node  string // unique among the nodes of this Redis

	Channels []string // further channels to relay
	Board    *Board
	Sink     Sink              // for Relay; the Board's gets the quotes
	Lost     *redislink.Signal // set while quotes do not arrive; may be nil

	// Wanted tells whether somebody on this node wants a symbol; only such are
	// received. It must not block. InterestChanged tells when the answer may
	// have changed. nil means every known symbol is.
	Wanted func(symbol string) bool
	// Linger is for how long a symbol that nobody wants any more is still
	// received; 0 = 30 s.
	Linger time.Duration

	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Receiver receives accepted quotes from Redis and gives them to the Board.
//
// A symbol is received while it is wanted. It is subscribed to first; then its
// last value is read, and merged with what came meanwhile; from then on the
// Board hands on every quote.
//
// When a connection to Redis fails or is silent for 3 s it is opened again, with
// growing pauses and for as long as it takes. Quotes whose messages were lost
// meanwhile are read from history, up to 10,000 of a symbol as far as Redis keeps
// them, before later ones are handed on; those that can not be had within 5 s
// are counted in fx_feed_missed_total. After 3 s without any message Lost is
// set, until everything is up to date again.
// In a cluster each symbol has a connection of its own, to the server that has
// its slot, and each fails and heals by itself.
type Receiver struct {
	cfg     ReceiverConfig
	log     *slog.Logger
	metrics *receiverMetrics
	started atomic.Bool
	wake    chan struct{} // holds a token when changed was added to

	// Set when Run begins, before it starts anything.
	client  redis.UniversalClient
	cluster bool
	lasts   lastValues
	main    *connection

	mu      sync.Mutex    // guards connections and changed
	conns   []*connection // in use; the main one first
	changed map[feed.Symbol]bool

	// Owned by Run's goroutine.
	followers   map[feed.Symbol]*follower
	symbolConns map[feed.Symbol]*symbolConn
	degraded    bool

	badLog atomic.Int64 // when a bad message was last logged, Unix seconds
}

// NewReceiver returns a Receiver that works once Run is called.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	cfg.Channels = slices.Compact(slices.Sorted(slices.Values(cfg.Channels)))
	if cfg.Linger <= 0 {
		cfg.Linger = 30 * time.Second
	}
	r := &Receiver{
		cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), wake: make(chan struct{}, 1), changed: map[feed.Symbol]bool{},
		followers: map[feed.Symbol]*follower{}, symbolConns: map[feed.Symbol]*symbolConn{},
	}
	r.metrics = newReceiverMetrics(cfg.Registerer, func() float64 { return r.ProbeAge().Seconds() })
	return r
}

// ProbeAge returns how long ago the newest test message that came back through
// Redis was sent: about a second at most in good health, the largest duration
// if none came back yet. With several connections it is that of the worst.
func (r *Receiver) ProbeAge() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) == 0 {
		return math.MaxInt64
	}
	worst := r.conns[0].listener.ProbeAge()
	for _, c := range r.conns[1:] {
		worst = max(worst, min(c.listener.ProbeAge(), time.Since(c.made))) // it may be new
	}
	return worst
}

// Run receives until ctx ends and returns nil. It may be called once.
//
//	Run               gives the connections what is wanted, watches them
//	* connection      see there                             (1 goroutine for each, and those it starts)
//	* watchSymbols    new symbols                           (1 goroutine)
//	* fill            what is missing, from history         (1 goroutine)
func (r *Receiver) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("feed: Receiver.Run called twice")
	}
	client, release := redislink.Own(r.cfg.Redis, redislink.OwnOptions{PoolSize: 4})
	defer release()
	r.client, r.cluster = client, redislink.TopologyOf(client).Kind() == redislink.Cluster
	r.lasts = lastValues{client, r.cfg.Keys, r.cfg.Board.cfg.QuoteTTL}
	r.main = newConnection(r, r.cfg.Keys.Probe(r.cfg.Node, "quotes"), false, r.cfg.Channels)
	r.mu.Lock()
	r.conns = []*connection{r.main}
	r.mu.Unlock()
	r.cfg.Board.setRefills(true)
	defer r.cfg.Board.setRefills(false)

	var parts sync.WaitGroup
	parts.Go(func() { _ = r.main.listener.Run(ctx) }) // nil: it is not optional
	parts.Go(func() { r.watchSymbols(ctx) })
	parts.Go(func() { r.fill(ctx) })
	r.steer(ctx)
	parts.Wait()
	return nil
}

// checkDegraded notes when nothing has come on some connection for too long, and when
// all are up to date again.
func (r *Receiver) checkDegraded() {
	r.mu.Lock()
	connections := slices.Clone(r.conns)
	r.mu.Unlock()
	lost, whole := false, true
	for _, c := range connections {
		silent := c.listener.Silent() >= redislink.DefaultSilence
		lost = lost || silent
		whole = whole && !silent && c.synced.Load()
	}
	switch {
	case lost == r.degraded, !lost && (!whole || len(r.cfg.Board.openGaps()) > 0):
		return
	}
	r.degraded = lost
	r.metrics.degraded.Set(0)
	if lost {
		r.metrics.degraded.Set(1)
	}
	r.log.Warn("delivery from Redis", "degraded", lost)
	if r.cfg.Lost != nil {
		r.cfg.Lost.Set(lost)
	}
}

// receive takes one message. Each is a sign that the connection is alive.
func (r *Receiver) receive(channel, payload string) (alive bool) {
	if s, ok := r.cfg.Keys.SymbolOf(channel); ok {
		r.receiveTick(s, payload)
	} else {
		r.relay(channel, payload)
	}
	return true
}

func (r *Receiver) receiveTick(s feed.Symbol, payload string) {
	t, err := feed.DecodeTick([]byte(payload))
	if err == nil && t.Symbol != s {
		err = fmt.Errorf("feed: a quote of %s came on another symbol's channel", t.Symbol)
	}
	if err != nil {
		r.metrics.bad.Inc()
		now, last := time.Now().Unix(), r.badLog.Load()
		if now-last > 60 && r.badLog.CompareAndSwap(last, now) {
			r.log.Warn("bad message on a quote channel ignored; more within a minute are only counted", "symbol", feed.Quoted(string(s)), "err", err)
		}
		return
	}
	r.metrics.received.Inc()
	r.metrics.lag.Observe(max(float64(time.Now().UnixMicro()-t.At)/1e6, 0))
	r.cfg.Board.Apply(t)
}

// maxRelayBytes bounds a relayed message.
const maxRelayBytes = 16 << 10

func (r *Receiver) relay(channel, payload string) {
	if len(payload) > maxRelayBytes {
		r.metrics.relayTooLong.Inc()
		return
	}
	r.metrics.relayed.Inc()
	data := []byte(payload)
	if !utf8.Valid(data) || !json.Valid(data) {
		data, _ = json.Marshal(strings.ToValidUTF8(payload, "\ufffd")) // a string always can be
	}
	r.cfg.Sink.Relay(channel, data)
}
