package redislink_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// announcer is a server that announces what a test has it announce, as a sentinel does.
type announcer struct {
	t      *testing.T
	server *redistest.Server
	client *redis.Client
}

func (a announcer) says(event, payload string) {
	a.t.Helper()
	if n, err := a.client.Publish(a.t.Context(), event, payload).Result(); err != nil || n != 1 {
		a.t.Fatalf("announce %s to %d listeners, %v", event, n, err)
	}
}

const (
	promotes = "slave 127.0.0.1:2 127.0.0.1 2 @ fx 127.0.0.1 1"
	switched = "fx 127.0.0.1 1 127.0.0.1 2"
)

// announcers start two sentinels and what follows them.
func announcers(t *testing.T, hold time.Duration) (f *redislink.Failovers, one, other announcer) {
	t.Helper()
	cfg := redislink.FailoversConfig{Master: "fx", Hold: hold}
	var all []announcer
	for range 2 {
		s := redistest.Start(t)
		cfg.Sentinels = append(cfg.Sentinels, redis.NewClient(&redis.Options{Addr: s.Addr(), DisableIdentity: true}))
		all = append(all, announcer{t, s, s.Client()})
	}
	f = redislink.NewFailovers(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, a := range all {
		eventually(t, "the listener has subscribed", func() bool {
			n := a.client.PubSubNumSub(t.Context(), "+switch-master", "-failover-abort-slave-timeout").Val()
			return n["+switch-master"] == 1 && n["-failover-abort-slave-timeout"] == 1
		})
	}
	return f, all[0], all[1]
}

// underWay reports whether a failover is under way, and how many have ended.
func underWay(f *redislink.Failovers) (yes bool, ended int64) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended, err := f.Await(ctx)
	return err != nil, ended
}

func awaitBeginning(t *testing.T, f *redislink.Failovers) {
	t.Helper()
	eventually(t, "a failover is under way", func() bool { yes, _ := underWay(f); return yes })
}

func TestFailovers(t *testing.T) {
	t.Parallel()
	const long = time.Minute
	for _, tc := range []struct {
		name string
		hold time.Duration
		act  func(t *testing.T, f *redislink.Failovers, one, other announcer)
	}{
		{"until both name the new master", long, func(t *testing.T, f *redislink.Failovers, one, other announcer) {
			one.says("+failover-state-send-slaveof-noone", promotes)
			awaitBeginning(t, f)
			one.says("+promoted-slave", promotes)
			one.says("+switch-master", switched)
			one.says("-failover-abort-slave-timeout", "master another 127.0.0.1 1")
			if yes, _ := underWay(f); !yes {
				t.Error("it is over before the other sentinel names the new master")
			}
			other.says("+switch-master", switched)
		}},
		{"until the sentinel gives it up", long, func(t *testing.T, f *redislink.Failovers, one, other announcer) {
			one.says("+failover-state-send-slaveof-noone", promotes)
			awaitBeginning(t, f)
			one.says("-failover-abort-slave-timeout", "master fx 127.0.0.1 1")
		}},
		{"until the only other sentinel is gone", long, func(t *testing.T, f *redislink.Failovers, one, other announcer) {
			one.says("+failover-state-send-slaveof-noone", promotes)
			awaitBeginning(t, f)
			one.says("+promoted-slave", promotes)
			other.server.Kill()
		}},
		{"not for ever", 50 * time.Millisecond, func(t *testing.T, f *redislink.Failovers, one, other announcer) {
			one.says("+failover-state-send-slaveof-noone", promotes)
		}},
		{"with its end alone", long, func(t *testing.T, f *redislink.Failovers, one, other announcer) {
			other.says("+switch-master", switched)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, one, other := announcers(t, tc.hold)
			one.says("+failover-state-send-slaveof-noone", "slave 127.0.0.1:2 127.0.0.1 2 @ another 127.0.0.1 1")
			one.says("+switch-master", "another 127.0.0.1 1 127.0.0.1 2")
			if yes, ended := underWay(f); yes || ended != 0 {
				t.Errorf("of another master: under way %v, ended %d", yes, ended)
			}
			tc.act(t, f, one, other)
			eventually(t, "the failover has ended", func() bool {
				ended, err := f.Await(t.Context())
				return err == nil && ended == 1
			})
		})
	}
}

// TestNoFailovers checks that a nil Failovers holds nothing back.
func TestNoFailovers(t *testing.T) {
	var f *redislink.Failovers
	f.Run(t.Context())
	if ended, err := f.Await(t.Context()); ended != 0 || err != nil {
		t.Errorf("%d, %v", ended, err)
	}
}
