package node

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// The interval at which the embedded Redis removes expired keys. They may live longer by as much.
const expiryTick = 250 * time.Millisecond

// startEmbedded starts a Redis inside this process, for trying things out. It keeps everything in
// memory, serves one machine and has fewer commands than a real one. startEmbedded returns its
// address, so that redis-cli and other processes can publish, and a function that stops it and
// waits.
func startEmbedded(addr string) (listening string, stop func(), err error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		return "", nil, fmt.Errorf("EMBEDDED_REDIS_ADDR: %w", err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		// Its clock does not advance on its own, and the alternative that it offers scans all
		// keys at every command.
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
