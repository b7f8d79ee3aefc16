package redislink_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// ear is a Listener whose events are kept.
type ear struct {
	*redislink.Listener
	stop func() error // ends Run and returns its error

	mu     sync.Mutex
	events []string
	conn   *redislink.Conn
}

func (e *ear) note(event string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, event)
}

func (e *ear) count(event string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.events {
		if one == event {
			n++
		}
	}
	return n
}

// has is for eventually.
func (e *ear) has(event string, n int) func() bool {
	return func() bool { return e.count(event) >= n }
}

func (e *ear) current() *redislink.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conn
}

// listen runs a Listener until the test, or stop, ends it. Parts of cfg that are
// not set are filled in.
func listen(t *testing.T, cfg redislink.ListenerConfig) *ear {
	t.Helper()
	e := &ear{}
	cfg.Name = "test"
	alive := cfg.Message
	cfg.Message = func(channel, payload string) bool {
		e.note(channel + " " + payload)
		return alive == nil || alive(channel, payload)
	}
	cfg.Confirmed = func(channel string) { e.note("confirmed " + channel) }
	opened := cfg.Opened
	cfg.Opened = func(c *redislink.Conn) error {
		e.mu.Lock()
		e.conn = c
		e.mu.Unlock()
		e.note("opened")
		if opened != nil {
			return opened(c)
		}
		return nil
	}
	cfg.Lost = func(error) { e.note("lost") }
	if moved := cfg.Moved; moved != nil {
		cfg.Moved = func(channel string) { e.note("moved " + channel); moved(channel) }
	}
	e.Listener = redislink.NewListener(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	e.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { e.stop() })
	return e
}

func own(t *testing.T, rdb redis.UniversalClient) redis.UniversalClient {
	c, release := redislink.Own(rdb, redislink.OwnOptions{PoolSize: 3})
	t.Cleanup(release)
	return c
}

func publish(t *testing.T, rdb redis.UniversalClient, channel, payload string) {
	t.Helper()
	if err := rdb.Publish(t.Context(), channel, payload).Err(); err != nil {
		t.Fatal(err)
	}
}

// Fixed channels, added and dropped ones, marks, and what the probes say.
func TestListener(t *testing.T) {
	t.Parallel()
	embedded, _ := redistest.Embedded(t)
	for name, rdb := range map[string]redis.UniversalClient{"real": redistest.Start(t).Client(), "embedded": embedded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := time.Now()
			e := listen(t, redislink.ListenerConfig{Client: own(t, rdb), Channels: []string{"a", "b"}, Probe: "probe"})
			eventually(t, "opened", e.has("opened", 1))
			publish(t, rdb, "a", "1")
			publish(t, rdb, "b", "2")
			eventually(t, "messages of the fixed channels", func() bool { return e.count("a 1") == 1 && e.count("b 2") == 1 })
			c := e.current()
			if err := c.Add(t.Context(), "c", "d", "c"); err != nil || e.count("confirmed c") != 1 || e.count("confirmed d") != 1 {
				t.Fatalf("add: %v", err)
			}
			publish(t, rdb, "c", "3")
			for range 3 {
				if err := c.Mark(t.Context(), func() { e.note("mark") }); err != nil {
					t.Fatal(err)
				}
			}
			e.mu.Lock()
			if tail := e.events[len(e.events)-4:]; !slices.Equal(tail, []string{"c 3", "mark", "mark", "mark"}) {
				t.Errorf("before the marks came %q", tail)
			}
			e.mu.Unlock()
			for range 5 { // dropped and added again, faster than it is confirmed
				if err := errors.Join(c.Drop(t.Context(), "c"), c.Add(t.Context(), "c"), c.Drop(t.Context(), "c")); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Add(t.Context(), "e"); err != nil { // confirmed after c is dropped
				t.Fatal(err)
			}
			publish(t, rdb, "c", "4")
			if err := errors.Join(c.Drop(t.Context()), c.Add(t.Context()), c.Mark(t.Context(), func() {})); err != nil {
				t.Fatal(err)
			}
			if e.count("c 4") != 0 {
				t.Error("a dropped channel still comes")
			}
			publish(t, rdb, "d", "5")
			eventually(t, "the other stays", e.has("d 5", 1))
			eventually(t, "probes come back", func() bool { return e.ProbeAge() < 2*time.Second })
			if e.Silent() > time.Minute || e.Replied().Before(made) {
				t.Errorf("silent for %v, Redis took a probe at %v", e.Silent(), e.Replied())
			}
			publish(t, rdb, "probe", "no number")
			publish(t, rdb, "probe", fmt.Sprint(time.Hour.Nanoseconds()))
			if err := c.Mark(t.Context(), func() {}); err != nil || e.ProbeAge() < 0 {
				t.Errorf("after garbage on the probe's channel: %v, age %v", err, e.ProbeAge())
			}
			if err := e.stop(); err != nil || e.count("lost") != 0 || e.count("opened") != 1 {
				t.Errorf("Run: %v, lost %d times, opened %d times", err, e.count("lost"), e.count("opened"))
			}
			if err := c.Mark(t.Context(), func() { t.Error("called") }); err == nil {
				t.Error("a mark came back to a connection that has ended")
			}
		})
	}
}

