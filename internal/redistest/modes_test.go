package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
)

// TestMain silences the log of go-redis, which reports every server that a test kills.
func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	os.Exit(m.Run())
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// secured starts servers with TLS and a user with few permissions.
var secured = redistest.Options{TLS: true, User: "fx", Password: "p@ss/word", Rules: "~* &* +@all -@dangerous"}

var eventually = redistest.Eventually

// gone checks that all of the processes have ended.
func gone(t *testing.T, pids []int, want int) {
	t.Helper()
	if len(pids) != want {
		t.Errorf("%d processes, want %d", len(pids), want)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there after the test: %v", pid, err)
		}
	}
}

func TestSecuredServer(t *testing.T) {
	s := secured.Start(t)
	if err := s.Client().ConfigSet(t.Context(), "maxclients", "100").Err(); err != nil {
		t.Errorf("the package's own client: %v", err)
	}
	o, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*redis.Options)
		want   string // in the error; "" = none
	}{
		{"as configured", func(o *redis.Options) { o.TLSConfig.RootCAs = s.RootCAs }, ""},
		{"another authority", func(*redis.Options) {}, "certificate"},
		{"without TLS", func(o *redis.Options) { o.TLSConfig = nil }, "EOF"},
		{"without a user", func(o *redis.Options) { o.TLSConfig.RootCAs = s.RootCAs; o.Username, o.Password = "", "" }, "NOAUTH"},
	} {
		opt := *o
		opt.TLSConfig = o.TLSConfig.Clone()
		opt.DisableIdentity, opt.MaxRetries, opt.DialerRetries = true, -1, 1
		tc.change(&opt)
		c := redis.NewClient(&opt)
		defer c.Close()
		err := c.Set(t.Context(), "k", "v", 0).Err()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if tc.want == "" {
			if err := c.ConfigGet(t.Context(), "*").Err(); !redis.HasErrorPrefix(err, "NOPERM") {
				t.Errorf("a command outside the rules: %v", err)
			}
		}
	}
}

func TestSentinel(t *testing.T) {
	for name, opts := range map[string]redistest.Options{"plain": {}, "secured": secured} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pids []int
			t.Run("run", func(t *testing.T) {
				s := opts.StartSentinel(t)
				pids = s.Pids()
				c := s.Client()
				if err := c.Set(t.Context(), "k", 1, 0).Err(); err != nil {
					t.Fatal(err)
				}
				if err := c.Wait(t.Context(), 1, 5*time.Second).Err(); err != nil {
					t.Fatal(err)
				}
				first := s.MasterAddr()
				if len(s.Addrs()) != 3 || first != s.Master().Addr() {
					t.Fatalf("master %q, sentinels %v", first, s.Addrs())
				}
				if name == "plain" {
					killed := s.KillMaster()
					if killed.Addr() != first {
						t.Errorf("%s was killed, the master was %s", killed.Addr(), first)
					}
					s.AwaitFailover(killed)
					s.Restart(killed)
					pids = append(pids, killed.Pids()...)
				} else {
					s.Failover()
				}
				if s.MasterAddr() == first {
					t.Errorf("the master is still %s", first)
				}
				eventually(t, "the client writes to the new master", func() bool { return c.Incr(t.Context(), "k").Err() == nil })
				if v := c.Get(t.Context(), "k").Val(); v != "2" {
					t.Errorf("the replicated value is %q, want 2", v)
				}
			})
			want := 5
			if name == "plain" {
				want++ // the restarted server
			}
			gone(t, pids, want)
		})
	}
}

func TestCluster(t *testing.T) {
	for name, opts := range map[string]redistest.Options{"plain": {}, "secured": secured} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pids []int
			t.Run("run", func(t *testing.T) {
				s := opts.StartCluster(t)
				pids = s.Pids()
				c := s.Client()
				ctx := t.Context()
				set := func(value string) {
					t.Helper()
					for i := range 50 {
						if err := c.Set(ctx, fmt.Sprintf("key:%d", i), value, 0).Err(); err != nil {
							t.Fatal(err)
						}
					}
				}
				set("before")
				for i := range 300 { // more than one MIGRATE can move
					if err := c.Set(ctx, fmt.Sprintf("{key:0}%d", i), i, 0).Err(); err != nil {
						t.Fatal(err)
					}
				}
				slot := s.SlotOf("key:0")
				from := s.Owner(slot)
				to := (from + 1) % 3
				s.MoveSlot(slot, from, to)
				if s.Owner(slot) != to {
					t.Errorf("slot %d is served by %d, want %d", slot, s.Owner(slot), to)
				}
				n, err := s.Server(to).Client().ClusterCountKeysInSlot(ctx, slot).Result()
				if err != nil || n != 301 {
					t.Errorf("%d keys (%v) moved with the slot, want 301", n, err)
				}
				if v, err := c.Get(ctx, "key:0").Result(); err != nil || v != "before" {
					t.Errorf("after the move: %q, %v", v, err)
				}
				set("after")
			})
			gone(t, pids, 3)
		})
	}
}

func TestClusterWithReplicas(t *testing.T) {
	t.Parallel()
	s := redistest.Options{Replicas: true}.StartCluster(t)
	c := s.Client()
	ctx := t.Context()
	slot := s.SlotOf("k")
	owner := s.Owner(slot)
	s.Failover(owner + 3)
	if got := s.Owner(slot); got != owner+3 {
		t.Errorf("after the failover slot %d is served by %d, want %d", slot, got, owner+3)
	}
	eventually(t, "the client finds the new master", func() bool { return c.Set(ctx, "k", "v", 0).Err() == nil })
	s.KillMaster(owner + 3)
	eventually(t, "the other server takes over", func() bool {
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		return s.Owner(slot) == owner && c.Set(short, "k", "w", 0).Err() == nil
	})
	s.Server(owner + 3).Restart()
	s.AwaitWhole()
}
