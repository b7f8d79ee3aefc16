// Package conn is how feed's rooms open connections to Redis and judge their errors.
package conn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// OpTimeout bounds opening a connection and each command beside the quotes.
const OpTimeout = 2 * time.Second

// Own opens a client with the options of rdb whose every wait ends by
// its context or after timeout, and which sends no command twice. onConnect,
// which may be nil, runs on each new connection after the hook rdb has. A
// client that is no *redis.Client (a cluster's) is used as it is, without
// onConnect. The caller calls release.
func Own(rdb redis.UniversalClient, poolSize int, timeout time.Duration, onConnect func(context.Context, *redis.Conn) error) (c redis.UniversalClient, release func()) {
	shared, ok := rdb.(*redis.Client)
	if !ok {
		return rdb, func() {}
	}
	opt := *shared.Options()
	opt.MaxRetries = -1       // a repeated script would double a tick
	opt.PipelinePoolSize = -1 // a second pool would hide an error of onConnect
	opt.PoolSize = poolSize
	opt.MinIdleConns, opt.MaxIdleConns, opt.MaxActiveConns = 0, 0, 0
	opt.ContextTimeoutEnabled = true
	opt.DialerRetries = 1 // the callers wait and try again themselves
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = timeout, timeout, timeout, timeout
	// What a client makes for itself and must not share; notices of planned
	// maintenance exist in hosted services only, and a reconnect does as well.
	opt.PushNotificationProcessor = nil
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if before := opt.OnConnect; onConnect != nil {
		opt.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
			if before != nil {
				if err := before(ctx, cn); err != nil {
					return &ConnectError{Cause: err}
				}
			}
			return onConnect(ctx, cn)
		}
	}
	own := redis.NewClient(&opt)
	return own, func() { own.Close() }
}

// Receive opens a client for subscriptions and for what goes with them,
// with the options of rdb: every wait ends by its context or after OpTimeout.
func Receive(rdb redis.UniversalClient, poolSize int) (c redis.UniversalClient, release func()) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return Own(rdb, poolSize, OpTimeout, nil)
	}
	opt := *cluster.Options()
	opt.PoolSize = poolSize // of each node
	opt.MinIdleConns, opt.MaxIdleConns, opt.MaxActiveConns = 0, 0, 0
	opt.ContextTimeoutEnabled = true
	opt.DialerRetries = 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = OpTimeout, OpTimeout, OpTimeout, OpTimeout
	own := redis.NewClusterClient(&opt)
	return own, func() { own.Close() }
}

// Probes is what test messages for subscriptions of own are published
// with. With Sentinel that is rdb: it leaves a master that Sentinel has
// replaced even if that one still answers, so that the messages do not come
// back to who is still subscribed there.
func Probes(rdb, own redis.UniversalClient) redis.UniversalClient {
	if BySentinel(rdb) {
		return rdb
	}
	return own
}

// BySentinel reports whether Sentinel tells a client where the master is.
func BySentinel(rdb redis.UniversalClient) bool {
	c, ok := rdb.(*redis.Client)
	return ok && c.Options().Addr == "FailoverClient"
}

// ConnectError marks an error from before the connection could carry a
// command: what was to be sent was certainly not executed. It does not unwrap,
// since go-redis strips one layer off the errors of its OnConnect hook.
type ConnectError struct{ Cause error }

func (e *ConnectError) Error() string { return fmt.Sprintf("connect: %v", e.Cause) }

// Retryable reports an answer of a server that did not execute the command and
// soon may, or another one will.
func Retryable(err error) bool {
	for _, prefix := range []string{"LOADING", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "NOSCRIPT", "BUSY ", "max number of clients"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// NotSent reports an error from before the commands were sent.
func NotSent(err error) bool {
	var ce *ConnectError
	var op *net.OpError
	return errors.As(err, &ce) || errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrClosed)
}

// Sleep waits for d and reports whether ctx still holds.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// IsClosed reports whether c is closed.
func IsClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Logger returns l, or one that discards everything for nil.
func Logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
