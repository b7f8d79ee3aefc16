package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// killsVariable sets how many processes TestStreamKills kills for each kind of Redis.
const killsVariable = "FXCAST_KILLS"

// TestStreamKills kills nodes, servers of Redis and producers with SIGKILL, as a seed decides, while
// producers add quotes to the stream. In the end every quote of the stream, as Redis has it, must
// have been accepted once and in the order of its symbol.
func TestStreamKills(t *testing.T) {
	t.Parallel()
	kills := 2
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", killsVariable, err)
		}
	}
	t.Run("standalone", func(t *testing.T) {
		t.Parallel()
		killStream(t, kills, killedServer(t))
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinel(t)
		killStream(t, kills, killedRedis{settings: append(sentinelSettings(s, plain), "PUBLISH_ACK=replicated"), client: s.Client(), addr: s.MasterAddr,
			kill: func(func(int) int) {
				killed := s.KillMaster()
				s.AwaitFailover(killed)
				s.Restart(killed)
				s.AwaitWhole()
			}})
	})
	for _, fsync := range []string{"always", "everysec"} {
		t.Run("cluster, appendfsync "+fsync, func(t *testing.T) {
			t.Parallel()
			c := durable(fsync).StartCluster(t) // the stream and the counters are on different servers
			killStream(t, kills, killedRedis{settings: clusterSettings(c, plain), client: c.Client(), addr: func() string { return c.Addrs()[0] }, cluster: true,
				forgets: fsync == "everysec",
				kill: func(random func(int) int) {
					c.Server(random(len(c.Addrs()))).Restart()
					c.AwaitWhole()
				}})
		})
	}
}

// killStream kills while producers add to the stream.
func killStream(t *testing.T, kills int, r killedRedis) {
	k := newKilling(t, r)
	p := &streamProducer{t: t, redis: r, numbers: map[string]int{}, random: k.numbers(2)}
	killed := k.run(exotic, p, func(n int) (victim, bool) {
		switch what := k.random(10); {
		case what < 4:
			return theLeader, n < kills
		case what == 4:
			return anotherNode, n < kills
		case what < 8:
			return theServer, n < kills
		}
		return theProducer, n < kills
	})
	added, accepted := r.verify(t)
	t.Logf("seed %d: %s; %d quotes in %d entries, %d accepted, %d of entries that Redis has forgotten",
		k.seed, killed, added.quotes, added.entries, accepted, accepted-added.quotes)
}

type addedQuotes struct{ quotes, entries int }

// verify compares what is in the stream with what was accepted.
func (r killedRedis) verify(t *testing.T) (added addedQuotes, accepted int) {
	t.Helper()
	var want map[string][]string
	last := ""
	read := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		entries, err := r.client.XRange(ctx, "forex_stream", "-", "+").Result()
		if err != nil || len(entries) == 0 {
			return false
		}
		want, added = map[string][]string{}, addedQuotes{entries: len(entries)}
		for _, e := range entries {
			var quotes []struct{ Symbol, Bid string }
			if data, ok := e.Values["data"].(string); ok {
				if err := json.Unmarshal([]byte(data), &quotes); err != nil {
					t.Fatal(err)
				}
			} else {
				quotes = append(quotes, struct{ Symbol, Bid string }{e.Values["symbol"].(string), e.Values["bid"].(string)})
			}
			for _, q := range quotes {
				want[q.Symbol] = append(want[q.Symbol], q.Bid)
				added.quotes++
			}
		}
		last = entries[len(entries)-1].ID
		return true
	}
	programtest.Eventually(t, "the stream is read", read)
	programtest.Eventually(t, "all entries are settled", func() bool {
		return r.client.HGet(t.Context(), "fx:stream:{forex_stream}", "id").Val() == last
	})
	for _, s := range exotic {
		var got []string
		for _, e := range r.client.XRange(t.Context(), "fx:{"+s+"}:ticks", "-", "+").Val() {
			tick, err := feed.DecodeTick([]byte(e.Values["q"].(string)))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, tick.Bid)
		}
		accepted += len(got)
		if r.forgets {
			in := map[string]bool{}
			for _, bid := range want[s] {
				in[bid] = true
			}
			got = slices.DeleteFunc(got, func(bid string) bool { return !in[bid] })
		}
		if slices.Equal(got, want[s]) {
			continue
		}
		at := 0
		for at < min(len(got), len(want[s])) && got[at] == want[s][at] {
			at++
		}
		t.Errorf("%s: %d accepted of %d; they differ from the %d. on: accepted %v, in the stream %v", s, len(got), len(want[s]), at+1,
			got[at:min(at+5, len(got))], want[s][at:min(at+5, len(want[s]))])
	}
	if n := r.client.LLen(t.Context(), "fx:rejected").Val(); n != 0 {
		t.Errorf("%d rejected: %s", n, r.client.LIndex(t.Context(), "fx:rejected", 0).Val())
	}
	return added, accepted
}

// streamProducer adds quotes by redis-cli, which is killed with what it has not sent yet.
type streamProducer struct {
	t       *testing.T
	redis   killedRedis
	random  func(int) int
	numbers map[string]int // of quotes by symbol

	mu  sync.Mutex // guards cmd
	cmd *exec.Cmd
}

const producerPace = 10 * time.Millisecond // between two entries

// run implements killedSource.
func (p *streamProducer) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.produce(ctx); err != nil {
			p.t.Error(err)
			return
		}
	}
}

// produce adds quotes until the process has ended or ctx does.
func (p *streamProducer) produce(ctx context.Context) error {
	host, port, err := net.SplitHostPort(p.redis.addr())
	if err != nil {
		return nil // no sentinel knows the master
	}
	args := []string{"-h", host, "-p", port}
	if p.redis.cluster {
		args = append(args, "-c")
	}
	cmd := exec.Command("redis-cli", args...)
	cmd.SysProcAttr = redistest.ProcAttr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.mu.Lock()
	p.cmd = cmd
	p.mu.Unlock()
	defer func() {
		in.Close()
		p.kill()
		_ = cmd.Wait() // it was killed
	}()
	pace := time.NewTicker(producerPace)
	defer pace.Stop()
	fresh := time.After(2 * time.Second) // Redis may be elsewhere by then
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-fresh:
			return nil
		case <-pace.C:
		}
		if _, err := io.WriteString(in, p.command()); err != nil {
			return nil // killed
		}
	}
}

// command returns an XADD of one quote, or of several quotes of one or two symbols.
func (p *streamProducer) command() string {
	quote := func(s string) (bid, ask string) {
		p.numbers[s]++
		return fmt.Sprintf("1.%06d", p.numbers[s]), fmt.Sprintf("1.%06d", p.numbers[s]+100)
	}
	one, other := exotic[p.random(len(exotic))], exotic[p.random(len(exotic))]
	if p.random(2) == 0 {
		bid, ask := quote(one)
		return fmt.Sprintf("XADD forex_stream * symbol %s bid %s ask %s\n", one, bid, ask)
	}
	var items []string
	for _, s := range []string{one, other, one} {
		bid, ask := quote(s)
		items = append(items, fmt.Sprintf(`{\"symbol\":\"%s\",\"bid\":\"%s\",\"ask\":\"%s\"}`, s, bid, ask))
	}
	return `XADD forex_stream * data "[` + strings.Join(items, ",") + `]"` + "\n"
}

// kill implements killedSource: it ends the process that adds.
func (p *streamProducer) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it may have ended
		p.cmd = nil
	}
}
