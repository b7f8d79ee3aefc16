package accept

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// A connection is one connection to a master, opened again by its next command if it is lost.
type connection struct {
	client  redis.UniversalClient
	release func()
	newest  *atomic.Pointer[string] // of the master
	run     atomic.Pointer[string]  // run id of the process last connected to
	opened  atomic.Int64            // how many times it was opened

	connected bool // the last commands were answered; owned by the round trip under way
}

func (m *master) open() *connection {
	c := &connection{newest: &m.newest}
	id := unknownRun // clients of other kinds report no run id
	c.run.Store(&id)
	if redislink.TopologyOf(m.rdb).Single() {
		c.run.Store(nil)
	}
	c.client, c.release = redislink.Own(m.rdb, redislink.OwnOptions{PoolSize: 1, Addr: m.addr, Timeout: m.timeout, OnConnect: c.onConnect})
	return c
}

var errRunChanged = errors.New("the Redis process has changed")

// onConnect reads the run id of the process behind a new connection. If it differs from the known
// one, the connection is refused once: arguments built for one process must not reach another.
func (c *connection) onConnect(ctx context.Context, cn *redis.Conn) error {
	info, err := cn.Info(ctx, "server").Result()
	if err != nil && (redislink.Code(err) == "" || redislink.MayRetry(err)) {
		return redislink.NotSent(err)
	}
	run := runIDOf(info) // an embedded or restricted server reports none
	c.opened.Add(1)
	known := c.run.Swap(&run)
	c.newest.Store(&run)
	if known != nil && *known != run {
		return redislink.NotSent(errRunChanged)
	}
	return nil
}
