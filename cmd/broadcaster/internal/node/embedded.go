package node

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// How often the embedded Redis looks for keys that have expired, so they may
// live this much longer.
const expiryTick = 250 * time.Millisecond

// startEmbedded starts a Redis inside this process, for trying things out: it
// keeps everything in memory, serves one machine and knows fewer commands than
// a real one. It returns the address it listens on, so that redis-cli and other
// processes can publish, and a function that stops it and waits for that.
func startEmbedded(addr string) (listening string, stop func(), err error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		return "", nil, fmt.Errorf("EMBEDDED_REDIS_ADDR: %w", err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		// Its own clock does not run by itself, and the one it offers walks
		// over all keys at every command.
		tick := time.NewTicker(expiryTick)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	})
	var once sync.Once
	return m.Addr(), func() {
		once.Do(func() {
			close(done)
			wg.Wait()
			m.Close()
		})
	}, nil
}
