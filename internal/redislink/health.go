package redislink

import (
	"context"
	"sync/atomic"
)

// Health is the one judge of "Redis is lost". Parts of the program that notice an outage, or its
// end, set a Signal each; Redis is lost while any is set. The parts notice at different moments,
// and clients, readiness and metrics that ask here still agree. It does no I/O.
type Health struct {
	signals []*Signal // static once Run is called
	wake    chan struct{}
	known   atomic.Bool // what Run last passed to changed
}

// Signal is what one part of the program knows of Redis. It is safe for concurrent use.
type Signal struct {
	h    *Health
	name string
	lost atomic.Bool
}

// NewHealth returns a Health that takes Redis for well.
func NewHealth() *Health { return &Health{wake: make(chan struct{}, 1)} }

// Signal adds a signal. Call it before Run.
func (h *Health) Signal(name string) *Signal {
	s := &Signal{h: h, name: name}
	h.signals = append(h.signals, s)
	return s
}

// Set notes whether Redis is lost to this part. It does not block.
func (s *Signal) Set(lost bool) {
	if s.lost.Swap(lost) == lost {
		return
	}
	select {
	case s.h.wake <- struct{}{}:
	default:
	}
}

// Lost reports whether Redis is lost. After an outage it does so until Run has reported the end:
// readiness that asks here is green only when clients know it.
func (h *Health) Lost() bool { return len(h.Causes()) > 0 || h.known.Load() }

// Causes returns the names of the signals that say so.
func (h *Health) Causes() (names []string) {
	for _, s := range h.signals {
		if s.lost.Load() {
			names = append(names, s.name)
		}
	}
	return names
}

// Run calls changed whenever the answer of Lost has changed, from one goroutine and in order, until
// ctx ends. It returns nil.
func (h *Health) Run(ctx context.Context, changed func(lost bool)) error {
	for {
		if lost := len(h.Causes()) > 0; lost != h.known.Load() {
			changed(lost)
			h.known.Store(lost)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		}
	}
}
