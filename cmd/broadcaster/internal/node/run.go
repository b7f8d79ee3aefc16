package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/producer"
	"github.com/fxcast/fxcast/feed/simulator"
	"github.com/fxcast/fxcast/web"
)

// closeWait bounds the end of the last connections and requests after DRAIN_TIMEOUT.
const closeWait = 5 * time.Second

// Run starts every part and ends them in order.
//
//  1. Readiness becomes red, and all else goes on for DRAIN_DELAY.
//  2. New sockets are refused.
//  3. Clients receive closing and are closed, spread over DRAIN_TIMEOUT.
//  4. The listeners close.
//  5. Producers, feed, sessions and limiter stop.
//  6. The hub stops, and every goroutine has ended.
func (n *Node) Run(ctx context.Context, public, admin net.Listener, stdout io.Writer) error {
	parts := newParts(n.log)
	fan := newParts(n.log)       // outlives the feed
	producers := newParts(n.log) // end before the publisher
	fan.start("hub", n.hub.Run)
	fan.start("memory", func(ctx context.Context) error { return trimMemory(ctx, n.hub.Clients) })
	parts.start("redis health", n.health.Run)
	parts.start("lost redis", func(ctx context.Context) error { return n.redis.Run(ctx, n.hub.Degraded) })
	parts.start("board", n.board.Run)
	parts.start("publisher", n.publisher.Run)
	parts.start("rejected quotes", n.rejected.Run)
	parts.start("inbox", n.inbox.Run)
	parts.start("receiver", n.receiver.Run)
	parts.start("candles", n.candles.Run)
	parts.start("feed watch", n.watch.Run)
	parts.start("sessions", n.sessions.Run)
	parts.start("limiter", n.limiter.Run)
	parts.start("nodes", n.nodes.Run)
	parts.start("history of metrics", n.recorder.Run)
	if n.cfg.Embedded() {
		producers.start("simulator", func(ctx context.Context) error {
			return producer.Simulate(ctx, n.publisher, n.rejected, simulator.Config{Seed: uint64(time.Now().UnixNano()), Start: time.Now()}, n.log)
		})
	}
	public = n.places.listener(n.accepts.listener(public))
	open := web.NewHTTPServer(n.web.Public(), n.log)
	open.ConnContext = n.places.context
	servers := []*http.Server{open}
	scheme := "http"
	if n.cert != nil {
		scheme = "https"
		open.TLSConfig = n.cert.config()
		parts.start("certificate", n.cert.Run)
		parts.start("public listener", func(context.Context) error { return serving(open.ServeTLS(public, "", "")) })
	} else {
		parts.start("public listener", func(context.Context) error { return serving(open.Serve(public)) })
	}
	if admin != nil {
		admin = n.accepts.listener(admin)
		s := web.NewHTTPServer(n.web.Admin(), n.log)
		servers = append(servers, s)
		parts.start("admin listener", func(context.Context) error { return serving(s.Serve(admin)) })
		n.log.Info("admin listener", "addr", admin.Addr().String())
	}
	fmt.Fprintf(stdout, "fxcast is at %s://%s/\n", scheme, reachable(public.Addr()))
	if admin != nil {
		fmt.Fprintf(stdout, "The operator's page is at http://%s/\n", reachable(admin.Addr()))
	}
	n.log.Info("serving", "addr", public.Addr().String(), "max_connections", n.places.max, "per_address", n.places.perAddress)

	failure := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-parts.failed:
			return err
		case err := <-fan.failed:
			return err
		case err := <-producers.failed:
			return err
		}
	}
	failed := failure(ctx)
	if failed == nil {
		n.web.StopReady()
		n.log.Info("not ready, the server goes down", "delay", n.cfg.WS.DrainDelay)
		delay, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.WS.DrainDelay)
		failed = failure(delay)
		cancel()
	}
	n.web.StopAccepting()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.WS.DrainTimeout+closeWait)
	defer cancel()
	n.log.Info("draining", "clients", n.hub.Clients())
	if err := n.hub.Drain(deadline, n.cfg.WS.DrainTimeout); err != nil {
		n.log.Warn("drain cut short", "clients", n.hub.Clients())
	}
	var closing sync.WaitGroup
	for _, s := range servers {
		closing.Go(func() {
			if s.Shutdown(deadline) != nil {
				_ = s.Close() // ends requests that did not end in time
			}
		})
	}
	closing.Wait()
	if err := n.web.Wait(deadline); err != nil {
		n.log.Warn("connections did not close in time")
	}
	producers.stop()
	if err := n.cache.Close(); err != nil {
		n.log.Warn("cache", "err", err)
	}
	parts.stop()
	fan.stop()
	for _, s := range n.sentinels {
		if err := s.Close(); err != nil {
			n.log.Warn("sentinel", "err", err)
		}
	}
	n.log.Info("stopped")
	return failed
}

func serving(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// reachable returns the address for a browser on this machine.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && (ip == nil || ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}
