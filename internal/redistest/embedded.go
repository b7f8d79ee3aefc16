package redistest

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Embedded starts an in-process Redis like the one that the broadcaster embeds. Keys expire in real
// time. It returns a client and the address; both are closed when the test ends.
//
// The server supports fewer commands than a real one. A subscriber that stops reading blocks it
// completely.
func Embedded(t testing.TB) (*redis.Client, string) {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		t.Fatalf("redistest: embedded: %v", err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	c := redis.NewClient(&redis.Options{Addr: m.Addr(), DisableIdentity: true})
	t.Cleanup(func() {
		c.Close()
		close(stop)
		<-stopped
		m.Close()
	})
	return c, m.Addr()
}
