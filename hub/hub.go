// Package hub fans quotes out to subscribers.
//
// It knows topics ("EUR/USD"), sequence numbers and bytes, but neither Redis nor HTTP nor
// WebSockets. Each quote is encoded and framed once. A few shard goroutines then write it to every
// subscriber of its topic, and never wait for a connection.
//
// The path of a quote, which is also the order in which to read the package:
//
//	Hub.Publish        frame the quote once; per shard keep only the newest of a topic,
//	                   or all of them if a subscription there wants every tick
//	shard.run          one goroutine per shard owns its clients
//	  shard.collect      append what was published to the log of its topic
//	    shard.offer        (fanout.go) to each audience: clients with equal subscriptions; max_rate: wheel
//	    shard.gather       (pace.go) of an audience with a pace, only noted until its next beat
//	    shard.spread       set the topic's bit of each client
//	  shard.serve        (write.go) one client: join all pending quotes into one Conn.Write
//	    shard.share        (joint.go) the batch built last, if the client has the same quotes
//	    shard.fillQuotes   (quotes.go) otherwise build one, from what the client has of each topic
//	Client.Ready       the connection has room again: the client is served again
//
// Beside its quotes a topic has candles and day figures. They are rare and take a path of their own:
// series.go has what is published, watcher.go what each client receives, and watch.go what it asks for.
//
// The log of a topic is one queue for all clients of a shard, and a client's mark says what it has
// of it. A client that wants the newest quote takes the end of the log: a slow one receives fewer
// quotes, and the topics it subscribed to bound its memory. A client that wants every tick takes all
// after its mark. An aligned pace sees a part of the log (view.go). The log is bounded. A client that falls behind its beginning is closed and can
// resume from the position it has reached.
package hub

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrClosed is returned to a client that joins while the hub is draining or
// after Run has returned.
var ErrClosed = errors.New("hub: closed")

// Config configures New. Framings is required. Zero durations and a zero Shards use the default
// named at each field.
type Config struct {
	Framings     []Framing     // one to four; JoinOptions.Framing is an index; the most common one first
	Shards       int           // writer goroutines; default GOMAXPROCS
	Heartbeat    time.Duration // longest time without a message on a connection; default 1 s
	Ping         time.Duration // time between pings; a peer silent for three of them is closed; default 20 s
	WriteTimeout time.Duration // a connection that takes nothing for this long is closed with 1013; default 10 s
	// Interest is called with a topic when the answer of Wanted, WantsCandles or WantsDay for it may
	// have changed. Shards call it, so it must not block. With Interest set, quotes of a topic come
	// only between Follow(true) and Follow(false). nil means that quotes of every topic always come.
	Interest func(topic string)
	// Ordered means that quotes of all topics are published in the order of their acceptance, as they
	// come from one Redis server. Then a quote shows that all before it have been published.
	Ordered    bool
	Registerer prometheus.Registerer
}

// Hub fans quotes out to its clients. It is safe for concurrent use, except that the calls for one
// topic (Publish, SetStatus, Drop, Follow, List) must be made one after another, as from a single
// goroutine.
type Hub struct {
	// Static after construction.
	cfg    Config
	binary [maxFramings]BinaryFraming // cfg.Framings that are binary; nil for the others
	shards []*shard
	start  time.Time
	stats  *metrics

	draining atomic.Bool
	done     chan struct{} // closed when Run has returned

	mu     sync.RWMutex // guards topics and their series; nothing is called under it
	topics map[string]*topic

	clock  redisClock
	newest atomic.Int64 // when the last quote was accepted, if they are ordered, in Unix microseconds
}

// New returns a Hub. Run must be running before clients are served. New panics unless cfg has one
// to four framings.
func New(cfg Config) *Hub {
	if n := len(cfg.Framings); n == 0 || n > maxFramings {
		panic("hub: Config.Framings must have one to four framings")
	}
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = time.Second
	}
	if cfg.Ping <= 0 {
		cfg.Ping = 20 * time.Second
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	h := &Hub{cfg: cfg, start: time.Now(), done: make(chan struct{}), topics: make(map[string]*topic)}
	for i, f := range cfg.Framings {
		h.binary[i], _ = f.(BinaryFraming)
	}
	for i := range cfg.Shards {
		h.shards = append(h.shards, newShard(h, i))
	}
	h.stats = newMetrics(h, cfg.Registerer)
	return h
}

// Run serves clients until ctx ends, waits for all shards and returns nil. It does not close the
// remaining clients: call Drain first.
func (h *Hub) Run(ctx context.Context) error {
	var shards sync.WaitGroup
	for _, s := range h.shards {
		shards.Go(func() { s.run(ctx) })
	}
	shards.Wait()
	close(h.done)
	return nil
}

// Publish passes a quote of a topic to its subscribers and never waits for a client. body is the
// quote's JSON object without the closing brace; it is copied. seq grows by one per quote within an
// epoch. at is the quote's acceptance in Unix microseconds, for the latency metric.
func (h *Hub) Publish(name, epoch string, seq uint64, body []byte, at int64) {
	topic := h.topic(name)
	topic.list(true)
	t := newTick(h.cfg.Framings[0], topic.number, topic.newest, topic.intern(epoch), seq, body, at)
	topic.newest = t
	h.stats.published.Inc()
	h.clock.observe(at, time.Since(h.start))
	for _, p := range topic.inShard {
		p.shard.publish(p, t)
	}
	if h.cfg.Ordered {
		h.newest.Store(at)
	}
}

