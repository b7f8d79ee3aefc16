package redisadmin

import "time"

// SetWindow sets how far back Health looks for losses.
func (a *Admin) SetWindow(d time.Duration) { a.window = d }

// SetMaxCounted sets how many keys of a server Stats counts before it estimates.
func (a *Admin) SetMaxCounted(n int64) { a.maxCounted = n }

// Judge returns the health of a server that reported info and settings.
func Judge(info Info, settings map[string]string) Health {
	h := Health{Checks: observation{info: info, settings: settings, noSubscribers: ErrNotOffered}.checks()}
	h.conclude()
	return h
}
