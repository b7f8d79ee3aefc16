package redislink

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// OwnOptions are how a client of Own differs from the one whose options it has.
type OwnOptions struct {
	PoolSize int           // connections; in a cluster of each node
	Timeout  time.Duration // of each wait; 0 = OpTimeout
	Addr     string        // another server than the client's, unless that is a cluster's; "" = the same

	// OnConnect, which may be nil, runs on each new connection after the hook that the given client
	// has. Errors of that hook, and those marked by NotSent, are ones of which MayRetry is true. A
	// cluster's client does not call it.
	OnConnect func(context.Context, *redis.Conn) error
}

// Own opens a client with the options of rdb whose every wait ends by its context or after the
// timeout. Unless it is a cluster's it sends no command twice. A client that is neither a
// *redis.Client nor a *redis.ClusterClient is used as it is. The caller calls release.
func Own(rdb redis.UniversalClient, o OwnOptions) (c redis.UniversalClient, release func()) {
	if o.Timeout <= 0 {
		o.Timeout = OpTimeout
	}
	t := TopologyOf(rdb)
	var own redis.UniversalClient
	switch {
	case t.single != nil:
		own = redis.NewClient(ownSingle(*t.single.Options(), o))
	case t.cluster != nil:
		own = redis.NewClusterClient(ownCluster(*t.cluster.Options(), o))
	default:
		return rdb, func() {}
	}
	if logger, ok := commandLogs.Load(rdb); ok {
		LogCommands(own, logger.(*slog.Logger))
	}
	return own, func() {
		commandLogs.Delete(own)
		own.Close()
	}
}

func ownSingle(opt redis.Options, o OwnOptions) *redis.Options {
	opt.MaxRetries = -1       // a repeated script would double a tick
	opt.PipelinePoolSize = -1 // a second pool would hide an error of OnConnect
	opt.PoolSize = o.PoolSize
	if o.Addr != "" {
		opt.Addr = o.Addr
	}
	opt.MinIdleConns, opt.MaxIdleConns, opt.MaxActiveConns = 0, 0, 0
	opt.ContextTimeoutEnabled = true
	opt.DialerRetries = 1 // the callers wait and try again themselves
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	// What a client makes for itself and must not share. Notices of planned maintenance exist in
	// hosted services only, and a reconnect does as well.
	opt.PushNotificationProcessor = nil
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if before := opt.OnConnect; o.OnConnect != nil {
		opt.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
			if before != nil {
				if err := before(ctx, cn); err != nil {
					return NotSent(err)
				}
			}
			return o.OnConnect(ctx, cn)
		}
	}
	return &opt
}

func ownCluster(opt redis.ClusterOptions, o OwnOptions) *redis.ClusterOptions {
	opt.PoolSize = o.PoolSize
	opt.MinIdleConns, opt.MaxIdleConns, opt.MaxActiveConns = 0, 0, 0
	opt.ContextTimeoutEnabled = true
	opt.DialerRetries = 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	return &opt
}

// Bounded returns a client on the connections of rdb whose commands end with their context. If rdb
// does not heed contexts each read and write ends after timeout instead.
func Bounded(rdb redis.UniversalClient, timeout time.Duration) redis.UniversalClient {
	if c := TopologyOf(rdb).single; c != nil && !c.Options().ContextTimeoutEnabled {
		return c.WithTimeout(timeout)
	}
	return rdb
}

// Once returns a client on the connections of rdb that sends no command twice, unless rdb is a
// cluster's. A retry after a refusal would use up the time of a call, and hide the reason.
func Once(rdb redis.UniversalClient) redis.UniversalClient {
	c := TopologyOf(rdb).single
	if c == nil {
		return rdb
	}
	c = c.WithTimeout(c.Options().ReadTimeout) // has options of its own
	c.Options().MaxRetries = 0
	return c
}

// Prober returns the client that publishes test messages for a subscription of own, a client with
// the options of rdb, and that reads what the subscription may have missed. With Sentinel that is
// rdb. It leaves a master that Sentinel has replaced even if that one still answers, so the messages
// do not reach a subscription that is still there.
func Prober(rdb, own redis.UniversalClient) redis.UniversalClient {
	if TopologyOf(rdb).Kind() == Sentinel {
		return rdb
	}
	return own
}
