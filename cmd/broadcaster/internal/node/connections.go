package node

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/limiter/httplimit"
	"github.com/fxcast/fxcast/web/access"
)

const (
	// descriptorReserve bounds the descriptors that the public listener leaves for Redis, the admin
	// listener and files.
	descriptorReserve = 256
	// loopbackSpare is how many connections over a limit this machine may open, so that its health
	// check works while all places are taken.
	loopbackSpare = 8
)

// The limits of connections. Their names are metric labels.
const (
	inAll     = "total"
	byAddress = "address"
)

// connections bounds the connections of the public listener, in all and for each address. A connection
// counts from accept until it is closed, whatever it has become meanwhile. One over a limit is closed
// before anything is read from it, so that nobody can take all descriptors of the process.
//
// A connection of a trusted proxy counts for no address until a request on it names one. From then on
// it counts for that address, until the next request.
type connections struct {
	max        int
	perAddress int
	proxies    []netip.Prefix
	exempt     []netip.Prefix // addresses that are not counted, the proxies' among them
	log        *slog.Logger
	refused    map[string]prometheus.Counter
	warnings   map[string]*access.Warning

	mu   sync.Mutex // guards the fields below, and those of each connection
	open int
	of   map[netip.Addr]int // open connections of each address
}

func newConnections(cfg config.Config, descriptors int, reg prometheus.Registerer, logger *slog.Logger) *connections {
	c := &connections{max: descriptors - min(descriptors/4, descriptorReserve), perAddress: cfg.HTTP.MaxPerAddress, proxies: cfg.HTTP.Proxies,
		exempt: slices.Concat(cfg.Rate.Exempt, cfg.HTTP.Proxies), log: logger,
		refused: map[string]prometheus.Counter{}, warnings: map[string]*access.Warning{}, of: map[netip.Addr]int{}}
	if wanted := cfg.HTTP.MaxConnections; wanted > c.max {
		logger.Warn("MAX_CONNECTIONS is more than the limit of open files allows; raise it (ulimit -n, LimitNOFILE)", "wanted", wanted, "max", c.max)
	} else if wanted > 0 {
		c.max = wanted
	}
	if !cfg.Given("MAX_CONNECTIONS_PER_ADDRESS") {
		c.perAddress = max(1, min(c.perAddress, c.max/2))
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_web_refused_connections_total",
		Help: "Connections closed because all places of the public listener (total) or of their address (address) were taken. Growing: see MAX_CONNECTIONS and MAX_CONNECTIONS_PER_ADDRESS.",
	}, []string{"reason"})
	for _, reason := range []string{inAll, byAddress} {
		c.refused[reason], c.warnings[reason] = refused.WithLabelValues(reason), &access.Warning{}
	}
	reg.MustRegister(refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fx_web_connections",
			Help: "Open connections of the public listener. Near fx_web_connections_max: new clients are refused soon."},
			func() float64 { return float64(c.count()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fx_web_connections_max",
			Help: "The greatest number of connections of the public listener."},
			func() float64 { return float64(c.max) }))
	return c
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// listener returns l, whose connections are counted and bounded.
func (c *connections) listener(l net.Listener) net.Listener { return boundedListener{l, c} }

type boundedListener struct {
	net.Listener
	connections *connections
}

// Accept implements net.Listener. It closes connections that are over a limit and goes on.
func (l boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, nil
		}
		if counted := l.connections.admit(tcp); counted != nil {
			return counted, nil
		}
		_ = tcp.SetLinger(0) // a reset: a flood leaves no connections in TIME_WAIT
		_ = tcp.Close()
	}
}

// A connection is a TCP connection that has a place. Close gives the place back.
type connection struct {
	*net.TCPConn
	all *connections

	address netip.Addr // for which it counts, invalid for none; guarded by all.mu
	closed  bool       // guarded by all.mu
}

// Close implements net.Conn.
func (c *connection) Close() error {
	err := c.TCPConn.Close()
	c.all.release(c)
	return err
}

// admit counts a connection, and returns nil if there is no place for it.
func (c *connections) admit(tcp *net.TCPConn) *connection {
	peer, _ := netip.AddrFromSlice(tcp.RemoteAddr().(*net.TCPAddr).IP)
	conn := &connection{TCPConn: tcp, all: c}
	if reason := c.take(conn, peer.Unmap()); reason != "" {
		c.report(reason, peer)
		return nil
	}
	return conn
}

// take gives conn a place for an address, or returns the limit that refuses it.
func (c *connections) take(conn *connection, a netip.Addr) (refusedBy string) {
	spare, subject := 0, c.subject(a)
	if a.IsLoopback() {
		spare = loopbackSpare
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open >= c.max+spare:
		return inAll
	case subject.IsValid() && c.of[subject] >= c.perAddress+spare:
		return byAddress
	}
	c.open++
	c.moveLocked(conn, subject)
	return ""
}

// subject returns the address for which the connections of a are counted, the first of its /64 with
// IPv6. It is invalid if they are not counted.
func (c *connections) subject(a netip.Addr) netip.Addr {
	if httplimit.Contains(c.exempt, a) {
		return netip.Addr{}
	}
	if a.Is6() {
		network, _ := a.WithZone("").Prefix(64) // 64 bits fit any IPv6 address
		return network.Addr()
	}
	return a
}

// moveLocked makes a connection count for another address.
func (c *connections) moveLocked(conn *connection, to netip.Addr) {
	if from := conn.address; from.IsValid() {
		if c.of[from]--; c.of[from] == 0 {
			delete(c.of, from)
		}
	}
	if to.IsValid() {
		c.of[to]++
	}
	conn.address = to
}

func (c *connections) release(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.closed {
		return
	}
	conn.closed = true
	c.open--
	c.moveLocked(conn, netip.Addr{})
}

type connectionKey struct{}

// context lets the requests of a connection find it. Without trusted proxies none needs to.
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	if counted, ok := conn.(*connection); ok && len(c.proxies) > 0 {
		return context.WithValue(ctx, connectionKey{}, counted)
	}
	return ctx
}

// forwarded counts the connection of a request for the address that a trusted proxy reports, and
// returns false if that address has no place left.
func (c *connections) forwarded(r *http.Request) bool {
	conn, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return true
	}
	address := httplimit.ClientAddress(r, c.proxies)
	subject := c.subject(address)
	c.mu.Lock()
	full := subject.IsValid() && subject != conn.address && c.of[subject] >= c.perAddress
	switch {
	case full:
		c.moveLocked(conn, netip.Addr{})
	case !conn.closed && subject != conn.address:
		c.moveLocked(conn, subject)
	}
	c.mu.Unlock()
	if full {
		c.report(byAddress, address)
	}
	return !full
}

// report counts a refused connection, and warns once a minute at most.
func (c *connections) report(reason string, address netip.Addr) {
	c.refused[reason].Inc()
	n, due := c.warnings[reason].Due(time.Now())
	if !due {
		return
	}
	if reason == inAll {
		c.log.Warn("connections refused: the public listener has as many as MAX_CONNECTIONS or the limit of open files allows", "max", c.max, "refused", n)
		return
	}
	c.log.Warn("connections refused: one address has as many as MAX_CONNECTIONS_PER_ADDRESS allows; if it is your proxy, list it in TRUSTED_PROXIES",
		"address", address.String(), "max", c.perAddress, "refused", n)
}
