package redislink_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Without Run one call in 250 ms asks a lost Redis.
func TestBreakerByCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := redislink.NewBreaker()
		if !b.Allow() || b.Lost() || b.Succeed() {
			t.Error("it begins as lost")
		}
		if !b.Fail() || b.Fail() || !b.Lost() {
			t.Error("the first failure is the only news")
		}
		asked := 0
		for range 1000 {
			time.Sleep(time.Millisecond)
			if b.Allow() {
				asked++
				b.Fail()
			}
		}
		if asked != 4 && asked != 3 {
			t.Errorf("%d calls asked in a second, want 4", asked)
		}
		if !b.Succeed() || b.Succeed() || b.Lost() || !b.Allow() {
			t.Error("the first answer is the only news")
		}
	})
}

// With Run no call asks, and Run tries ever less often, at least once a second.
func TestBreakerRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := redislink.NewBreaker()
		var tried atomic.Int64
		var well atomic.Bool
		var running sync.WaitGroup
		running.Go(func() {
			b.Run(ctx, func(context.Context) error {
				tried.Add(1)
				if !well.Load() {
					return errors.New("lost")
				}
				b.Succeed()
				return nil
			})
		})
		synctest.Wait()
		for range 2 {
			tried.Store(0)
			well.Store(false)
			b.Fail()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if n := tried.Load(); n < 12 || n > 16 {
				t.Errorf("tried %d times in 10 s", n)
			}
			if b.Allow() {
				t.Error("a call may ask although Run does")
			}
			well.Store(true)
			time.Sleep(time.Second)
			synctest.Wait()
			if b.Lost() || !b.Allow() {
				t.Error("it was not noticed that Redis is back")
			}
		}
		cancel()
		running.Wait()
		b.Fail()
		time.Sleep(time.Second)
		if !b.Allow() {
			t.Error("nobody asks after Run")
		}
	})
}
