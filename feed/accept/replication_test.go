package accept_test

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

func replicated(cfg *accept.PublisherConfig) { cfg.Replicated = true }

// startReplica starts a master and its replica, and returns when the replica is online.
func startReplica(t testing.TB) (master, replica *redistest.Server) {
	t.Helper()
	master, replica = redistest.Start(t), redistest.Start(t)
	master.Client().ConfigSet(t.Context(), "repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master.Addr())
	if err := replica.Client().ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	c := master.Client()
	eventually(t, "the replica is online", func() bool {
		return strings.Contains(c.Info(t.Context(), "replication").Val(), "state=online")
	})
	return master, replica
}

// calls returns how often a server has executed a command.
func calls(t testing.TB, c *redis.Client, command string) int {
	t.Helper()
	_, after, _ := strings.Cut(c.Info(t.Context(), "commandstats").Val(), "cmdstat_"+command+":calls=")
	text, _, _ := strings.Cut(after, ",")
	n, _ := strconv.Atoi(text)
	return n
}

func TestReplicated(t *testing.T) {
	t.Parallel()
	master, replica := startReplica(t)
	reg := prometheus.NewPedanticRegistry()
	p := startPublisher(t, master.Client(), replicated, func(cfg *accept.PublisherConfig) { cfg.Registerer = reg })
	has := replica.Client()
	for range 20 {
		o := publishOne(t, p, eurusd("1", "2"))
		if o.Seq == 0 || o.Unreplicated {
			t.Fatalf("%+v, want accepted and replicated", o)
		}
		if n := has.XLen(t.Context(), keys.Ticks("EUR/USD")).Val(); n != int64(o.Seq) {
			t.Fatalf("the replica has %d ticks when number %d is answered", n, o.Seq)
		}
	}
	if n := metric(t, reg, "fx_feed_unreplicated_total"); n != 0 {
		t.Errorf("%v counted as unreplicated, want 0", n)
	}
	if r := publishOne(t, p, eurusd("2", "1")); r.Rejection == nil || r.Unreplicated {
		t.Errorf("a crossed quote: %+v, want rejected only", r)
	}
}

// While a replica does not answer, quotes are accepted and shown as fast as before. Only their
// answers wait, for at most a little more than a second, and share WAITs.
func TestFrozenReplicaDelaysAnswersOnly(t *testing.T) {
	t.Parallel()
	master, replica := startReplica(t)
	c := master.Client()
	p := startPublisher(t, master.Client(), replicated)
	publishOne(t, p, eurusd("1", "2"))
	waits := calls(t, c, "wait")
	replica.Pause()
	const callers = 20
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			began := time.Now()
			out, err := p.Publish(context.Background(), []feed.Quote{eurusd("1", "2")})
			if err != nil || out[0].Seq == 0 || !out[0].Unreplicated {
				t.Errorf("%+v, %v, want accepted and unreplicated", out, err)
			}
			if took := time.Since(began); took < 200*time.Millisecond || took > 20*time.Second {
				t.Errorf("answered after %v, want about a second", took)
			}
		})
		// One call after the other, so that each is a round trip of its own.
		eventually(t, "the quote is accepted although no earlier one is answered", func() bool {
			return c.XLen(t.Context(), keys.Ticks("EUR/USD")).Val() == int64(i+2)
		})
	}
	wg.Wait()
	if n := calls(t, c, "wait") - waits; n > callers/2 {
		t.Errorf("%d WAITs for %d calls, want them shared", n, callers)
	}
	replica.Resume()
	eventually(t, "quotes are replicated again", func() bool {
		return !publishOne(t, p, eurusd("1", "2")).Unreplicated
	})
}

func TestMasterWithoutReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	reg := prometheus.NewPedanticRegistry()
	var log redistest.Log
	p := startPublisher(t, master.Client(), replicated, func(cfg *accept.PublisherConfig) {
		cfg.Registerer, cfg.Logger = reg, slog.New(slog.NewTextHandler(&log, nil))
	})
	eventually(t, "a warning at the start", func() bool { return strings.Contains(log.String(), "this master has no replica") })
	for range 20 {
		if o := publishOne(t, p, eurusd("1", "2")); o.Seq == 0 || !o.Unreplicated {
			t.Fatalf("%+v, want accepted and unreplicated", o)
		}
	}
	if n := metric(t, reg, "fx_feed_unreplicated_total"); n != 20 {
		t.Errorf("%v counted as unreplicated, want 20", n)
	}
	if n := calls(t, master.Client(), "wait"); n != 0 {
		t.Errorf("%d WAITs for a master without replicas, want none: the answer is known at once", n)
	}

	replica := redistest.Start(t)
	host, port, _ := net.SplitHostPort(master.Addr())
	replica.Client().ReplicaOf(t.Context(), host, port)
	eventually(t, "quotes are replicated once there is a replica", func() bool {
		return !publishOne(t, p, eurusd("1", "2")).Unreplicated
	})
	if !strings.Contains(log.String(), "replicated again") {
		t.Error("the log does not show that quotes are replicated")
	}
}

// A connection that is lost during WAIT loses the answer of WAIT, not the outcome of the quote.
func TestConnectionLostDuringWait(t *testing.T) {
	t.Parallel()
	master, replica := startReplica(t)
	c := master.Client()
	p := startPublisher(t, master.Client(), replicated)
	publishOne(t, p, eurusd("1", "2"))
	replica.Pause()
	defer replica.Resume()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for t.Context().Err() == nil {
			for line := range strings.Lines(c.ClientList(t.Context()).Val()) {
				if id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " "); strings.Contains(line, "cmd=wait") {
					c.ClientKillByFilter(t.Context(), "ID", id)
					return
				}
			}
		}
	}()
	o := publishOne(t, p, eurusd("1", "2"))
	<-killed
	if o.Seq != 2 || !o.Unreplicated {
		t.Errorf("%+v, want number 2, unreplicated", o)
	}
}