// Whatever breaks a connection, it is lost once and opened again.
func TestListenerReconnects(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv.Addr())
	opt := *srv.Client().Options()
	opt.Addr = proxy.Addr()
	far := redis.NewClient(&opt)
	defer far.Close()
	rdb := srv.Client()
	var ended sync.Map
	e := listen(t, redislink.ListenerConfig{Client: own(t, far), Channels: []string{"a"}, Probe: "probe",
		Opened: func(c *redislink.Conn) error {
			c.Go(func(ctx context.Context) error { <-ctx.Done(); ended.Store(c, true); return nil })
			return nil
		}})
	eventually(t, "opened", e.has("opened", 1))
	for _, fault := range []struct {
		name        string
		begin, mend func()
		atLeast     time.Duration // until it is noticed
	}{
		{"reset", func() { proxy.Reset() }, func() {}, 0},
		{"gap", func() { rdb.ClientKillByFilter(t.Context(), "TYPE", "pubsub") }, func() {}, 0},
		{"killed", srv.Kill, srv.Restart, 0},
		{"paused", srv.Pause, srv.Resume, time.Second},
		{"cut", proxy.Cut, proxy.Restore, time.Second},
	} {
		before, conn, opened := e.count("lost"), e.current(), e.count("opened")
		began := time.Now()
		fault.begin()
		eventually(t, fault.name+": lost", e.has("lost", before+1))
		if took := time.Since(began); took < fault.atLeast || took > 20*time.Second {
			t.Errorf("%s: noticed after %v", fault.name, took)
		}
		if _, ok := ended.Load(conn); !ok {
			t.Errorf("%s: what belongs to the connection still runs", fault.name)
		}
		fault.mend()
		eventually(t, fault.name+": opened again", e.has("opened", opened+1))
		eventually(t, fault.name+": a message", func() bool {
			rdb.Publish(t.Context(), "a", fault.name)
			return e.count("a "+fault.name) > 0
		})
		eventually(t, fault.name+": probes", func() bool { return e.ProbeAge() < 1500*time.Millisecond })
	}
}

