package redisadmin

import "time"

// SetWindow sets how far back Health looks for losses.
func (a *Admin) SetWindow(d time.Duration) { a.window = d }

// SetCountMost sets how many keys of a node are looked at.
func (a *Admin) SetCountMost(n int64) { a.countMost = n }

// Judge checks what a node told.
func Judge(info Info, settings map[string]string) Health {
	h := Health{Checks: seen{info: info, settings: settings, pubsubOf: ErrNotOffered}.checks()}
	h.conclude()
	return h
}
