package node

import (
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// TestConnectionPlaces fills the places of all and of one address, and frees them.
func TestConnectionPlaces(t *testing.T) {
	cfg := programtest.Load(t, "MAX_CONNECTIONS=9", "MAX_CONNECTIONS_PER_ADDRESS=4", "RATE_EXEMPT=198.51.100.0/24", "TRUSTED_PROXIES=10.0.0.1")
	logger, _ := programtest.Log()
	c := newConnections(cfg, 1000, prometheus.NewRegistry(), logger)
	open := map[string][]*connection{}
	take := func(address, want string) {
		t.Helper()
		conn := &connection{all: c}
		if got := c.take(conn, netip.MustParseAddr(address)); got != want {
			t.Fatalf("%s is refused by %q, want %q", address, got, want)
		}
		if want == "" {
			open[address] = append(open[address], conn)
		}
	}
	for i := range 4 {
		take([]string{"2001:db8::1", "2001:db8:0:0:ffff::9", "2001:db8::2", "2001:db8::1"}[i], "")
	}
	take("2001:db8::3", byAddress) // the same /64
	take("2001:db8:0:1::3", "")
	for range 4 {
		take("198.51.100.7", "") // exempt from the limit of an address, not from that of all
	}
	take("198.51.100.7", inAll)
	take("10.0.0.1", inAll)
	take("127.0.0.1", "") // a health check
	freed := open["2001:db8::1"][0]
	for range 2 {
		c.release(freed) // twice, as net/http and a socket may close it
	}
	take("10.0.0.1", inAll) // one more than MAX_CONNECTIONS is open
	c.release(open["127.0.0.1"][0])
	take("2001:db8::1", "")
	for _, conns := range open {
		for _, conn := range conns {
			c.release(conn)
		}
	}
	if c.count() != 0 || len(c.of) != 0 {
		t.Errorf("%d connections and %v are left", c.count(), c.of)
	}
}

// TestConnectionLimits: without settings the limits come from the descriptors.
func TestConnectionLimits(t *testing.T) {
	for _, tc := range []struct {
		descriptors     int
		environ         []string
		max, perAddress int
		warning         string
	}{
		{1024, nil, 768, 200, ""},
		{256, nil, 192, 96, ""},
		{1 << 20, nil, 1<<20 - 256, 200, ""},
		{256, []string{"MAX_CONNECTIONS=50"}, 50, 25, ""},
		{256, []string{"MAX_CONNECTIONS=5000", "MAX_CONNECTIONS_PER_ADDRESS=200"}, 192, 200, "MAX_CONNECTIONS is more than the limit of open files allows"},
	} {
		logger, log := programtest.Log()
		c := newConnections(programtest.Load(t, tc.environ...), tc.descriptors, prometheus.NewRegistry(), logger)
		if c.max != tc.max || c.perAddress != tc.perAddress || tc.warning == "" != (log.String() == "") || !strings.Contains(log.String(), tc.warning) {
			t.Errorf("%d descriptors and %v: %d and %d, log %q", tc.descriptors, tc.environ, c.max, c.perAddress, log)
		}
	}
}

// TestRefusedConnection: a connection over a limit is closed at once, and the listener goes on.
func TestRefusedConnection(t *testing.T) {
	logger, log := programtest.Log()
	c := newConnections(programtest.Load(t, "MAX_CONNECTIONS_PER_ADDRESS=1"), 1000, prometheus.NewRegistry(), logger)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := c.listener(plain)
	defer l.Close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	var places []net.Conn
	for range 1 + loopbackSpare {
		dial()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, conn)
	}
	refused := dial()
	next := make(chan net.Conn)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		next <- conn
	}()
	refused.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := refused.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
		t.Errorf("a refused connection reads %d, %v", n, err)
	}
	places[0].Close()
	client := dial()
	conn := <-next
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if n := testutil.ToFloat64(c.refused[byAddress]); n != 1 || !strings.Contains(log.String(), "address=127.0.0.1") {
		t.Errorf("%g refused, log %q", n, log)
	}
}
