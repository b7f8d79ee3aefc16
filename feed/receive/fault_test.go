package receive_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// busy is what a busy machine adds to a limit.
const busy = 5 * time.Second

// producer publishes about 1,000 quotes per second of each symbol until it is stopped, and records
// the accepted ones.
type producer struct {
	stop     func()
	mu       sync.Mutex // guards accepted
	accepted map[feed.Symbol][]accept.Outcome
}

func startProducer(t testing.TB, c redis.UniversalClient, symbols ...feed.Symbol) *producer {
	t.Helper()
	p := accept.NewPublisher(accept.PublisherConfig{Redis: c, Keys: keys, HistoryTicks: 9000, Timeout: time.Second})
	start(t, p.Run)
	return produce(t, symbols, func(ctx context.Context, quotes []feed.Quote) []accept.Outcome {
		outcomes, _ := p.Publish(ctx, quotes) // what is lost on the way there was not accepted
		return outcomes
	})
}

func produce(t testing.TB, symbols []feed.Symbol, publish func(context.Context, []feed.Quote) []accept.Outcome) *producer {
	t.Helper()
	p := &producer{accepted: map[feed.Symbol][]accept.Outcome{}}
	var batch []feed.Quote
	for _, s := range symbols {
		for range 5 {
			batch = append(batch, feed.Quote{Symbol: s, Bid: "1", Ask: "2"})
		}
	}
	p.stop = start(t, func(ctx context.Context) error {
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			outcomes := publish(context.WithoutCancel(ctx), batch)
			p.mu.Lock()
			for i, o := range outcomes {
				if o.Seq > 0 {
					p.accepted[batch[i].Symbol] = append(p.accepted[batch[i].Symbol], o)
				}
			}
			p.mu.Unlock()
			<-pace.C
		}
		return nil
	})
	return p
}

func (p *producer) count(s feed.Symbol) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.accepted[s])
}

// more waits until n further quotes of each symbol were accepted.
func (p *producer) more(t testing.TB, n int, symbols ...feed.Symbol) {
	t.Helper()
	for _, s := range symbols {
		before := p.count(s)
		eventually(t, fmt.Sprintf("%d more quotes of %s are accepted", n, s), func() bool { return p.count(s) >= before+n })
	}
}

// complete checks that the node delivered every quote accepted since it began to follow the symbol,
// once and in order.
func (n *node) complete(t testing.TB, p *producer, s feed.Symbol) {
	t.Helper()
	p.mu.Lock()
	accepted := slices.Clone(p.accepted[s])
	p.mu.Unlock()
	last := accepted[len(accepted)-1]
	eventually(t, fmt.Sprintf("%s is at %s %d", s, last.Epoch, last.Seq), func() bool {
		return n.has(fmt.Sprintf("publish %s %s %d", s, last.Epoch, last.Seq))
	})
	var got []accept.Outcome // since the last time it began to follow
	for _, e := range n.all() {
		var o accept.Outcome
		if e == fmt.Sprintf("follow %s false", s) {
			got = got[:0]
		} else if rest, ok := strings.CutPrefix(e, "publish "+string(s)+" "); ok {
			fmt.Sscan(rest, &o.Epoch, &o.Seq)
			got = append(got, o)
		}
	}
	for i := 1; i < len(got); i++ {
		before, o := got[i-1], got[i]
		if o.Epoch == before.Epoch && o.Seq != before.Seq+1 || o.Epoch != before.Epoch && o.Seq != 1 {
			t.Fatalf("%s: %s %d follows %s %d", s, o.Epoch, o.Seq, before.Epoch, before.Seq)
		}
	}
	// The producer does not know about quotes whose answer was lost. So it may know fewer quotes,
	// but never others.
	at := slices.IndexFunc(accepted, func(o accept.Outcome) bool { return o.Epoch == got[0].Epoch && o.Seq >= got[0].Seq })
	for _, o := range accepted[max(at, 0):] { // -1: it began in a later epoch
		i := slices.IndexFunc(got, func(g accept.Outcome) bool { return g.Epoch == o.Epoch && g.Seq == o.Seq })
		if i < 0 {
			t.Fatalf("%s: %s %d was accepted and is missing", s, o.Epoch, o.Seq)
		}
		got = got[i+1:]
	}
}

func (n *node) nothingMissed(t testing.TB) {
	t.Helper()
	if missed := metric(t, n.reg, "fx_feed_missed_total"); missed != 0 {
		t.Errorf("%v counted as missed", missed)
	}
	if n.overlap {
		t.Error("two calls for one symbol at once")
	}
}

