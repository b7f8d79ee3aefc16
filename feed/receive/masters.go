package receive

import (
	"context"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
)

// askAgainEvery is how often a master of a cluster is asked again for a symbol that it does not
// serve, although no other is known to serve it.
const askAgainEvery = 300 * time.Millisecond

// masterConn is the connection to one master of a cluster. It belongs to a client of that master:
// go-redis makes another one when a server leaves the cluster and comes back. Its probes need a slot
// of that master too, and use the one of a symbol.
type masterConn struct {
	*connection
	client *redis.Client
	slotOf feed.Symbol // whose slot the probes use
	cancel context.CancelFunc
	done   chan struct{} // closed when the connection has ended
	ending bool          // cancel was called
}

func (m *masterConn) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// reconsider has the masters of symbols looked up again, since the slots of a cluster may have
// moved.
func (r *Receiver) reconsider(symbols ...feed.Symbol) {
	redislink.TopologyOf(r.client).Reload(context.Background()) // it does not wait
	r.again(symbols...)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// place has the connection to the master of s receive it. A symbol leaves a connection only after no
// more of its ticks come through there: when Redis has said that its slot is elsewhere, or when the
// connection is lost.
func (r *Receiver) place(ctx context.Context, s feed.Symbol, f *follower, now time.Time) {
	state := unasked
	if f.conn != nil {
		state = f.conn.state(s)
	}
	switch state {
	case subscribed:
		f.missing = time.Time{}
		return
	case asked:
		if !f.missing.IsZero() {
			r.again(s)
		}
		return
	}
	if f.missing.IsZero() && (f.conn == nil || state == elsewhere) {
		f.missing = now
	}
	if !f.missing.IsZero() {
		r.again(s)
	}
	to := r.connectionTo(ctx, s)
	switch {
	case to == nil:
		r.again(s)
	case to != f.conn:
		if f.conn == nil || f.conn.release(s) {
			f.conn = to
			to.want(s, true)
		}
	case state == elsewhere && now.Sub(f.tried) >= askAgainEvery:
		f.tried = now
		to.want(s, true)
	}
}

// connectionTo returns the connection to the master of s, and opens it if there is none. It returns
// nil while the master is not known, or its former connection has not ended.
func (r *Receiver) connectionTo(ctx context.Context, s feed.Symbol) *connection {
	client := r.masterOf(ctx, s)
	if client == nil {
		return nil
	}
	m := r.masters[client]
	switch {
	case m == nil || m.ended():
		return r.openMaster(ctx, client, s).connection
	case m.ending:
		return nil
	}
	return m.connection
}

// masterOf returns a client of the master of s, nil if it is not known. It waits for Redis only
// until the slots are known for the first time, and then at most once per round.
func (r *Receiver) masterOf(ctx context.Context, s feed.Symbol) *redis.Client {
	if r.lookedInVain {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	client, err := redislink.TopologyOf(r.client).MasterOf(ctx, r.cfg.Keys.Channel(s))
	r.lookedInVain = err != nil
	return client
}

// openMaster opens a connection to a master, whose probes use the slot of s.
func (r *Receiver) openMaster(ctx context.Context, client *redis.Client, s feed.Symbol) *masterConn {
	ctx, cancel := context.WithCancel(ctx)
	m := &masterConn{
		connection: newConnection(r, client, r.cfg.Keys.SymbolProbe(r.cfg.Node, s), true, nil),
		client:     client, slotOf: s, cancel: cancel, done: make(chan struct{}),
	}
	r.masters[client] = m
	r.setConnections()
	r.masterConns.Go(func() {
		defer close(m.done)
		defer cancel()
		_ = m.listener.Run(ctx) // always nil: the listener is not optional
		m.end()
	})
	return m
}

// retire ends the connections that no symbol needs, and those whose probes no longer reach their
// master.
func (r *Receiver) retire(ctx context.Context) {
	for client, m := range r.masters {
		switch {
		case m.ended():
			delete(r.masters, client)
		case m.ending:
		case !m.needed(), !m.open.Load() && r.leftMaster(ctx, m):
			m.ending = true
			m.cancel()
			r.setConnections()
		}
	}
}

// leftMaster reports whether the slot of the probes is known to belong to another master.
func (r *Receiver) leftMaster(ctx context.Context, m *masterConn) bool {
	client := r.masterOf(ctx, m.slotOf)
	return client != nil && client != m.client
}

// setConnections sets the connections that checkDegraded and ProbeAge look at.
func (r *Receiver) setConnections() {
	conns := []*connection{r.main}
	for _, m := range r.masters {
		if !m.ending && !m.ended() {
			conns = append(conns, m.connection)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = conns
}
