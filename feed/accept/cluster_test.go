package accept_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

// breakingConn fails the read after an EVALSHA was written, if armed: the
// server has executed it and the client cannot know.
type breakingConn struct {
	net.Conn
	armed  *atomic.Bool
	broken atomic.Bool
}

func (c *breakingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if bytes.Contains(b, []byte("evalsha")) && c.armed.CompareAndSwap(true, false) {
		// Only what was answered is sure to have been executed.
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		c.Conn.Read(make([]byte, 64<<10))
		c.broken.Store(true)
	}
	return n, err
}

func (c *breakingConn) Read(b []byte) (int, error) {
	if c.broken.Load() {
		c.Close()
		return 0, io.EOF
	}
	return c.Conn.Read(b)
}

// TestClusterPublishesOnce: if a connection to a cluster fails between a quote and its answer, the
// outcome is unknown, and the cluster's client must not send the quote again.
func TestClusterPublishesOnce(t *testing.T) {
	t.Parallel()
	var armed atomic.Bool
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: redistest.StartCluster(t).Addrs(), DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: -1,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &breakingConn{Conn: c, armed: &armed}, nil
		},
	})
	defer rdb.Close()
	p := accept.NewPublisher(accept.PublisherConfig{Redis: rdb, Keys: feed.Keys{Prefix: "fx:"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	quote := func(bid string) ([]accept.Outcome, error) {
		return p.Publish(t.Context(), []feed.Quote{{Symbol: "EUR/USD", Bid: bid, Ask: "2"}})
	}
	if out, err := quote("1.1"); err != nil || out[0].Seq != 1 {
		t.Fatalf("publish: %+v, %v", out, err)
	}
	armed.Store(true)
	if out, err := quote("1.2"); !errors.Is(err, accept.ErrOutcomeUnknown) {
		t.Errorf("the connection broke: %+v, %v, want an unknown outcome", out, err)
	}
	if armed.Load() {
		t.Fatal("no connection broke")
	}
	if out, err := quote("1.3"); err != nil || out[0].Seq != 3 {
		t.Errorf("after it: %+v, %v, want number 3: the second quote was taken once", out, err)
	}
}

// TestClusterFailoverReusesNumbers checks a failover to a replica that lacks the last quotes of its
// master. Numbers that it assigns again must belong to another epoch, even for a publisher that
// knows none of them.
func TestClusterFailoverReusesNumbers(t *testing.T) {
	t.Parallel()
	cluster := redistest.Options{Replicas: true}.StartCluster(t)
	publish := func(p *accept.Publisher, s feed.Symbol) (o accept.Outcome) {
		t.Helper()
		eventually(t, 20*time.Second, "a quote is taken", func() bool {
			out, err := p.Publish(t.Context(), []feed.Quote{{Symbol: s, Bid: "1", Ask: "2"}})
			if err == nil {
				o = out[0]
			}
			return err == nil
		})
		return o
	}
	before, after, other := startPublisher(t, cluster.Client()), startPublisher(t, cluster.Client()), startPublisher(t, cluster.Client())
	const s = feed.Symbol("EUR/USD")
	first := publish(before, s)
	if o := publish(other, s); o.Epoch != first.Epoch || o.Seq != 2 {
		t.Errorf("another publisher: %+v, want number 2 of %s", o, first.Epoch)
	}
	owner := cluster.Owner(cluster.SlotOf(keys.Seq(s)))
	cluster.Failover((owner + 3) % 6)
	second := publish(after, s)
	if second.Epoch == first.Epoch {
		t.Errorf("%+v after the failover, want a new epoch", second)
	}
	if o := publish(before, s); o.Epoch != second.Epoch || o.Seq != second.Seq+1 {
		t.Errorf("%+v, want the next of %+v", o, second)
	}
	// A master that comes back may have lost its last quotes too.
	owner = cluster.Owner(cluster.SlotOf(keys.Seq(s)))
	cluster.KillMaster(owner)
	third := publish(other, s)
	if third.Epoch == second.Epoch {
		t.Errorf("%+v after its master was killed, want a new epoch", third)
	}
	if o := publish(after, s); o.Epoch != third.Epoch {
		t.Errorf("%+v, want the epoch of %+v", o, third)
	}
}