// Messages that are no sign of life do not keep a connection whose probes are lost.
func TestListenerProbesLost(t *testing.T) {
	t.Parallel()
	rdb, other := redistest.Start(t).Client(), redistest.Start(t).Client()
	talk := func(ctx context.Context) error {
		for redislink.Sleep(ctx, 20*time.Millisecond) {
			rdb.Publish(ctx, "a", "x")
		}
		return nil
	}
	dead := listen(t, redislink.ListenerConfig{Client: own(t, rdb), Channels: []string{"a"}, Probe: "probe", Prober: other,
		Message: func(string, string) bool { return false },
		Opened:  func(c *redislink.Conn) error { c.Go(talk); return nil }})
	kept := listen(t, redislink.ListenerConfig{Client: own(t, rdb), Channels: []string{"a"},
		Message: func(string, string) bool { return true }})
	eventually(t, "lost", dead.has("lost", 1))
	eventually(t, "opened again", dead.has("opened", 2))
	if kept.count("lost") > 0 {
		t.Error("messages that are a sign of life have not kept the other")
	}
	if time.Since(dead.Replied()) > time.Minute {
		t.Error("Redis takes the probes, and that is not known")
	}
}

// Pings keep a connection that nothing comes on, and find one that is dead.
func TestListenerPings(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	e := listen(t, redislink.ListenerConfig{Client: own(t, srv.Client()), Channels: []string{"a"}, Ping: true, Silence: 3 * time.Second})
	eventually(t, "opened", e.has("opened", 1))
	if !redislink.Sleep(t.Context(), 7*time.Second) || e.count("lost") > 0 {
		t.Error("silence alone has ended it")
	}
	srv.Pause()
	eventually(t, "lost", e.has("lost", 1))
	srv.Resume()
	eventually(t, "opened again", e.has("opened", 2))
}

// Without the right to subscribe a Listener goes on trying, unless it is optional.
func TestListenerNotPermitted(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "deaf", "on", ">secret", "+@all", "resetchannels", "&yes").Err(); err != nil {
		t.Fatal(err)
	}
	opt := *rdb.Options()
	opt.Username, opt.Password = "deaf", "secret"
	deaf := redis.NewClient(&opt)
	defer deaf.Close()
	l := redislink.NewListener(redislink.ListenerConfig{Name: "optional", Client: deaf, Channels: []string{"yes", "no"}, Optional: true,
		Message: func(string, string) bool { return true }})
	if err := l.Run(t.Context()); redislink.Code(err) != "NOPERM" {
		t.Errorf("Run: %v", err)
	}
	e := listen(t, redislink.ListenerConfig{Client: deaf, Channels: []string{"no"}})
	eventually(t, "tried again", e.has("lost", 3))
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "deaf", "allchannels").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "opened", e.has("opened", 1))
}

