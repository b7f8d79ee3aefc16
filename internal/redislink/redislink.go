// Package redislink is the one way this program talks to Redis: what an error means, when to stop
// asking, how to listen, which servers there are, and whether Redis is lost.
//
// # Errors
//
// Unavailable turns an error of a command into one that wraps ErrUnavailable. If Redis itself
// refused, the error is an *ErrRefused too, which carries Redis's code:
//
//	if err := rdb.Set(ctx, key, value, ttl).Err(); err != nil {
//		return redislink.Unavailable("store the value", err)
//	}
//	…
//	errors.Is(err, redislink.ErrUnavailable) // not done, or not known to be
//	redislink.IsFull(err)                    // refused for want of memory
//
// FailureOf sorts errors for metrics. MayRetry reports whether a command was certainly not executed
// and may succeed at the next try.
//
// # Pipelines
//
// Exec sends a pipeline so that each of its commands has its own error. It replaces the method Exec
// of a pipeline, which leaves commands without an error if Redis refuses the connection.
//
// # Breaker
//
// A Breaker spares calls the wait for a Redis that is known to be lost:
//
//	if !breaker.Allow() { return errLost }
//	if err := call(); err != nil { breaker.Fail() } else { breaker.Succeed() }
//
// # Listener
//
// A Listener is one Pub/Sub connection that is opened again whenever it fails or brings nothing:
//
//	l := redislink.NewListener(redislink.ListenerConfig{
//		Name: "notices", Client: rdb, Channels: []string{"fx:control"}, Probe: "fx:control:probe:" + node,
//		Message: func(channel, payload string) bool { …; return false },
//		Opened:  func(*redislink.Conn) error { …; return nil }, // messages may have been missed
//	})
//	err := l.Run(ctx)
//
// # Topology
//
// TopologyOf is the only place that looks at the type of a client. It knows the masters and the
// master of a key. Own opens a client with the options of another. Processes notices that a master
// was replaced or has restarted. Failovers holds writes back while sentinels replace a master.
//
// # Health
//
// Health merges signals, such as "no quotes arrive", into the one answer to "is Redis lost?".
package redislink

import (
	"context"
	"time"
)

// OpTimeout bounds the opening of a connection and each command that the listeners send.
const OpTimeout = 2 * time.Second

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
