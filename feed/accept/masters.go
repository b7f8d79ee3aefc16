package accept

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// A master is a Redis server that accepts quotes: the only one, the one that Sentinel names, or in
// a cluster the owner of some slots. Each quote carries the run id of the process it is meant for.
// So a failover, or a restart that may have lost data, begins new epochs.
type master struct {
	rdb       redis.UniversalClient
	addr      string // where it is, if elsewhere than rdb
	timeout   time.Duration
	newest    atomic.Pointer[string] // run id of the process that was connected to last
	confirmed time.Time              // when Sentinel last confirmed this master; owned by masters

	// Quotes go over the connection at writes. With replication the other one may be occupied by
	// WAIT meanwhile; without, there is one.
	connections []*connection
	writes      int
	replicas    *replicas // nil without replication
}

// confirmEvery is how often a Publisher checks that Sentinel still names the server it is connected
// to. A paused master that was replaced accepts quotes for up to ten more seconds, until Sentinel
// makes it a replica and its new quotes are lost.
const confirmEvery = 500 * time.Millisecond

func openMaster(rdb redis.UniversalClient, addr string, timeout time.Duration, replicated bool) *master {
	m := &master{rdb: rdb, addr: addr, timeout: timeout, connections: make([]*connection, 1)}
	if replicated {
		m.connections, m.replicas = make([]*connection, 2), &replicas{}
	}
	for i := range m.connections {
		m.connections[i] = m.open()
	}
	return m
}

// connect returns the connection for quotes, connected. It was opened again if another connection
// has since reached another process. A command that fails here was certainly not executed.
func (m *master) connect(ctx context.Context) (*connection, error) {
	c := m.connections[m.writes]
	if run, newest := c.run.Load(), m.newest.Load(); run != nil && newest != nil && *run != *newest {
		c.release()
		c = m.open()
		m.connections[m.writes] = c
	}
	if c.connected {
		return c, nil
	}
	if err := c.client.Ping(ctx).Err(); err != nil {
		return c, redislink.NotSent(err)
	}
	if m.replicas != nil {
		m.replicas.look(c.client.Info(ctx, "replication"))
	}
	c.connected = true
	return c, nil
}

// run returns the run id of the process connected to last, nil if there was none.
func (m *master) run() *string { return m.newest.Load() }

// connected reports whether the last quotes, or a PING, were answered.
func (m *master) connected() bool { return m.connections[m.writes].connected }

func (m *master) release() {
	for _, c := range m.connections {
		c.release()
	}
}

// masters holds the servers that a lane sends to, each with its own connection. Only one
// goroutine may use it.
type masters struct {
	rdb     redis.UniversalClient
	timeout time.Duration
	kind    redislink.Kind
	cluster redis.UniversalClient // finds the master of a key; nil if there is only one master
	byAddr  map[string]*master    // a single master has the key ""

	failovers *redislink.Failovers
	ended     int64 // failovers after which the connections were opened
	held      bool  // the last confirmation waited for a failover

	replicated bool // quotes wait for a replica
}

func openMasters(cfg PublisherConfig, cluster redis.UniversalClient) *masters {
	return &masters{rdb: cfg.Redis, cluster: cluster, timeout: cfg.Timeout, replicated: cfg.Replicated, failovers: cfg.Failovers,
		kind: redislink.TopologyOf(cfg.Redis).Kind(), byAddr: map[string]*master{}}
}

// client returns a client of the only master for commands other than publishing.
func (ms *masters) client() redis.UniversalClient {
	m := ms.at("", ms.rdb)
	return m.connections[m.writes].client
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

// confirm drops a master that Sentinel has replaced, and waits while it replaces one. The caller's
// own client switches by itself as soon as Sentinel announces the new master.
func (ms *masters) confirm(ctx context.Context) error {
	ended, err := ms.failovers.Await(ctx)
	ms.held = err != nil || ended != ms.ended
	if err != nil {
		return err
	}
	m := ms.at("", ms.rdb)
	if ms.held {
		ms.ended = ended
		m = ms.again()
	}
	if ms.kind != redislink.Sentinel || time.Since(m.confirmed) < confirmEvery {
		return nil
	}
	info, err := ms.rdb.Info(ctx, "server").Result()
	if err != nil && (redislink.Code(err) == "" || redislink.MayRetry(err)) {
		return err
	}
	if run, known := runIDOf(info), m.run(); known != nil && *known != run {
		m = ms.again()
	}
	m.confirmed = time.Now()
	return nil
}

// again opens the connections to the only master again.
func (ms *masters) again() *master {
	ms.at("", ms.rdb).release()
	delete(ms.byAddr, "")
	return ms.at("", ms.rdb)
}

func (ms *masters) at(addr string, rdb redis.UniversalClient) *master {
	m := ms.byAddr[addr]
	if m == nil {
		m = openMaster(rdb, addr, ms.timeout, ms.replicated)
		ms.byAddr[addr] = m
	}
	return m
}

// asked returns the server to which a slot is on its way, as a master has answered. It may have no
// slot yet, so that the slot map does not name it.
func (ms *masters) asked(addr string, by *master) *master {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && host == "" { // the one of the server that answered
		host, _, _ = net.SplitHostPort(by.addr)
		addr = net.JoinHostPort(host, port)
	}
	return ms.at(addr, by.rdb)
}

// doubt reloads the slot map of a cluster and releases masters that cannot be reached, since they
// may be gone.
func (ms *masters) doubt(ctx context.Context) {
	if ms.cluster == nil {
		return
	}
	redislink.TopologyOf(ms.cluster).Reload(ctx)
	for addr, m := range ms.byAddr {
		if !m.connected() {
			delete(ms.byAddr, addr)
			m.release()
		}
	}
}

func (ms *masters) close() {
	for _, m := range ms.byAddr {
		m.release()
	}
}
