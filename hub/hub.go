// Package hub fans quotes out to subscribers.
//
// It knows topics ("EUR/USD"), sequence numbers and bytes; it knows neither
// Redis nor HTTP nor WebSockets. A quote is encoded and framed once, and then
// written to every subscriber of its topic by a few shard goroutines that never
// wait for a connection.
//
// The path of a quote, which is also the order in which to read the package:
//
//	Hub.Publish        frame the quote once; per shard keep only the newest of a topic,
//	                   or all of them where somebody wants every tick
//	shard.run          one goroutine per shard owns its clients and their subscriptions
//	  shard.collect      take what was published; offer it to the topic's subscriptions
//	    shard.offer        replace the subscription's pending tick; max_rate: wheel
//	    shard.push         (backlog.go) append to the ticks of one that wants them all
//	  shard.serve        (write.go) one client: join all that is pending into one Conn.Write
//	    shard.fill         one pending quote: the shared frame; several: one joined message
//	Client.Ready       the connection has room again: the client is served again
//
// What a client can not take waits in its subscriptions, at most one tick each:
// a slow client gets fewer quotes, always the newest ones, and costs memory
// bounded by the topics it asked for. A subscription to every tick has a bounded
// backlog instead; a client whose backlog is full is closed, and comes back with
// the position it has reached.
package hub

import (
	"context"
	"errors"
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

// Config of a Hub. The zero values of the durations and of Shards mean the
// defaults named at each field.
type Config struct {
	Framings     []Framing     // what JoinOptions.Framing chooses from, the usual one first; at most 3
	Shards       int           // writer goroutines; default GOMAXPROCS
	Heartbeat    time.Duration // a message at least this often on each connection; default 1 s
	Ping         time.Duration // a ping frame this often; a peer silent for three is closed; default 20 s
	WriteTimeout time.Duration // a connection that takes nothing for this long is closed with 1013; default 10 s
	// Interest is told that the answer of Wanted may have changed. Shards call it: it
	// must not block. With it, quotes of a topic come only between Follow(true) and
	// Follow(false); nil: of every topic always.
	Interest   func(topic string)
	Registerer prometheus.Registerer
}

// Hub is safe for concurrent use, except that the calls for one topic
// (Publish, SetStatus, Drop, Follow) must come in order, as from one goroutine.
type Hub struct {
	// Static after construction.
	cfg    Config
	shards []*shard
	start  time.Time
	stats  *metrics

	draining atomic.Bool
	done     chan struct{} // closed when Run has returned

	mu     sync.RWMutex // guards topics; nothing is called under it
	topics map[string]*topic
}

// New returns a hub whose Run must be called before clients are served.
func New(cfg Config) *Hub {
	if n := len(cfg.Framings); n == 0 || n > maxFramings {
		panic("hub: want one to three framings")
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
	for i := range cfg.Shards {
		h.shards = append(h.shards, newShard(h, i))
	}
	h.stats = newMetrics(h, cfg.Registerer)
	return h
}

// Run serves until ctx ends and then returns nil, after all shards have stopped.
// Clients that are still there are not told: call Drain first.
func (h *Hub) Run(ctx context.Context) error {
	var shards sync.WaitGroup
	for _, s := range h.shards {
		shards.Go(func() { s.run(ctx) })
	}
	shards.Wait()
	close(h.done)
	return nil
}

// Publish hands a quote of a topic to its subscribers. body is the quote's JSON
// object without the closing brace; it is copied. seq grows by one per quote
// within an epoch; at is its acceptance in Unix µs, for the latency metric.
// Publish never waits for a client.
func (h *Hub) Publish(name, epoch string, seq uint64, body []byte, at int64) {
	topic := h.quoted(name)
	t := newTick(h.cfg.Framings[0], topic.intern(epoch), seq, body, at)
	h.stats.published.Inc()
	for _, p := range topic.inShard {
		p.shard.publish(p, t)
	}
}

// SetStatus changes a topic's status, which is told to its subscribers and
// stands in each quote that is sent while it is not "live". A source that is not
// empty is told too, also where the status stays the same.
func (h *Hub) SetStatus(name, status, source string, since time.Time) {
	c := &statusChange{status: status, source: source, since: since}
	for _, p := range h.quoted(name).inShard {
		p.shard.setStatus(p, c)
	}
}

// Drop forgets a topic's last quote: who subscribes from now on gets no snapshot.
func (h *Hub) Drop(name string) {
	for _, p := range h.topic(name).inShard {
		p.shard.drop(p)
	}
}

// Follow says whether from now on every tick of a topic is published. Its last
// value, if it has one, was published before Follow(true): who subscribed since
// Follow(false), or before the first Follow, has its snapshot then. Follow(false)
// is Drop, and what is not published from then on may be anything.
func (h *Hub) Follow(name string, following bool) {
	for _, p := range h.quoted(name).inShard {
		p.shard.follow(p, following)
	}
}

// Wanted reports whether anyone is subscribed to a topic.
func (h *Hub) Wanted(name string) bool {
	h.mu.RLock()
	t := h.topics[name]
	h.mu.RUnlock()
	return t != nil && t.listeners.Load() > 0
}

// Relay sends data, one JSON value, to the subscribers of a relayed channel.
// For each client at most 64 wait; then the oldest is dropped, and the next
// message says how many were.
func (h *Hub) Relay(channel string, data []byte) {
	m := append([]byte(nil), data...)
	for _, s := range h.shards {
		s.postRelay(channel, m)
	}
}

// Degraded tells every client that the source of quotes is lost, or back.
func (h *Hub) Degraded(degraded bool) {
	for _, s := range h.shards {
		s.do(func() { s.setDegraded(degraded) })
	}
}

// Join adds a connection. The caller must call Leave when the connection has
// ended, whoever ended it.
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

// Clients is the number of clients that have joined and not left.
func (h *Hub) Clients() int {
	n := 0
	for _, s := range h.shards {
		n += int(s.size.Load())
	}
	return n
}

// Drain closes all clients with 1012, each after a message that says when to
// come back. They are spread over the time until pace has passed (at least 500 a
// second), so that they do not all reconnect at once. It returns when all have
// left, or with the context's error.
func (h *Hub) Drain(ctx context.Context, pace time.Duration) error {
	h.draining.Store(true)
	var clients []*Client
	for _, s := range h.shards {
		found := make(chan []*Client, 1)
		s.do(func() { found <- append([]*Client(nil), s.clients...) })
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
	const slice = 20 * time.Millisecond
	each := max(10, len(clients)*int(slice)/max(int(pace), int(slice)))
	ticker := time.NewTicker(slice)
	defer ticker.Stop()
	for i, c := range clients {
		c.CloseRestart(drainBackoff())
		if (i+1)%each == 0 {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	for h.Clients() > 0 {
		select {
		case <-ticker.C:
		case <-h.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// drainBackoff is when a drained client is told to come back: spread over two
// seconds, so that another node is not met by all at once.
func drainBackoff() time.Duration { return rand.N(2*time.Second) + 200*time.Millisecond }
