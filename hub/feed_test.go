package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// A failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// A feed publishes to a hub and knows which quotes clients must have in the end.
type feed struct {
	at      func() int64 // acceptance of the next tick, Unix microseconds; nil = long ago
	hub     *hub.Hub
	history map[string][]position
	holes   map[resetAt]bool // ticks that never reached the hub
	last    map[string]position
	dropped map[string]bool
	status  map[string]string
	epochs  int
}

func newFeed(h *hub.Hub) *feed {
	return &feed{hub: h, history: map[string][]position{}, holes: map[resetAt]bool{}, last: map[string]position{}, dropped: map[string]bool{}, status: map[string]string{}}
}

// body returns a quote whose prices, sizes and time depend on its number in many ways.
func body(topic string, seq uint64) []byte {
	h := fnv.New64a()
	fmt.Fprint(h, topic, seq)
	n := h.Sum64()
	q := protocol.Quote{Symbol: topic, Seq: seq, Time: protocol.At(time.UnixMicro(1_700_000_000_000_000 + int64(seq)*250_000 + int64(n%3*n%500)).UTC()),
		Bid: fmt.Sprintf("1.%05d", 8450+n%97), Ask: fmt.Sprintf("1.%05d", 8550+n%89)}
	switch n % 11 {
	case 0: // a number that has lost a zero at the end
		q.Bid = q.Bid[:6]
	case 1:
		q.BidSize, q.AskSize = "1.50", "2"
	case 2:
		q.BidSize = "1000000"
	case 3:
		q.Ask += "12345678901234567890"
	}
	return q.AppendBody(nil)
}

// publish publishes n ticks of a topic and sets its status to live before the first.
func (f *feed) publish(topic string, n int) {
	at, known := f.last[topic]
	if !known {
		f.setStatus(topic, "live")
		at = f.newEpoch()
	}
	for range n {
		at.seq++
		f.history[topic] = append(f.history[topic], at)
		f.deliver(topic, at)
	}
	f.last[topic] = at
	delete(f.dropped, topic)
}

// deliver publishes a tick to the hub. The times of ticks grow even under a fake clock.
func (f *feed) deliver(topic string, at position) {
	accepted := int64(len(f.history[topic]))
	if f.at != nil {
		accepted = f.at()
	}
	f.hub.Publish(topic, at.epoch, at.seq, body(topic, at.seq), accepted)
}

// lose accepts a tick that does not reach the hub.
func (f *feed) lose(topic string) {
	at, known := f.last[topic]
	if !known {
		return
	}
	at.seq++
	f.history[topic] = append(f.history[topic], at)
	f.holes[resetAt{topic, at}] = true
	f.last[topic] = at
	f.publish(topic, 1)
}

// after returns the history after a position, without the newest skipped ticks.
func (f *feed) after(topic string, at position, leave int) (missed []hub.Missed) {
	all := f.history[topic]
	for i := slices.Index(all, at) + 1; i < len(all)-leave; i++ {
		missed = append(missed, hub.Missed{Position: protocol.Position{Epoch: all[i].epoch, Seq: all[i].seq},
			Body: body(topic, all[i].seq), At: int64(i + 1)})
	}
	return missed
}

func (f *feed) newEpoch() position {
	f.epochs++
	return position{epoch: fmt.Sprintf("e%d", f.epochs)}
}

func (f *feed) setStatus(topic, status string) {
	f.status[topic] = status
	f.hub.SetStatus(topic, status, "", time.Now())
}

func (f *feed) drop(topic string) {
	f.dropped[topic] = true
	f.hub.Drop(topic)
}

// forget makes a topic unknown: it begins again with the next tick. A client that
// subscribes at that moment may get its last value or not.
func (f *feed) forget(topic string, clients ...*peer) {
	for _, p := range clients {
		p.forgive(topic)
	}
	f.drop(topic)
	f.setStatus(topic, "unknown")
	f.hub.List(topic, false)
	delete(f.last, topic)
}

