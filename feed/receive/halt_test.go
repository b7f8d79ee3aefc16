package receive_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redistest"
)

// A halt of the last tick makes its symbol stale or closed at once, and the next tick makes it live.
func TestBoardHalts(t *testing.T) {
	for hour, want := range map[int]string{12: "stale", 22: "closed"} { // of a Friday
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 11, 27, hour, 30, 0, 0, time.UTC)))
			s := newSink()
			b := receive.NewBoard(receive.BoardConfig{Sink: s})
			b.Halt(acceptedQuote("EUR/USD", "a", 1)) // not known yet
			b.Apply(acceptedQuote("EUR/USD", "a", 1))
			b.Apply(acceptedQuote("EUR/USD", "a", 2))
			b.Halt(acceptedQuote("EUR/USD", "a", 1)) // not the last one
			b.Halt(acceptedQuote("EUR/USD", "z", 2))
			check(t, "before", s.all(), "status EUR/USD live", "publish EUR/USD a 1", "publish EUR/USD a 2")
			b.Halt(acceptedQuote("EUR/USD", "a", 2))
			b.Halt(acceptedQuote("EUR/USD", "a", 2))
			b.Apply(acceptedQuote("EUR/USD", "a", 2)) // nothing new
			b.Apply(acceptedQuote("EUR/USD", "a", 3))
			check(t, "after", s.all()[3:], "status EUR/USD "+want, "status EUR/USD live", "publish EUR/USD a 3")
		})
	}
}

// A halt reaches nodes that follow the symbol, and those that begin to afterwards.
func TestHaltReachesNodes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"standalone", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var client redis.UniversalClient
			if mode == "cluster" {
				client = redistest.StartCluster(t).Client()
			} else {
				client = redistest.Start(t).Client()
			}
			p := accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: keys})
			start(t, p.Run)
			publish := func() {
				q := eurusd("1.1", "1.2")
				q.Source = "oanda"
				if _, err := p.Publish(t.Context(), []feed.Quote{q}); err != nil {
					t.Fatal(err)
				}
			}
			publish()
			n := startNode(t, client)
			eventually(t, "live", func() bool { return n.has("status EUR/USD live") })
			if halted, err := p.Halt(t.Context(), "EUR/USD", "oanda"); err != nil || !halted {
				t.Fatalf("Halt = %v, %v", halted, err)
			}
			notLive := func(n *node) func() bool {
				return func() bool { return n.has("status EUR/USD stale") || n.has("status EUR/USD closed") }
			}
			eventually(t, "halted", notLive(n)) // STALE_AFTER is 10 s
			late := startNode(t, client)
			eventually(t, "halted on a new node", notLive(late))
			if late.has("status EUR/USD live") {
				t.Error("live on a node that came later")
			}
			n.forget("status ")
			publish()
			eventually(t, "live again", func() bool { return n.has("status EUR/USD live") })
		})
	}
}
