package node

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// Connecting makes much more garbage than a connected client holds, and fan-out
// makes next to none. So after a burst of connects the garbage would stand beside
// the clients until the next collection, which on a quiet node may be minutes away.
const (
	gcPercent  = 25 // collecting often is cheap here; GOGC overrides it
	trimEvery  = 2 * time.Second
	trimChange = 500 // clients that came or went, at least, since the last trim
)

func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// trimMemory collects and returns memory to the system once a burst of clients
// coming or going is over, until ctx ends.
func trimMemory(ctx context.Context, clients func() int) error {
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	trimmed, last := clients(), clients()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := clients()
		quiet := abs(now-last) < trimChange/10
		last = now
		if quiet && abs(now-trimmed) >= max(trimChange, trimmed/10) {
			trimmed = now
			debug.FreeOSMemory()
		}
	}
}

func abs(n int) int { return max(n, -n) }