// Once is over with its one connection.
func TestListenerOnce(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	rdb := srv.Client()
	stop := errors.New("enough")
	first := true
	l := redislink.NewListener(redislink.ListenerConfig{Name: "once", Client: own(t, rdb), Channels: []string{"a"}, Probe: "probe",
		Message: func(string, string) bool { return true },
		Opened: func(c *redislink.Conn) error {
			if first {
				first = false
				return stop
			}
			c.Go(func(ctx context.Context) error {
				if err := c.Mark(ctx, func() {}); err != nil {
					return err
				}
				return fmt.Errorf("later: %w", stop)
			})
			return nil
		}})
	for range 2 {
		if err := l.Once(t.Context()); !errors.Is(err, stop) {
			t.Errorf("ended with %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Once(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	srv.Kill()
	if err := l.Once(t.Context()); err == nil {
		t.Error("no error without Redis")
	}
}

// In a cluster a sharded Listener finds the slot of its channels again.
func TestListenerSharded(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	rdb := cluster.Client()
	e := listen(t, redislink.ListenerConfig{Client: own(t, rdb), Channels: []string{"{s}:a"}, Probe: "{s}:probe", Sharded: true})
	eventually(t, "opened", e.has("opened", 1))
	hear := func(text string) {
		t.Helper()
		eventually(t, "a message "+text, func() bool {
			rdb.SPublish(t.Context(), "{s}:a", text)
			return e.count("{s}:a "+text) > 0
		})
		eventually(t, "probes "+text, func() bool { return e.ProbeAge() < 1500*time.Millisecond })
	}
	hear("1")
	if err := e.current().Add(t.Context(), "{s}:b"); err != nil {
		t.Error(err)
	}
	if err := e.current().Mark(t.Context(), func() {}); err != nil {
		t.Error(err)
	}
	if err := e.current().Drop(t.Context(), "{s}:b"); err != nil {
		t.Error(err)
	}
	hear("2")
	if e.count("lost") > 0 {
		t.Error("lost for no reason")
	}
	slot := cluster.SlotOf("{s}")
	owner := cluster.Owner(slot)
	cluster.MoveSlot(slot, owner, (owner+1)%3)
	eventually(t, "lost", e.has("lost", 1))
	hear("3")
	plain := listen(t, redislink.ListenerConfig{Client: own(t, rdb), Channels: []string{"p"}, Probe: "probe"})
	eventually(t, "a plain message", func() bool { publish(t, rdb, "p", "x"); return plain.count("p x") > 0 })
	cluster.Server((owner + 1) % 3).Kill()
	eventually(t, "lost with its server", e.has("lost", 2))
}

// One connection to a master has channels of several of its slots. A slot that moves takes its own
// channels along, and leaves the others alone.
func TestListenerOfAMaster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	rdb := cluster.Client()
	var tags []string // of different slots of the first master
	slots := map[int]bool{}
	for i := 0; len(tags) < 4; i++ {
		tag := fmt.Sprintf("{s%d}", i)
		if slot := cluster.SlotOf(tag); cluster.Owner(slot) == 0 && !slots[slot] {
			slots[slot], tags = true, append(tags, tag)
		}
	}
	stays, moves, probe := tags[0], tags[1], tags[2]
	master, err := redislink.TopologyOf(own(t, rdb)).MasterOf(t.Context(), probe)
	if err != nil {
		t.Fatal(err)
	}
	e := listen(t, redislink.ListenerConfig{Client: master, Probe: probe + ":probe", Sharded: true, Moved: func(string) {}})
	eventually(t, "opened", e.has("opened", 1))
	if err := e.current().Add(t.Context(), stays, moves, moves+":b"); err != nil {
		t.Fatal(err)
	}
	for _, channel := range []string{stays, moves} {
		rdb.SPublish(t.Context(), channel, "1")
		eventually(t, "a message of "+channel, e.has(channel+" 1", 1))
	}
	cluster.MoveSlot(cluster.SlotOf(moves), 0, 1)
	eventually(t, "both are moved", func() bool { return e.count("moved "+moves) == 1 && e.count("moved "+moves+":b") == 1 })
	rdb.SPublish(t.Context(), stays, "2")
	eventually(t, "a message of the other slot", e.has(stays+" 2", 1))
	// A slot that is elsewhere is noticed on the way in and on the way out.
	if err := e.current().Drop(t.Context(), moves); err != nil {
		t.Fatal(err)
	}
	if err := e.current().Add(t.Context(), moves, tags[3], moves+":b"); err != nil {
		t.Fatal(err)
	}
	if e.count("moved "+moves) != 2 || e.count("moved "+moves+":b") != 2 || e.count("confirmed "+tags[3]) != 1 {
		t.Errorf("events: %q", e.events)
	}
	if err := e.current().Mark(t.Context(), func() {}); err != nil {
		t.Error(err)
	}
	cluster.MoveSlot(cluster.SlotOf(moves), 1, 0)
	if err := e.current().Add(t.Context(), moves); err != nil || e.count("confirmed "+moves) != 2 {
		t.Errorf("%v, events: %q", err, e.events)
	}
	if e.count("lost") > 0 {
		t.Error("lost for no reason")
	}
	cluster.MoveSlot(cluster.SlotOf(probe), 0, 2)
	eventually(t, "lost with the probe's slot", e.has("lost", 1))
}
