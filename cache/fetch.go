package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long a reload behind a stale value waits after one that failed.
const reloadRetry = time.Second

// Fetch returns the value of key, and if it is not in the cache loads and
// stores it.
//
//	Fetch        look in Redis: a value is returned
//	* refresh      one beyond its TTL too (ServeStale), and reloaded meanwhile
//	* fill         wait for the one load of this key in this process
//	  * loadOnce     look again, load, store
//
// However many callers ask for a key at a time, load runs once in this
// process; other processes may load it too. It is the first caller's load,
// with the values of its context, but without its end: it ends with
// Config.LoadTimeout or Close, and fills the cache even if all callers are
// gone. Each caller waits as long as its own ctx allows.
//
// An error of load is returned to all who wait for it, and not remembered,
// except ErrMiss with CacheMisses. What load returns is stored as by Set. If it
// cannot be stored, it is returned all the same. A Set, Delete or invalidation
// of the key in this process while load runs keeps its result from being
// stored; one in another process does not, so a value read from the source
// before that may be stored after it, for its TTL.
//
// Without Redis a copy within its TTL answers; else it is loaded, and the
// older copy answers only if that fails.
func (n *Namespace) Fetch(ctx context.Context, key string, load func(context.Context) (any, error)) (Entry[[]byte], error) {
	return fetch(ctx, n, key, load, func(payload []byte) ([]byte, error) { return payload, nil })
}

// fetch is Fetch for values that decode makes of a payload. One that it cannot
// make is loaded anew.
func fetch[T any](ctx context.Context, n *Namespace, key string, load func(context.Context) (any, error), decode func([]byte) (T, error)) (Entry[T], error) {
	none := Entry[T]{}
	if err := checkKeys(key); err != nil {
		return none, err
	}
	prefix, all := n.lookup(ctx, key)
	f := &all[0]
	readable := func(payload []byte) bool { _, err := decode(payload); return err == nil }
	fallback, found := none, false
	if f.result.hasValue() {
		if value, err := decode(f.payload); err == nil {
			e, _ := f.entry()
			fallback, found = Entry[T]{Value: value, Source: e.Source, Age: e.Age}, true
		} else {
			f.result = resultMiss
		}
	}
	if ctx.Err() != nil && !found {
		n.space.counts.look(resultError)
		return none, fmt.Errorf("cache: %w", ctx.Err())
	}
	n.space.counts.look(f.result)
	switch {
	case f.result == resultKnownMiss:
		return none, ErrMiss
	case f.result == resultStale:
		n.refresh(ctx, prefix, key, readable, load)
		return fallback, nil
	case found && f.age <= n.ttl:
		return fallback, nil
	}
	got, err := n.fill(ctx, prefix, key, readable, load)
	if err != nil {
		if found && !errors.Is(err, ErrMiss) {
			return fallback, nil
		}
		return none, err
	}
	// Others get the same payload, and what decode returns may share it.
	value, err := decode(bytes.Clone(got.Value))
	if err != nil {
		return none, err
	}
	return Entry[T]{Value: value, Source: got.Source, Age: got.Age}, nil
}

// refresh reloads key in the background, unless that is under way, failed a
// moment ago, or too much is being reloaded.
func (n *Namespace) refresh(ctx context.Context, prefix, key string, readable func([]byte) bool, load func(context.Context) (any, error)) {
	c, s := n.cache, n.space
	s.mu.Lock()
	busy := s.reloading[key]
	s.reloading[key] = true
	s.mu.Unlock()
	if busy {
		return
	}
	done := func() {
		s.mu.Lock()
		delete(s.reloading, key)
		s.mu.Unlock()
	}
	select {
	case c.reloads <- struct{}{}:
	default:
		c.metrics.reloadsSkipped.Inc()
		done()
		return
	}
	if !c.begin() {
		<-c.reloads
		done()
		return
	}
	go func() {
		defer c.running.Done()
		defer func() { <-c.reloads }()
		if _, err := n.fill(context.WithoutCancel(ctx), prefix, key, readable, load); err != nil && !errors.Is(err, ErrMiss) && c.life.Err() == nil {
			c.log.Warn("cache: reload behind a stale value", "namespace", s.name, "err", err)
			time.AfterFunc(reloadRetry, done)
			return
		}
		done()
	}()
}

// fill waits for the load of key, starting it if nobody has.
func (n *Namespace) fill(ctx context.Context, prefix, key string, readable func([]byte) bool, load func(context.Context) (any, error)) (Entry[[]byte], error) {
	full := prefix + key
	result := n.space.flights.DoChan(full, func() (any, error) { return n.loadOnce(ctx, full, key, readable, load) })
	// A load that does not heed its context must not hold its callers.
	patience := time.NewTimer(n.cache.cfg.LoadTimeout + 3*n.cache.cfg.Timeout)
	defer patience.Stop()
	select {
	case r := <-result:
		e, _ := r.Val.(Entry[[]byte])
		return e, r.Err
	case <-ctx.Done():
		return Entry[[]byte]{}, fmt.Errorf("cache: waiting for a load: %w", ctx.Err())
	case <-patience.C:
		n.space.flights.Forget(full)
		return Entry[[]byte]{}, fmt.Errorf("cache: waiting for a load: %w", context.DeadlineExceeded)
	}
}