// Every accepted quote is delivered once and in order, whatever happens to the connection.
func TestFaults(t *testing.T) {
	t.Parallel()
	symbols := []feed.Symbol{"EUR/USD", "GBP/JPY"}
	for _, c := range []struct {
		name    string
		options []string
		fault   func(t *testing.T, s *redistest.Server, p *redistest.Proxy, n *node, made *producer)
	}{
		{"connections killed", nil, func(t *testing.T, s *redistest.Server, _ *redistest.Proxy, n *node, made *producer) {
			c := s.Client()
			for range 10 {
				before := metric(t, n.reg, "fx_feed_resyncs_total")
				c.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
				eventually(t, "another resync", func() bool { return metric(t, n.reg, "fx_feed_resyncs_total") > before })
				made.more(t, 20, symbols...)
			}
			if refilled := metric(t, n.reg, "fx_feed_refilled_total"); refilled == 0 {
				t.Error("nothing was read from history")
			}
		}},
		{"server paused", nil, func(t *testing.T, s *redistest.Server, _ *redistest.Proxy, n *node, made *producer) {
			n.outage(t, s.Pause, s.Resume)
		}},
		{"network silent", nil, func(t *testing.T, _ *redistest.Server, p *redistest.Proxy, n *node, made *producer) {
			n.outage(t, p.Hold, p.Restore)
			if refilled := metric(t, n.reg, "fx_feed_refilled_total"); refilled == 0 {
				t.Error("nothing was read from history")
			}
		}},
		{"network cut", nil, func(t *testing.T, _ *redistest.Server, p *redistest.Proxy, n *node, made *producer) {
			n.outage(t, p.Cut, p.Restore)
		}},
		{"server killed, data kept", redistest.Durable, func(t *testing.T, s *redistest.Server, _ *redistest.Proxy, n *node, made *producer) {
			for range 2 {
				s.Kill()
				s.Restart()
				made.more(t, 50, symbols...)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, c.options...)
			proxy := redistest.StartProxy(t, s.Addr())
			through := redis.NewClient(&redis.Options{Addr: proxy.Addr(), DisableIdentity: true})
			t.Cleanup(func() { through.Close() })
			made := startProducer(t, s.Client(), symbols...)
			n := startNode(t, through)
			for _, symbol := range symbols {
				eventually(t, "the symbols are followed", func() bool { return n.has(fmt.Sprintf("follow %s true", symbol)) })
			}
			made.more(t, 20, symbols...)
			c.fault(t, s, proxy, n, made)
			made.more(t, 20, symbols...)
			made.stop()
			for _, symbol := range symbols {
				n.complete(t, made, symbol)
			}
			n.nothingMissed(t)
		})
	}
}

// outage checks that an outage is noticed in time and that it ends.
func (n *node) outage(t *testing.T, begin, end func()) {
	t.Helper()
	eventually(t, "probes come back", func() bool { return n.receiver.ProbeAge() < 2*time.Second })
	lost := metric(t, n.reg, "fx_feed_connection_lost_total")
	begin()
	began := time.Now()
	eventually(t, "degraded", func() bool { return n.last("degraded ") == "degraded true" })
	if took := time.Since(began); took > 3*time.Second+busy {
		t.Errorf("degraded after %v, want 3 s after the last message", took)
	}
	if age := n.receiver.ProbeAge(); age < 2*time.Second {
		t.Errorf("probe age %v in an outage", age)
	}
	eventually(t, "the connection is given up", func() bool { return metric(t, n.reg, "fx_feed_connection_lost_total") > lost })
	end()
	eventually(t, "no longer degraded", func() bool { return n.last("degraded ") == "degraded false" })
	eventually(t, "a fresh probe", func() bool { return n.receiver.ProbeAge() < 2*time.Second })
}

// A server that comes back empty begins new epochs. Their quotes are delivered from the first one
// on.
func TestServerComesBackEmpty(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	made := startProducer(t, s.Client(), "EUR/USD")
	n := startNode(t, s.Client())
	eventually(t, "it is followed", func() bool { return n.has("follow EUR/USD true") })
	for range 3 {
		made.more(t, 20, "EUR/USD")
		s.Restart()
	}
	made.more(t, 20, "EUR/USD")
	made.stop()
	last := made.accepted["EUR/USD"][made.count("EUR/USD")-1]
	n.at(t, last)
	if seqs := n.seqs("EUR/USD", last.Epoch); seqs[0] != 1 || !contiguous(seqs) {
		t.Errorf("the newest epoch begins at %d", seqs[0])
	}
	n.nothingMissed(t)
}

// TestLostProbes reports Redis as lost while probes do not come back, although quotes do: readiness
// and clients agree about such a node too.
func TestLostProbes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin, ctx := s.Client(), t.Context()
	if err := admin.Do(ctx, "ACL", "SETUSER", "node", "on", ">pw", "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "node", Password: "pw", DisableIdentity: true})
	t.Cleanup(func() { c.Close() })
	n := startNode(t, c)
	p := startProducer(t, admin, "EUR/USD")
	p.more(t, 10, "EUR/USD")
	for range 2 {
		if err := admin.Do(ctx, "ACL", "SETUSER", "node", "-publish").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "clients are told", func() bool { return n.last("degraded ") == "degraded true" })
		if age := n.receiver.ProbeAge(); age < redislink.DefaultSilence {
			t.Errorf("degraded with a probe that is %v old", age)
		}
		if v := metric(t, n.reg, "fx_feed_degraded"); v != 1 {
			t.Errorf("fx_feed_degraded = %v, want 1", v)
		}
		p.more(t, 10, "EUR/USD")
		if err := admin.Do(ctx, "ACL", "SETUSER", "node", "+publish").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all is well again", func() bool { return n.last("degraded ") == "degraded false" })
		if age := n.receiver.ProbeAge(); age >= redislink.DefaultSilence {
			t.Errorf("well with a probe that is %v old", age)
		}
	}
	p.stop()
	n.complete(t, p, "EUR/USD")
}
