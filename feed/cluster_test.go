package feed_test

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

// A connection to a cluster that fails between a quote and its answer leaves the
// outcome unknown; the cluster's client must not send the quote again.
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
	p := feed.NewPublisher(feed.PublisherConfig{Redis: rdb, Keys: feed.Keys{Prefix: "fx:"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	quote := func(bid string) ([]feed.Outcome, error) {
		return p.Publish(t.Context(), []feed.Quote{{Symbol: "EUR/USD", Bid: bid, Ask: "2"}})
	}
	if out, err := quote("1.1"); err != nil || out[0].Seq != 1 {
		t.Fatalf("publish: %+v, %v", out, err)
	}
	armed.Store(true)
	if out, err := quote("1.2"); !errors.Is(err, feed.ErrOutcomeUnknown) {
		t.Errorf("the connection broke: %+v, %v, want an unknown outcome", out, err)
	}
	if armed.Load() {
		t.Fatal("no connection broke")
	}
	if out, err := quote("1.3"); err != nil || out[0].Seq != 3 {
		t.Errorf("after it: %+v, %v, want number 3: the second quote was taken once", out, err)
	}
}
