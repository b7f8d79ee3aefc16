// Package receive delivers the quotes that Redis accepted, each once and in order.
//
// When Redis fails, a Receiver notices within 3 s, by probes that it sends through Redis. It
// reports the failure, reconnects, and reads the quotes it missed from history before it delivers
// later ones. Quotes that history no longer has are not delivered: they show as a gap in the
// sequence and are counted. When Redis itself lost quotes, a new epoch begins; replication is
// asynchronous, and a server may come back empty. Meanwhile statuses turn stale.
//
// The path of a quote:
//
//	Receiver.receive     handles one message; never waits   (1 goroutine per connection)
//	Receiver.receiveTick decodes it
//	Board.Apply          takes the lock of all symbols
//	* sequence.Offer     passes the tick on, or holds it while an earlier one is missing
//	* value.set          updates the last value and the status of the symbol
//	* Board.handOver     calls Sink.Publish in order, without the lock
//
// Missing quotes take a side path: Receiver.fill reads history and Board.refill passes the ticks to
// sequence.Refill. From there value and handover follow as above.
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
	Redis redis.UniversalClient // only its options are used; see accept.PublisherConfig
	Keys  feed.Keys
	Node  string // unique among the nodes of this Redis

	Channels []string // further channels to relay
	Board    *Board
	Sink     Sink              // receives relayed messages; quotes go to the Board's Sink
	Lost     *redislink.Signal // set by NewReceiver, and while quotes cannot be received; may be nil

	// Wanted reports whether any client of this node wants a symbol; only wanted symbols are
	// received. It must not block. Call InterestChanged when the answer may have changed. nil means
	// that every known symbol is wanted.
	Wanted func(symbol string) bool
	// Linger is how long a symbol is still received after it was last wanted; 0 = 30 s.
	Linger time.Duration

	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Receiver receives accepted quotes from Redis and applies them to the Board.
//
// A symbol is received while it is wanted. The Receiver first subscribes to it, then reads its last
// value and merges it with the ticks that came meanwhile. From then on the Board delivers every
// quote.
//
// A connection that fails or is silent for 3 s is reopened, with growing pauses and without giving
// up. Quotes missed meanwhile are read from history before later ones are delivered: up to 10,000
// per symbol, if Redis still keeps them. Quotes that cannot be read within 5 s are counted in
// fx_feed_missed_total.
//
// ReceiverConfig.Lost is set until everything is up to date for the first time. It is set again
// after 3 s without any message, or without a probe that came back, until everything is up to date
// again. In a cluster there is one connection to each master, for all symbols whose slots it owns.
// Each connection fails and recovers independently, and a symbol follows its slot to another one.
type Receiver struct {
	cfg     ReceiverConfig
	log     *slog.Logger
	metrics *receiverMetrics
	started atomic.Bool
	wake    chan struct{} // holds a token after a symbol was added to changed

	masterConns sync.WaitGroup // the connections to the masters of a cluster

	// Set by Run before it starts a goroutine.
	client  redis.UniversalClient // for commands: it leaves a master that Sentinel has replaced
	cluster bool
	lasts   lastValues
	main    *connection

	mu      sync.Mutex    // guards conns and changed
	conns   []*connection // in use; main is first
	changed map[feed.Symbol]bool

	// Owned by Run's goroutine.
	followers    map[feed.Symbol]*follower
	masters      map[*redis.Client]*masterConn // of a cluster; some may be ending
	lookedInVain bool                          // the slots of a cluster are not known
	degraded     bool

	badLog atomic.Int64 // Unix seconds when a bad message was last logged
}

// NewReceiver returns a Receiver that starts receiving when Run is called.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	cfg.Channels = slices.Compact(slices.Sorted(slices.Values(cfg.Channels)))
	if cfg.Linger <= 0 {
		cfg.Linger = 30 * time.Second
	}
	r := &Receiver{
		cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), wake: make(chan struct{}, 1), changed: map[feed.Symbol]bool{},
		followers: map[feed.Symbol]*follower{}, masters: map[*redis.Client]*masterConn{},
	}
	r.metrics = newReceiverMetrics(cfg.Registerer, func() float64 { return r.ProbeAge().Seconds() })
	r.setDegraded(true) // nothing has come through Redis yet
	return r
}

