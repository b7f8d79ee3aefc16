package feed

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// opTimeout bounds opening a connection and each command beside the quotes.
const opTimeout = 2 * time.Second

// ownClient opens a client with the options of rdb whose every wait ends by
// its context or after timeout, and which sends no command twice. onConnect,
// which may be nil, runs on each new connection after the hook rdb has. A
// client that is no *redis.Client (a cluster's) is used as it is, without
// onConnect. The caller calls release.
func ownClient(rdb redis.UniversalClient, poolSize int, timeout time.Duration, onConnect func(context.Context, *redis.Conn) error) (c redis.UniversalClient, release func()) {
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
					return &connectError{err}
				}
			}
			return onConnect(ctx, cn)
		}
	}
	own := redis.NewClient(&opt)
	return own, func() { own.Close() }
}
