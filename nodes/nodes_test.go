package nodes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/nodes"
)

// member runs a node until the test, or stop, ends it.
func member(t *testing.T, rdb redis.UniversalClient, name string) (n *nodes.Nodes, stop func()) {
	t.Helper()
	n = nodes.New(nodes.Config{Redis: rdb, Node: name})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return n, stop
}

var eventually = redistest.Eventually

// busy is far more than the second that a question takes at most, even on a busy machine.
const busy = 10 * time.Second

func knows(n *nodes.Nodes, names ...string) func() bool {
	return func() bool { return slices.Equal(n.Others(), names) }
}

// client returns a client whose calls end with their context.
func client(t *testing.T, r *redistest.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: r.Addr(), DisableIdentity: true, ContextTimeoutEnabled: true,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second})
	t.Cleanup(func() { c.Close() })
	return c
}

// TestAsk asks all other nodes: they answer. A node that cannot answer, or whose answer is
// too long, sends a fault. The function enough ends the wait.
func TestAsk(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	a, _ := member(t, rdb, "a")
	if all, err := a.Ask(t.Context(), "sum", []int{1}, nil); err != nil || len(all.Answers)+len(all.Silent) != 0 {
		t.Errorf("a node alone: %+v, %v", all, err)
	}
	b, _ := member(t, rdb, "b")
	c, stop := member(t, rdb, "c")
	eventually(t, "a knows b and c", knows(a, "b", "c"))
	for _, n := range []*nodes.Nodes{a, b, c} {
		n.Handle("sum", func(_ context.Context, body json.RawMessage) (any, error) {
			var in []int
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, err
			}
			return in[0] + in[1], nil
		})
	}
	// askAll asks again while a node takes longer than a second, as on a busy machine.
	askAll := func(kind string) (all nodes.Answers) {
		eventually(t, "both answer", func() bool {
			var err error
			if all, err = a.Ask(t.Context(), kind, []int{2, 3}, nil); err != nil {
				t.Fatal(err)
			}
			return len(all.Answers) == 2 && len(all.Silent) == 0
		})
		return all
	}
	all := askAll("sum")
	for _, one := range all.Answers {
		if string(one.Body) != "5" || one.Fault != "" {
			t.Errorf("%s answers %s %s", one.Node, one.Body, one.Fault)
		}
	}
	if all, err := a.Ask(t.Context(), "sum", []int{2, 3}, func(nodes.Answer) bool { return true }); err != nil || len(all.Answers) != 1 {
		t.Errorf("one is enough: %+v, %v", all, err)
	}
	c.Handle("sum", func(context.Context, json.RawMessage) (any, error) { panic("a bug") })
	b.Handle("sum", func(context.Context, json.RawMessage) (any, error) { return strings.Repeat("x", 2<<20), nil })
	if all = askAll("sum"); all.Answers[0].Fault == "" || all.Answers[1].Fault == "" {
		t.Errorf("none can: %+v", all)
	}
	if all = askAll("nothing"); !strings.Contains(all.Answers[0].Fault, "does not know") {
		t.Errorf("an unknown question: %+v", all)
	}
	// A node that takes too long is silent, and Ask waits no longer than a second.
	hold := make(chan struct{})
	defer close(hold)
	b.Handle("slow", func(ctx context.Context, _ json.RawMessage) (any, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		<-hold
		return 1, nil
	})
	c.Handle("slow", func(context.Context, json.RawMessage) (any, error) { return 2, nil })
	asked := time.Now()
	all, err := a.Ask(t.Context(), "slow", nil, nil)
	if took := time.Since(asked); err != nil || len(all.Answers) != 1 || !slices.Equal(all.Silent, []string{"b"}) || took > busy {
		t.Errorf("b is silent: %+v, %v, after %v", all, err, took)
	}
	// A node that stops is gone.
	stop()
	eventually(t, "c is gone", knows(a, "b"))
	if err := a.Run(t.Context()); !errors.Is(err, nodes.ErrRunning) {
		t.Errorf("run twice: %v", err)
	}
}

