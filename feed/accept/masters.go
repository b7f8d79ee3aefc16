package accept

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// A master is a Redis server that accepts quotes: the only one, the one that Sentinel names, or in
// a cluster the owner of some slots. Each quote carries the run id of the process it is meant for.
// So a failover, or a restart that may have lost data, begins new epochs.
type master struct {
	client  redis.UniversalClient
	release func()
	run     atomic.Pointer[string] // run id of the process last connected to

	connected bool      // owned by the round trip under way
	confirmed time.Time // when Sentinel last confirmed this master; owned by masters
}

// confirmEvery is how often a Publisher checks that Sentinel still names the server it is connected
// to. A paused master that was replaced accepts quotes for up to ten more seconds, until Sentinel
// makes it a replica and its new quotes are lost.
const confirmEvery = 500 * time.Millisecond

func openMaster(rdb redis.UniversalClient, timeout time.Duration) *master {
	m := &master{}
	id := unknownRun // clients of other kinds report no run id
	m.run.Store(&id)
	if redislink.TopologyOf(rdb).Single() {
		m.run.Store(nil)
	}
	m.client, m.release = redislink.Own(rdb, redislink.OwnOptions{PoolSize: 1, Timeout: timeout, OnConnect: m.onConnect})
	return m
}

// connect makes sure that there is a connection before quotes are sent. A command that fails here
// was certainly not executed.
func (m *master) connect(ctx context.Context) error {
	if m.connected {
		return nil
	}
	if err := m.client.Ping(ctx).Err(); err != nil {
		return redislink.NotSent(err)
	}
	m.connected = true
	return nil
}

var errRunChanged = errors.New("the Redis process has changed")

// onConnect reads the run id of the process behind a new connection. If it differs from the known
// one, the connection is refused once: arguments built for one process must not reach another.
func (m *master) onConnect(ctx context.Context, cn *redis.Conn) error {
	info, err := cn.Info(ctx, "server").Result()
	if err != nil && (redislink.Code(err) == "" || redislink.MayRetry(err)) {
		return redislink.NotSent(err)
	}
	run := runIDOf(info) // an embedded or restricted server reports none
	known := m.run.Swap(&run)
	if known != nil && *known != run {
		return redislink.NotSent(errRunChanged)
	}
	return nil
}

// masters holds the servers that a Publisher sends to, each with its own connection. Only one
// goroutine may use it.
type masters struct {
	rdb     redis.UniversalClient
	timeout time.Duration
	kind    redislink.Kind
	cluster redis.UniversalClient // finds the master of a key; nil if there is only one master
	byAddr  map[string]*master    // a single master has the key ""
	release func()                // of cluster
}

func openMasters(rdb redis.UniversalClient, timeout time.Duration) *masters {
	ms := &masters{rdb: rdb, timeout: timeout, kind: redislink.TopologyOf(rdb).Kind(), byAddr: map[string]*master{}, release: func() {}}
	if ms.kind == redislink.Cluster {
		ms.cluster, ms.release = redislink.Own(rdb, redislink.OwnOptions{PoolSize: 1})
	}
	return ms
}

// client returns a client for commands other than publishing.
func (ms *masters) client() redis.UniversalClient {
	if ms.cluster != nil {
		return ms.cluster
	}
	return ms.at("", ms.rdb).client
}

// of returns the master of a key. An error means that nothing was sent.
func (ms *masters) of(ctx context.Context, key string) (*master, error) {
	if ms.cluster == nil {
		if err := ms.confirm(ctx); err != nil {
			return nil, redislink.NotSent(err)
		}
		return ms.at("", ms.rdb), nil
	}
	node, err := redislink.TopologyOf(ms.cluster).MasterOf(ctx, key)
	if err != nil {
		return nil, err
	}
	return ms.at(node.Options().Addr, node), nil
}

// confirm drops a master that Sentinel has replaced. The caller's own client switches by itself as
// soon as Sentinel announces the new master.
func (ms *masters) confirm(ctx context.Context) error {
	m := ms.at("", ms.rdb)
	if ms.kind != redislink.Sentinel || time.Since(m.confirmed) < confirmEvery {
		return nil
	}
	info, err := ms.rdb.Info(ctx, "server").Result()
	if err != nil && (redislink.Code(err) == "" || redislink.MayRetry(err)) {
		return err
	}
	if run, known := runIDOf(info), m.run.Load(); known != nil && *known != run {
		delete(ms.byAddr, "")
		m.release()
		m = ms.at("", ms.rdb)
	}
	m.confirmed = time.Now()
	return nil
}

func (ms *masters) at(addr string, rdb redis.UniversalClient) *master {
	m := ms.byAddr[addr]
	if m == nil {
		m = openMaster(rdb, ms.timeout)
		ms.byAddr[addr] = m
	}
	return m
}

// doubt reloads the slot map of a cluster and releases masters that cannot be reached, since they
// may be gone.
func (ms *masters) doubt(ctx context.Context) {
	if ms.cluster == nil {
		return
	}
	redislink.TopologyOf(ms.cluster).Reload(ctx)
	for addr, m := range ms.byAddr {
		if !m.connected {
			delete(ms.byAddr, addr)
			m.release()
		}
	}
}

func (ms *masters) close() {
	for _, m := range ms.byAddr {
		m.release()
	}
	ms.release()
}