// load is one run of a function given to Fetch.
type load struct {
	full       string      // the key in Redis its value is for
	superseded atomic.Bool // its value must not be stored
}

// loadOnce runs load and stores what it returns.
func (n *Namespace) loadOnce(caller context.Context, full, key string, readable func([]byte) bool, run func(context.Context) (any, error)) (any, error) {
	c := n.cache
	if !c.begin() {
		return nil, ErrClosed
	}
	defer c.running.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(caller), c.cfg.LoadTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()

	l := n.space.start(key, full)
	defer n.space.finish(key, l)
	stale := false
	// A load that ended between this caller's look and now has stored it.
	if prefix, all := n.lookup(ctx, key); prefix+key == full {
		switch f := &all[0]; f.result {
		case resultKnownMiss:
			return nil, ErrMiss
		case resultHit, resultMemory:
			if f.age <= n.ttl && readable(f.payload) {
				return f.entry()
			}
		case resultStale:
			stale = true
		}
	}
	began := time.Now()
	value, err := n.run(ctx, run)
	c.metrics.loadSeconds.Observe(time.Since(began).Seconds())
	var raw []byte
	life := n.life()
	switch {
	case errors.Is(err, ErrMiss):
		n.space.counts.loads[loadMiss].Inc()
		if n.misses <= 0 {
			if stale {
				n.remove(ctx, full)
			}
			return nil, err
		}
		raw, life = withHeader(kindMiss, 0), max(n.misses, time.Millisecond)
	case err != nil:
		n.space.counts.loads[loadError].Inc()
		return nil, err
	default:
		if raw, err = c.codec.encode(value); err != nil {
			n.space.counts.loads[loadError].Inc()
			return nil, err
		}
		n.space.counts.loads[loadOK].Inc()
	}
	n.keep(ctx, l, raw, life)
	payload, _, _ := c.codec.decode(raw)
	return Entry[[]byte]{Value: payload, Source: SourceLoad}, err
}

// run calls a function given to Fetch and makes an error of its panic.
func (n *Namespace) run(ctx context.Context, load func(context.Context) (any, error)) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			n.cache.log.Error("cache: a load panicked", "namespace", n.space.name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("cache: a load of namespace %s panicked", n.space.name)
		}
	}()
	return load(ctx)
}

// keep stores what l loaded, unless it is superseded: before, or at latest
// while it was written, in which case it is taken back. Redis being lost is
// counted only; the copy has the value then.
func (n *Namespace) keep(ctx context.Context, l *load, raw []byte, life time.Duration) {
	c := n.cache
	if l.superseded.Load() {
		n.space.counts.loads[loadSuperseded].Inc()
		return
	}
	c.recent.put(l.full, raw, min(life, n.copied))
	if err := c.exec(ctx, 1, func(p redis.Pipeliner) { p.Set(ctx, l.full, raw, life) }); err != nil {
		c.metrics.wrote(0, 1)
	} else {
		c.metrics.wrote(1, 0)
	}
	if l.superseded.Load() {
		n.space.counts.loads[loadSuperseded].Inc()
		n.remove(ctx, l.full)
	}
}

// remove takes away what a load found to be gone or superseded. Should that
// fail, the value stays for its TTL; the failure is counted, and there is
// nobody to tell.
func (n *Namespace) remove(ctx context.Context, full string) {
	n.cache.recent.drop(full)
	_ = n.cache.exec(ctx, 1, func(p redis.Pipeliner) { p.Unlink(ctx, full) })
}

func (s *space) start(key, full string) *load {
	l := &load{full: full}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.loads[key]; ok { // of another version, or one that does not end
		old.superseded.Store(true)
	}
	s.loads[key] = l
	return l
}

func (s *space) finish(key string, l *load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loads[key] == l {
		delete(s.loads, key)
	}
}

// supersede keeps loads under way of these keys from being stored, and later
// callers of Fetch from waiting for them. It is called before a change is sent
// to Redis, or a load could miss it, and after, or a caller could join one that
// looked before.
func (s *space) supersede(keys ...string) {
	var gone []*load
	s.mu.Lock()
	for _, key := range keys {
		if l, ok := s.loads[key]; ok {
			delete(s.loads, key)
			gone = append(gone, l)
		}
	}
	s.mu.Unlock()
	s.forget(gone)
}

// supersedeIf is supersede for the keys of which gone, a pure function, says
// so.
func (s *space) supersedeIf(which func(key string) bool) {
	var gone []*load
	s.mu.Lock()
	for key, l := range s.loads {
		if which(key) {
			delete(s.loads, key)
			gone = append(gone, l)
		}
	}
	s.mu.Unlock()
	s.forget(gone)
}

func (s *space) forget(loads []*load) {
	for _, l := range loads {
		l.superseded.Store(true)
		s.flights.Forget(l.full)
	}
}