// TestAskOne asks one node of several: only that one is asked.
func TestAskOne(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	a, _ := member(t, rdb, "a")
	b, _ := member(t, rdb, "b")
	c, stop := member(t, rdb, "c")
	eventually(t, "a knows b and c", knows(a, "b", "c"))
	c.Handle("who", func(context.Context, json.RawMessage) (any, error) {
		t.Error("c was asked")
		return nil, nil
	})
	b.Handle("who", func(_ context.Context, body json.RawMessage) (any, error) { return body, nil })
	eventually(t, "b answers", func() bool {
		one, err := a.AskOne(t.Context(), "b", "who", 7)
		return err == nil && one.Node == "b" && string(one.Body) == "7"
	})
	hold := make(chan struct{})
	defer close(hold)
	b.Handle("who", func(context.Context, json.RawMessage) (any, error) { <-hold; return nil, nil })
	asked := time.Now()
	if _, err := a.AskOne(t.Context(), "b", "who", 7); !errors.Is(err, nodes.ErrSilent) || time.Since(asked) > busy {
		t.Errorf("b is silent: %v after %v", err, time.Since(asked))
	}
	for _, name := range []string{"a", "z", ""} {
		if _, err := a.AskOne(t.Context(), name, "who", 7); !errors.Is(err, nodes.ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
	stop()
	eventually(t, "c is gone", knows(a, "b"))
	if _, err := a.AskOne(t.Context(), "c", "who", 7); !errors.Is(err, nodes.ErrUnknown) {
		t.Errorf("c is gone: %v", err)
	}
}

// TestGarbage publishes on the channels what no node sends: it does no harm.
func TestGarbage(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	a, _ := member(t, rdb, "a")
	b, _ := member(t, rdb, "b")
	eventually(t, "they know each other", func() bool { return knows(a, "b")() && knows(b, "a")() })
	b.Handle("echo", func(_ context.Context, body json.RawMessage) (any, error) { return body, nil })
	for _, text := range []string{"", "{", "[]", "null", `{"type":"here"}`, `{"type":"here","node":"` + strings.Repeat("x", 200) + `"}`, `{"type":"ask","node":"z"}`,
		`{"type":"answer","node":"z","id":"none","body":1}`, `{"type":"what","node":"z"}`, strings.Repeat("x", 3<<20)} {
		for _, channel := range []string{"fx:nodes", "fx:nodes:to:a", "fx:nodes:to:b"} {
			if err := rdb.Publish(t.Context(), channel, text).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := a.Ask(t.Context(), "echo", map[string]int{"x": 1}, func(a nodes.Answer) bool { return a.Node == "b" })
	if err != nil || len(all.Answers) == 0 || string(all.Answers[len(all.Answers)-1].Body) != `{"x":1}` {
		t.Errorf("after garbage: %+v, %v", all, err)
	}
	if others := a.Others(); !slices.Contains(others, "b") || slices.ContainsFunc(others, func(s string) bool { return len(s) > 128 }) {
		t.Errorf("nodes that are known: %q", others)
	}
}

// TestRedisLost kills Redis: Ask returns an error within its second. When Redis is back, the
// nodes find each other again.
func TestRedisLost(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	rdb := client(t, r)
	a, _ := member(t, rdb, "a")
	b, _ := member(t, rdb, "b")
	b.Handle("echo", func(_ context.Context, body json.RawMessage) (any, error) { return body, nil })
	eventually(t, "a knows b", knows(a, "b"))
	r.Kill()
	asked := time.Now()
	all, err := a.Ask(t.Context(), "echo", 1, nil)
	if !errors.Is(err, redislink.ErrUnavailable) || !slices.Equal(all.Silent, []string{"b"}) || time.Since(asked) > busy {
		t.Errorf("without Redis: %+v, %v, after %v", all, err, time.Since(asked))
	}
	eventually(t, "a misses b", knows(a))
	r.Restart()
	eventually(t, "a knows b again", knows(a, "b"))
	eventually(t, "b answers again", func() bool {
		all, err := a.Ask(t.Context(), "echo", 1, nil)
		return err == nil && len(all.Answers) == 1 && string(all.Answers[0].Body) == "1"
	})
}

// TestPaused pauses Redis: Ask waits no longer than a second for it.
func TestPaused(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	rdb := client(t, r)
	a, _ := member(t, rdb, "a")
	b, _ := member(t, rdb, "b")
	eventually(t, "they know each other", func() bool { return knows(a, "b")() && knows(b, "a")() })
	r.Pause()
	asked := time.Now()
	all, err := a.Ask(t.Context(), "echo", 1, nil)
	if took := time.Since(asked); !errors.Is(err, redislink.ErrUnavailable) || len(all.Silent) != 1 || took > busy {
		t.Errorf("with Redis paused: %+v, %v, after %v", all, err, took)
	}
	r.Resume()
	eventually(t, "they know each other again", func() bool { return knows(a, "b")() && knows(b, "a")() })
}

// TestEmbedded runs nodes on the embedded server, which has every command they need.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Embedded(t)
	a, _ := member(t, rdb, "a")
	b, _ := member(t, rdb, "b")
	b.Handle("echo", func(_ context.Context, body json.RawMessage) (any, error) { return body, nil })
	eventually(t, "they know each other", func() bool { return knows(a, "b")() && knows(b, "a")() })
	all, err := a.Ask(t.Context(), "echo", "hello", nil)
	if err != nil || len(all.Answers) != 1 || string(all.Answers[0].Body) != `"hello"` {
		t.Errorf("b answers %+v, %v", all, err)
	}
}

// heartbeats subscribes to the channel of all nodes.
func heartbeats(t *testing.T, rdb *redis.Client) *redis.PubSub {
	t.Helper()
	beats := rdb.Subscribe(t.Context(), "fx:nodes")
	t.Cleanup(func() { beats.Close() })
	if _, err := beats.Receive(t.Context()); err != nil { // the confirmation
		t.Fatal(err)
	}
	return beats
}

// TestManyNodes: heartbeats do not grow with the square of the nodes. Among 320 others a node sends
// one in 10 s, goes on to see them meanwhile, and knows that its own connection is alive.
func TestManyNodes(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	beats := heartbeats(t, rdb)
	n, _ := member(t, rdb, "one")
	for {
		m, err := beats.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Payload == `{"type":"hello","node":"one"}` {
			break // it has subscribed
		}
	}
	const others = 320
	for i := range others {
		if err := rdb.Publish(t.Context(), "fx:nodes", fmt.Sprintf(`{"type":"here","node":"other-%d"}`, i)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	redistest.Eventually(t, "the others are known", func() bool { return len(n.Others()) == others })
	known, sent, again := time.Now(), 0, 0
	for time.Since(known) < 6*time.Second {
		ctx, cancel := context.WithDeadline(t.Context(), known.Add(6*time.Second))
		m, err := beats.ReceiveMessage(ctx)
		cancel()
		if err == nil && m.Payload == `{"type":"here","node":"one"}` {
			sent++
		}
		if err == nil && m.Payload == `{"type":"hello","node":"one"}` {
			again++
		}
	}
	if sent > 2 { // one may have been sent before the others were known
		t.Errorf("%d heartbeats to all within 6 s, want at most 2", sent)
	}
	if again > 0 {
		t.Errorf("it subscribed again %d times, since it saw no message of its own", again)
	}
	if got := len(n.Others()); got != others && time.Since(known) < 20*time.Second {
		t.Errorf("%d of %d others are known after 6 s", got, others)
	}
}

// TestKilledNodesAreForgotten: names of killed nodes slow the heartbeat only until they are gone, also of a
// node that nobody asks for the others.
func TestKilledNodesAreForgotten(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	beats := heartbeats(t, rdb)
	member(t, rdb, "one")
	var last time.Time
	gap := func() time.Duration { // between two heartbeats
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			m, err := beats.ReceiveMessage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if m.Payload == `{"type":"here","node":"one"}` {
				before := last
				last = time.Now()
				return last.Sub(before)
			}
		}
	}
	gap()
	for i := range 70 {
		if err := rdb.Publish(t.Context(), "fx:nodes", fmt.Sprintf(`{"type":"here","node":"killed-%d"}`, i)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	redistest.Eventually(t, "fewer heartbeats among 71 nodes", func() bool { return gap() > 2500*time.Millisecond })
	redistest.Eventually(t, "a heartbeat a second again", func() bool { return gap() < 1500*time.Millisecond })
}
