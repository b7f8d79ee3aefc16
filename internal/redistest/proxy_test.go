package redistest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
)

// dial opens a connection through the proxy.
func dial(t *testing.T, p *redistest.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a PING and returns an error unless the server answers in time.
func ask(t *testing.T, c net.Conn, patience time.Duration) error {
	t.Helper()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	return answered(c, patience)
}

func answered(c net.Conn, patience time.Duration) error {
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 7)
	_, err := c.Read(b)
	return err
}

const (
	patience = time.Minute
	silence  = 150 * time.Millisecond
)

func TestProxyCut(t *testing.T) {
	server := redistest.Start(t)
	p := redistest.StartProxy(t, server.Addr())
	c := dial(t, p)
	if err := ask(t, c, patience); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if err := ask(t, c, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a cut: %v, want no answer", err)
	}
	during := dial(t, p)
	if err := ask(t, during, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connected during a cut: %v, want no answer", err)
	}
	// The end of a connection does not get through.
	other := dial(t, p)
	other.Close()
	server.Kill()
	if err := answered(c, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server ended behind a cut: %v, want silence", err)
	}
	server.Restart()
	p.Restore()
	if err := answered(c, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an old connection after Restore: %v, want no answer", err)
	}
	if err := ask(t, dial(t, p), patience); err != nil {
		t.Errorf("a new connection after Restore: %v", err)
	}
	if p.Connections() < 3 {
		t.Errorf("%d connections, want the cut ones included", p.Connections())
	}
	p.Reset()
	if err := answered(c, patience); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Reset: %v, want a reset", err)
	}
	eventually(t, "the connections are gone", func() bool { return p.Connections() == 0 })
}

func TestProxyCounts(t *testing.T) {
	p := redistest.StartProxy(t, redistest.Start(t).Addr())
	before := time.Now()
	c := dial(t, p)
	if err := ask(t, c, patience); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer is counted", func() bool { return p.Delivered() == len("+PONG\r\n") })
	p.Cut()
	if n := p.Delivered(); n != 0 {
		t.Errorf("%d bytes were delivered over no connection", n)
	}
	if opened := p.Opened(); len(opened) != 1 || opened[0].Before(before) || opened[0].After(time.Now()) {
		t.Errorf("opened at %v, want once after %v", opened, before)
	}
}

func TestProxyHold(t *testing.T) {
	p := redistest.StartProxy(t, redistest.Start(t).Addr())
	c := dial(t, p)
	if err := ask(t, c, patience); err != nil {
		t.Fatal(err)
	}
	p.Hold()
	if err := ask(t, c, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("held: %v, want no answer", err)
	}
	during := dial(t, p)
	if err := ask(t, during, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connected while held: %v, want no answer", err)
	}
	p.Restore()
	for _, c := range []net.Conn{c, during} {
		if err := answered(c, patience); err != nil {
			t.Errorf("the held data did not arrive: %v", err)
		}
	}
}

func TestProxySlow(t *testing.T) {
	server := redistest.Start(t)
	p := redistest.StartProxy(t, server.Addr())
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), DisableIdentity: true})
	defer c.Close()
	ctx := t.Context()
	c.Set(ctx, "k", make([]byte, 50_000), 0)
	p.Slow(0, 100*time.Millisecond)
	start := time.Now()
	if err := c.Ping(ctx).Err(); err != nil || time.Since(start) < 200*time.Millisecond {
		t.Errorf("with 100 ms each way a PING took %v, %v", time.Since(start), err)
	}
	p.Slow(100_000, 0)
	start = time.Now()
	if err := c.Get(ctx, "k").Err(); err != nil || time.Since(start) < 400*time.Millisecond {
		t.Errorf("50 kB at 100 kB/s took %v, %v", time.Since(start), err)
	}
	p.Restore()
	start = time.Now()
	for range 20 {
		if err := c.Get(ctx, "k").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("after Restore 1 MB took %v", took)
	}
}

// TestProxyWithoutServer checks that a proxy without a server resets its connections.
func TestProxyWithoutServer(t *testing.T) {
	server := redistest.Start(t)
	p := redistest.StartProxy(t, server.Addr())
	open := dial(t, p)
	if err := ask(t, open, patience); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := answered(open, patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server is gone: %v, want the connection to end", err)
	}
	c, err := net.Dial("tcp", p.Addr()) // the reset may come as early as this
	if err == nil {
		defer c.Close()
		if err = answered(c, patience); errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	if err == nil {
		t.Error("without a server the connection did not end")
	}
	server.Restart()
	client := redis.NewClient(&redis.Options{Addr: p.Addr(), DisableIdentity: true})
	defer client.Close()
	if err := client.Ping(context.Background()).Err(); err != nil {
		t.Error(err)
	}
}
