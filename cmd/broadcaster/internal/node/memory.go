package node

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// A connect leaves much more garbage than a connected client holds, and fan-out leaves almost none.
// After a burst of connects the garbage would therefore stay until the next collection, which may
// be minutes away on a quiet node.
const (
	gcPercent  = 25 // frequent collections are cheap here; GOGC overrides it
	trimEvery  = 2 * time.Second
	trimChange = 500 // least change in the number of clients since the last trim
)

func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// trimMemory collects garbage and returns memory to the system after each burst of connects or
// disconnects, until ctx ends.
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