// SetStatus changes the status of a topic. Its subscribers receive the change. While the status is
// not "live", each quote carries it too. A source that is not empty is also sent, even if the
// status stays the same.
func (h *Hub) SetStatus(name, status, source string, since time.Time) {
	c := &statusChange{status: status, source: source, since: since}
	for _, p := range h.topic(name).inShard {
		p.shard.setStatus(p, c)
	}
}

// Drop forgets a topic's last quote: clients that subscribe afterwards receive no snapshot.
func (h *Hub) Drop(name string) {
	for _, p := range h.topic(name).inShard {
		p.shard.drop(p)
	}
}

// Follow sets whether every tick of a topic is published from now on. The topic's last quote, if
// there is one, must be published before Follow(true). Clients that subscribed before Follow(true)
// then receive it as their snapshot. Follow(false) implies Drop, and the ticks published until the
// next Follow(true) need not be complete.
func (h *Hub) Follow(name string, following bool) {
	for _, p := range h.topic(name).inShard {
		p.shard.follow(p, following)
	}
}

// List sets whether wildcards match a topic; Publish lets them match it too. List(false) ends the
// subscriptions of clients whose only match is a wildcard.
func (h *Hub) List(name string, listed bool) { h.topic(name).list(listed) }

// Wanted reports whether any client is subscribed to a topic, its candles or its day figures.
func (h *Hub) Wanted(name string) bool {
	h.mu.RLock()
	t := h.topics[name]
	h.mu.RUnlock()
	return t != nil && t.listeners.Load() > 0
}

// Relay sends data, one JSON value, to the subscribers of a relayed channel; it is copied. At most
// 64 messages wait for each client. Beyond that the oldest is dropped, and the next message carries
// the number of dropped ones.
func (h *Hub) Relay(channel string, data []byte) {
	m := append([]byte(nil), data...)
	for _, s := range h.shards {
		s.postRelay(channel, m)
	}
}

// Degraded reports to every client that the source of quotes is lost, or that it is back.
func (h *Hub) Degraded(degraded bool) {
	for _, s := range h.shards {
		s.do(func() { s.setDegraded(degraded) })
	}
}

// Join adds a connection to the shard with the fewest clients. The caller must call Leave when the
// connection has ended, whichever side ended it. Join returns ErrClosed while the hub drains and
// after Run has returned.
func (h *Hub) Join(conn Conn, o JoinOptions) (*Client, error) {
	select {
	case <-h.done:
		return nil, ErrClosed
	default:
	}
	if h.draining.Load() {
		return nil, ErrClosed
	}
	s := h.shards[0]
	for _, other := range h.shards[1:] {
		if other.size.Load() < s.size.Load() {
			s = other
		}
	}
	c := newClient(s, conn, o)
	if o.Joined != nil {
		o.Joined(c)
	}
	s.size.Add(1)
	s.do(func() { s.join(c, o.Welcome) })
	return c, nil
}

// AwaitRest waits until no shard is fanning out, for about limit at most. Work that takes long and
// can wait should begin then, since a shard needs a processor only when quotes come.
func (h *Hub) AwaitRest(limit time.Duration) {
	for until := time.Since(h.start) + limit; ; time.Sleep(restLook) {
		runtime.Gosched()
		resting := true
		for _, s := range h.shards {
			resting = resting && s.rests.Load()
		}
		if resting || time.Since(h.start) >= until {
			return
		}
	}
}

// Ping returns the time between pings.
func (h *Hub) Ping() time.Duration { return h.cfg.Ping }

// Clients returns the number of clients that have joined and not left.
func (h *Hub) Clients() int {
	n := 0
	for _, s := range h.shards {
		n += int(s.size.Load())
	}
	return n
}

// Drain closes all clients with 1012, each after a message that advises when to reconnect. It
// spreads them evenly over pace, however few they are, so that other nodes receive them one by one.
// Drain returns nil when all clients have left or the hub has stopped, and otherwise ctx's error.
func (h *Hub) Drain(ctx context.Context, pace time.Duration) error {
	h.draining.Store(true)
	var clients []*Client
	for _, s := range h.shards {
		found := make(chan []*Client, 1)
		s.do(func() {
			all := make([]*Client, len(s.clients))
			for i, m := range s.clients {
				all[i] = m.client
			}
			found <- all
		})
		select {
		case cs := <-found:
			clients = append(clients, cs...)
		case <-h.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	start := time.Now()
	for i, c := range clients {
		due := start.Add(pace * time.Duration(i) / time.Duration(len(clients)))
		if ended, err := h.awaitEmpty(ctx, time.Until(due)); ended {
			return err
		}
		c.CloseRestart(drainBackoff())
	}
	_, err := h.awaitEmpty(ctx, math.MaxInt64)
	return err
}

// awaitEmpty waits for patience, or until ended: all clients have left, the hub has stopped, or ctx
// has ended, with its error.
func (h *Hub) awaitEmpty(ctx context.Context, patience time.Duration) (ended bool, err error) {
	const look = 20 * time.Millisecond
	for ; h.Clients() > 0; patience -= look {
		if patience <= 0 {
			return false, nil
		}
		select {
		case <-time.After(min(patience, look)):
		case <-h.done:
			return true, nil
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
	return true, nil
}

// drainBackoff returns how long a drained client should wait before it reconnects: a random time of
// 0.2 to 2.2 s, so that other nodes are not hit by all clients at once.
func drainBackoff() time.Duration { return rand.N(2*time.Second) + 200*time.Millisecond }