// subscribe subscribes as a reader of the socket does. Its ack lists the snapshots that must
// follow.
func (f *feed) subscribe(p *peer, rate float64, patterns ...string) {
	var expect []string
	for _, pattern := range patterns {
		p.asked.add(pattern, rate)
		for topic := range f.last {
			if d, _ := p.asked.deciding(topic); d == pattern && matches(pattern, topic) && !f.dropped[topic] {
				expect = append(expect, topic)
			}
		}
	}
	p.client.Subscribe(patterns, hub.Settings{MaxRate: rate}, ack("subscribe", patterns, rate, expect))
}

// every subscribes to every tick.
func (f *feed) every(p *peer, patterns ...string) {
	for _, pattern := range patterns {
		p.asked.add(pattern, 0)
		p.asked.every[pattern] = true
	}
	p.client.Subscribe(patterns, hub.Settings{All: true}, ackMode("subscribe", "all", patterns, 0, nil))
}

func (f *feed) unsubscribe(p *peer, patterns ...string) {
	for _, pattern := range patterns {
		p.asked.remove(pattern)
	}
	p.client.Unsubscribe(patterns, ack("unsubscribe", patterns, 0, nil))
}

func ack(op string, patterns []string, rate float64, expect []string) []byte {
	return ackMode(op, "latest", patterns, rate, expect)
}

func ackMode(op, mode string, patterns []string, rate float64, expect []string) []byte {
	b, err := json.Marshal(map[string]any{"type": "ack", "op": op, "mode": mode, "ok": patterns, "max_rate": rate, "expect": expect})
	if err != nil {
		panic(err)
	}
	return b
}

func channels(names ...string) (patterns []string) {
	for _, n := range names {
		patterns = append(patterns, "channel:"+n)
	}
	return patterns
}

// settled checks that a client has the newest tick of everything it wants.
func (f *feed) settled(t failer, p *peer) {
	t.Helper()
	p.check(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !maps.Equal(p.asked.rate, p.wants.rate) {
		t.Errorf("acknowledged %v, requested %v", p.wants.rate, p.asked.rate)
	}
	for topic, last := range f.last {
		if _, ok := p.asked.deciding(topic); !ok {
			continue
		}
		if !f.dropped[topic] && p.have[topic] != last {
			t.Errorf("%s: the client has %v, the newest is %v", topic, p.have[topic], last)
		}
		if s, ok := p.status[topic]; ok && s != f.status[topic] {
			t.Errorf("%s: the client has status %s, want %s", topic, s, f.status[topic])
		}
	}
	for topic := range p.awaiting {
		t.Errorf("%s: no snapshot came", topic)
	}
}

const never = 1000 * time.Hour // a period that never ends within a test

// start runs a hub until the end of the test.
func start(t failer, cfg hub.Config) *hub.Hub {
	t.Helper()
	h, stop := startStop(t, cfg)
	t.Cleanup(stop)
	return h
}

func startStop(t failer, cfg hub.Config) (h *hub.Hub, stop func()) {
	t.Helper()
	cfg.Framings = []hub.Framing{lengths{}, packedLengths{}, binaryLengths{}}
	for _, d := range []*time.Duration{&cfg.Heartbeat, &cfg.Ping, &cfg.WriteTimeout} {
		if *d == 0 {
			*d = never
		}
	}
	h = hub.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return h, func() { cancel(); run.Wait() }
}

func join(t failer, h *hub.Hub, p *peer) *peer {
	t.Helper()
	o := hub.JoinOptions{Welcome: []byte(`{"type":"welcome"}`), Positions: p.positions, MaxRate: p.rate, Joined: p.joined}
	switch {
	case p.packed:
		o.Framing = 1
	case p.binary != nil:
		o.Framing = 2
	}
	if _, err := h.Join(p, o); err != nil {
		t.Fatalf("join: %v", err)
	}
	return p
}

// bubble runs a test with its own hub under a fake clock.
func bubble(t *testing.T, cfg hub.Config, f func(t *testing.T, h *hub.Hub, f *feed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, cfg)
		f(t, h, newFeed(h))
	})
}