// ProbeAge returns how long ago the newest probe that came back through Redis was sent. A healthy
// connection stays at about one second or less. Before the first probe came back it is the largest
// duration. With several connections ProbeAge returns the age of the worst one.
func (r *Receiver) ProbeAge() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) == 0 {
		return math.MaxInt64
	}
	worst := r.conns[0].listener.ProbeAge()
	for _, c := range r.conns[1:] {
		worst = max(worst, c.probeAge())
	}
	return worst
}

// Run receives quotes until ctx ends, waits for its goroutines and returns nil. It must be called
// only once.
//
//	Run               assigns wanted symbols to connections and watches them
//	* connection      see connection                        (1 goroutine each, and those it starts)
//	* watchSymbols    finds new symbols                     (1 goroutine)
//	* fill            reads missing ticks from history      (1 goroutine)
//	* renew           ends epochs that Redis went back to   (1 goroutine)
func (r *Receiver) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("feed: Receiver.Run called twice")
	}
	client, release := redislink.Own(r.cfg.Redis, redislink.OwnOptions{PoolSize: 4})
	defer release()
	r.client, r.cluster = redislink.Prober(r.cfg.Redis, client), redislink.TopologyOf(client).Kind() == redislink.Cluster
	r.lasts = newLastValues(r.client, r.cfg.Keys, r.cfg.Board)
	r.main = newConnection(r, client, r.cfg.Keys.Probe(r.cfg.Node, "quotes"), false, r.cfg.Channels)
	r.mu.Lock()
	r.conns = []*connection{r.main}
	r.mu.Unlock()
	r.cfg.Board.setRefills(true)
	defer r.cfg.Board.setRefills(false)

	var parts sync.WaitGroup
	parts.Go(func() { _ = r.main.listener.Run(ctx) }) // always nil: the listener is not optional
	parts.Go(func() { r.watchSymbols(ctx) })
	parts.Go(func() { r.fill(ctx) })
	parts.Go(func() { r.renew(ctx) })
	r.steer(ctx)
	parts.Wait()
	return nil
}

// checkDegraded sets Lost when a connection is lost, or no server of a cluster serves a symbol. It
// clears it when all connections are whole and no gap is open.
func (r *Receiver) checkDegraded() {
	r.mu.Lock()
	connections := slices.Clone(r.conns)
	r.mu.Unlock()
	lost, whole := false, true
	for _, c := range connections {
		lost = lost || c.lost()
		whole = whole && c.whole()
	}
	for _, f := range r.followers {
		if !f.missing.IsZero() {
			whole, lost = false, lost || time.Since(f.missing) >= redislink.DefaultSilence
		}
	}
	switch {
	case lost == r.degraded, !lost && (!whole || len(r.cfg.Board.openGaps()) > 0):
		return
	case lost:
		r.log.Warn("quotes cannot be received from Redis")
	default:
		r.log.Info("quotes are received from Redis")
	}
	r.setDegraded(lost)
}

func (r *Receiver) setDegraded(degraded bool) {
	r.degraded = degraded
	r.metrics.degraded.Set(0)
	if degraded {
		r.metrics.degraded.Set(1)
	}
	if r.cfg.Lost != nil {
		r.cfg.Lost.Set(degraded)
	}
}

// receive handles one message. Every message shows that the connection is alive.
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
		err = fmt.Errorf("feed: a quote of %s came on the channel of another symbol", t.Symbol)
	}
	if err != nil {
		r.metrics.bad.Inc()
		now, last := time.Now().Unix(), r.badLog.Load()
		if now-last > 60 && r.badLog.CompareAndSwap(last, now) {
			r.log.Warn("bad message on a quote channel ignored; further ones within a minute are only counted", "symbol", feed.Quoted(string(s)), "err", err)
		}
		return
	}
	if t.Halted {
		r.cfg.Board.halt(t)
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
		data, _ = json.Marshal(strings.ToValidUTF8(payload, "\ufffd")) // encoding a string cannot fail
	}
	r.cfg.Sink.Relay(channel, data)
}
