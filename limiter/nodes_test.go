package limiter_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

const nodeEnv = "LIMITER_TEST_NODE" // the Redis address: this process is a node of TestNodes

var nodeTiers = []limiter.Limit{{Max: 40, Window: time.Second}, {Max: 60, Window: 2 * time.Second}}

func TestMain(m *testing.M) {
	redistest.Silence() // connections that the tests break
	if addr := os.Getenv(nodeEnv); addr != "" {
		if err := hammer(addr, os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

// hammer calls without pause until stdin ends and prints Redis's time of every
// admission.
func hammer(addr string, stop io.Reader, out io.Writer) error {
	c := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer c.Close()
	store := limiter.NewStore(c, patient)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, stop)
		cancel()
	}()
	w := bufio.NewWriter(out)
	for ctx.Err() == nil {
		ok, at, err := store.Decide(context.Background(), "one subject", 1, nodeTiers...)
		if err != nil {
			return err
		}
		if ok {
			fmt.Fprintln(w, at)
		}
	}
	<-done
	return w.Flush()
}

// TestNodes has four processes hammer one subject across window boundaries and
// counts every admission, by Redis's own times.
func TestNodes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	type node struct {
		cmd *exec.Cmd
		in  io.Closer
		out io.Reader
	}
	var nodes []node
	for range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), nodeEnv+"="+s.Addr())
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		nodes = append(nodes, node{cmd, in, out})
	}
	time.Sleep(5 * time.Second) // what is measured: two and a half of the longer window
	for _, n := range nodes {
		n.in.Close()
	}
	var times []int64
	active := 0
	for _, n := range nodes {
		before := len(times)
		for sc := bufio.NewScanner(n.out); sc.Scan(); {
			at, err := strconv.ParseInt(sc.Text(), 10, 64)
			if err != nil {
				t.Fatalf("a node says %q", sc.Text())
			}
			times = append(times, at)
		}
		if err := n.cmd.Wait(); err != nil {
			t.Errorf("a node ended with %v", err)
		}
		if len(times) > before {
			active++
		}
	}
	slices.Sort(times)
	if len(times) < 100 || active < 2 {
		t.Fatalf("%d admissions by %d nodes: too few to say anything", len(times), active)
	}
	for _, l := range nodeTiers {
		w := l.Window.Microseconds()
		first := 0
		for i, at := range times {
			for times[first] <= at-w {
				first++
			}
			if n := int64(i - first + 1); n > l.Max {
				t.Fatalf("%d admitted in the %v up to %d, want at most %d", n, l.Window, at, l.Max)
			}
		}
	}
	// The callers never paused, so they used the tiers up in every window lengthened by 1/60,
	// except for the time that a busy machine takes.
	elapsed := float64(times[len(times)-1]-times[0]) / 1e6
	if least := 0.8 * 30 * elapsed / (61.0 / 60); float64(len(times)) < least {
		t.Errorf("%d admitted in %.1f s, want at least %.0f", len(times), elapsed, least)
	}
	t.Logf("%d admissions in %.2f s by %d processes", len(times), elapsed, active)
}

// TestMemory measures a subject with the default tiers after hits spread over
// a day, which makes every tier as full of marks as it gets.
func TestMemory(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	tiers := limiter.RequestTiers(60, 1000, 10_000)
	for _, hits := range []int64{10, 1000, 10_000} {
		s := newScripted(t, c, tiers)
		for i, l := range tiers {
			s.keys[i] = limiter.RedisKey(fmt.Sprint("user:", hits), l)
		}
		most := int64(0)
		pipe := c.Pipeline()
		now := int64(1_800_000_000_000_000)
		for i := range hits {
			switch left := hits - i; { // every tier gets a mark from every hit it can
			case left <= 60:
				now += 60_000_000/60 + 1
			case left <= 120:
				now += 3_600_000_000/60 + 1
			default:
				now += 82_000_000_000 / (hits - 120)
			}
			args := []any{1}
			for _, l := range tiers {
				args = append(args, 1, l.Max, l.Window.Milliseconds()+1000)
			}
			pipe.Eval(t.Context(), limiter.WindowSourceAt, s.keys, append(args, now)...)
			if i%100 != 99 && i != hits-1 {
				continue
			}
			var sizes []*redis.IntCmd
			for _, k := range s.keys {
				sizes = append(sizes, pipe.MemoryUsage(t.Context(), k, 0))
			}
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			sum := int64(0)
			for _, n := range sizes {
				sum += n.Val()
			}
			most = max(most, sum)
		}
		t.Logf("%d hits: at most %d bytes", hits, most)
		if most > 2048 {
			t.Errorf("%d hits: %d bytes for three tiers, want at most 2048", hits, most)
		}
		for _, k := range s.keys {
			if ttl := c.PTTL(t.Context(), k).Val(); ttl <= 0 || ttl > 24*time.Hour+2*time.Second {
				t.Errorf("%s expires in %v", k, ttl)
			}
		}
	}
	// The most a tier can take: 61 marks of 6+7 bytes.
	s := newScripted(t, c, []limiter.Limit{{Max: limiter.MaxLimit, Window: limiter.MaxWindow}})
	now := int64(1_800_000_000_000_000)
	for range 61 {
		if ok, _ := s.Decide(now, 1_000_000_000_000, true); !ok {
			t.Fatal("refused")
		}
		now += limiter.MaxWindow.Microseconds()/60 + 1
	}
	if n := c.MemoryUsage(t.Context(), s.keys[0], 0).Val(); n > 1100 {
		t.Errorf("the largest window takes %d bytes, want at most 1100", n)
	} else {
		t.Logf("the largest window: %d bytes", n)
	}
}
