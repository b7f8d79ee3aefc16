package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// ReceiverConfig configures NewReceiver. Redis, Node, Board and Sink are required.
type ReceiverConfig struct {
	Redis redis.UniversalClient // used for its options; see PublisherConfig
	Keys  Keys
	Node  string // unique among the nodes of this Redis

	Channels []string // further channels to relay
	Board    *Board
	Sink     Sink // for Relay and Degraded; the Board's gets the quotes

	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Receiver receives accepted quotes from Redis and gives them to the Board.
//
// When Redis is gone or silent for 3 s it tells the Sink, opens the connection
// again with growing pauses, reads the last values it may have missed and
// tells the Sink that delivery is back.
type Receiver struct {
	cfg     ReceiverConfig
	log     *slog.Logger
	metrics *receiverMetrics
	probe   *probe
	started atomic.Bool

	// Owned by Run's goroutine.
	client   redis.UniversalClient
	heard    time.Time // when the last message came
	degraded bool
	badLog   time.Time // when a bad message was last logged

	mu      sync.Mutex // guards fetched
	fetched *fetched   // last values that wait for their marker
}

// NewReceiver returns a Receiver that works once Run is called.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	cfg.Channels = slices.Compact(slices.Sorted(slices.Values(cfg.Channels)))
	r := &Receiver{cfg: cfg, log: logger(cfg.Logger)}
	r.probe = newProbe(nil, cfg.Keys.Probe(cfg.Node, "quotes"))
	r.metrics = newReceiverMetrics(cfg.Registerer, func() float64 { return r.ProbeAge().Seconds() })
	return r
}

// ProbeAge returns how long ago the newest test message that came back through
// Redis was sent: about a second at most in good health, the largest duration
// if none came back yet.
func (r *Receiver) ProbeAge() time.Duration { return r.probe.age() }

// Run receives until ctx ends and returns nil. It may be called once.
//
//	Run               opens the connection again and again
//	* session         one subscription                      (Run's goroutine)
//	  * handle        one message: quote, probe or relay
//	    * receiveQuote  DecodeAccepted, Board.Apply
//	    * merge       last values whose marker came back
//	* fetch           reads last values                     (1 goroutine per session)
//	* probe.run       publishes test messages               (1 goroutine)
func (r *Receiver) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("feed: Receiver.Run called twice")
	}
	client, release := ownClient(r.cfg.Redis, 2, opTimeout, nil)
	defer release()
	r.client, r.probe.client = client, client

	var probing sync.WaitGroup
	defer probing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	probing.Go(func() { r.probe.run(ctx) })

	r.heard = time.Now()
	for pause := time.Duration(0); ; {
		confirmed, err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.metrics.lost.Inc()
		r.checkDegraded()
		if confirmed || pause == 0 {
			r.log.Warn("connection for quotes lost, opening it again", "err", err)
			pause = 25 * time.Millisecond
		}
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return nil
		}
		pause = min(2*pause, time.Second)
	}
}

// checkDegraded tells the Sink once nothing has come for too long.
func (r *Receiver) checkDegraded() {
	if !r.degraded && time.Since(r.heard) >= silence {
		r.setDegraded(true)
	}
}

func (r *Receiver) setDegraded(d bool) {
	if r.degraded == d {
		return
	}
	r.degraded = d
	r.metrics.degraded.Set(0)
	if d {
		r.metrics.degraded.Set(1)
	}
	r.log.Warn("delivery from Redis", "degraded", d)
	r.cfg.Sink.Degraded(d)
}

// session subscribes and receives until the connection fails or is silent.
// A read that timed out may have stopped within a message, so it always ends
// the session; probes make silence the sign of a dead connection.
func (r *Receiver) session(ctx context.Context) (confirmed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()

	r.cfg.Board.beginRound()
	r.setFetched(nil)
	channels := append([]string{r.probe.channel}, r.cfg.Channels...)
	ps, err := subscribe(ctx, r.client, r.openTimeout(), channels, r.cfg.Keys.ChannelPattern())
	if err != nil {
		return false, err
	}
	defer ps.Close()
	defer context.AfterFunc(ctx, func() { ps.Close() })() // a read ignores ctx

	opened := time.Now()
	waiting := len(channels) + 1 // confirmations to come
	for {
		wait := silence - time.Since(r.heard)
		if waiting > 0 {
			wait = opTimeout - time.Since(opened)
		}
		// What has come already is read even if it was left lying for too long.
		m, err := ps.ReceiveTimeout(ctx, max(wait, 10*time.Millisecond))
		if err != nil {
			return waiting == 0, err
		}
		r.heard = time.Now()
		switch m := m.(type) {
		case *redis.Subscription:
			// After a reconnect that go-redis made by itself they come again.
			if waiting == 0 {
				return true, errors.New("subscribed again")
			}
			if waiting--; waiting == 0 {
				fetching.Go(func() { r.fetch(ctx) })
			}
		case *redis.Message:
			r.handle(m)
		}
	}
}

// openTimeout keeps opening a connection from delaying the news that quotes
// have stopped.
func (r *Receiver) openTimeout() time.Duration {
	if left := silence - time.Since(r.heard); !r.degraded && left < opTimeout {
		return max(left, 100*time.Millisecond)
	}
	return opTimeout
}

// subscribe opens a connection and asks for the channels and patterns. The
// confirmations are still to be received.
func subscribe(ctx context.Context, c redis.UniversalClient, timeout time.Duration, channels []string, patterns ...string) (*redis.PubSub, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ps := c.Subscribe(ctx)
	err := ps.Subscribe(ctx, channels...)
	if err == nil && len(patterns) > 0 {
		err = ps.PSubscribe(ctx, patterns...)
	}
	if err != nil {
		ps.Close()
		return nil, err
	}
	return ps, nil
}

func (r *Receiver) handle(m *redis.Message) {
	switch {
	case m.Pattern != "":
		r.receiveQuote(m.Channel, m.Payload)
	case m.Channel == r.probe.channel:
		if f := r.takeFetched(m.Payload); f != nil {
			r.cfg.Board.merge(f.symbols, f.quotes)
			if !f.again {
				r.metrics.resyncs.Inc()
				r.setDegraded(false)
			}
			return
		}
		r.probe.received(m.Payload)
	default:
		r.relay(m.Channel, m.Payload)
	}
}

func (r *Receiver) receiveQuote(channel, payload string) {
	a, err := DecodeAccepted([]byte(payload))
	if err == nil && !r.cfg.Keys.isChannel(channel, a.Symbol) {
		err = fmt.Errorf("feed: a quote of %s came on another symbol's channel", a.Symbol)
	}
	if err != nil {
		r.metrics.bad.Inc()
		if now := time.Now(); now.Sub(r.badLog) > time.Minute {
			r.badLog = now
			r.log.Warn("bad message on a quote channel ignored; more within a minute are only counted", "channel", quoted(channel), "err", err)
		}
		return
	}
	r.metrics.received.Inc()
	r.metrics.lag.Observe(max(float64(time.Now().UnixMicro()-a.At)/1e6, 0))
	r.cfg.Board.Apply(a)
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
