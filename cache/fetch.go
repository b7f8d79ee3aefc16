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

// reloadRetry is the pause after a failed reload of a stale value.
const reloadRetry = time.Second

// Fetch returns the value of key. If the cache does not have it, Fetch loads and stores it.
//
//	Fetch          look the key up: return its value
//	* refresh      return a stale value too (ServeStale), and reload it in the background
//	* fill         wait for the one load of this key in this process
//	  * loadOnce   look the key up again, load, store
//
// load runs once in this process, however many callers fetch a key at the same time; other
// processes may load it too. The load of the first caller runs, with the values of its context but
// not with its cancellation: it is canceled by Config.LoadTimeout or Close only, and fills the
// cache even if all callers have gone. Each caller waits until its own ctx ends.
//
// All waiting callers receive an error of load. It is not cached, except ErrMiss with CacheMisses.
// The value that load returns is stored as by Set, and returned even if it cannot be stored. A Set,
// Delete or invalidation of the key in this process prevents a running load from storing its value.
// One in another process does not, so a value that was read from the source before may be stored
// after it, for its TTL.
//
// Without Redis, a copy within its TTL is returned. Otherwise the value is loaded, and an older
// copy is returned only if that fails.
func (n *Namespace) Fetch(ctx context.Context, key string, load func(context.Context) (any, error)) (Entry[[]byte], error) {
	return fetch(ctx, n, key, load, func(payload []byte) ([]byte, error) { return payload, nil })
}

// fetch is Fetch for values that decode returns for a payload. A payload that it cannot decode is
// loaded again.
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
	// Other callers receive the same payload, and the decoded value may share its memory.
	value, err := decode(bytes.Clone(got.Value))
	if err != nil {
		return none, err
	}
	return Entry[T]{Value: value, Source: got.Source, Age: got.Age}, nil
}

// refresh reloads key in the background, unless a reload is running, has failed recently, or too
// many others are running.
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
			c.log.Warn("cache: reload of a stale value failed", "namespace", s.name, "err", err)
			time.AfterFunc(reloadRetry, done)
			return
		}
		done()
	}()
}

// fill waits for the load of key, and starts it if none is running.
func (n *Namespace) fill(ctx context.Context, prefix, key string, readable func([]byte) bool, load func(context.Context) (any, error)) (Entry[[]byte], error) {
	full := prefix + key
	result := n.space.flights.DoChan(full, func() (any, error) { return n.loadOnce(ctx, full, key, readable, load) })
	// A load that ignores its context must not block its callers.
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

// load is one run of a load function.
type load struct {
	full       string      // the key in Redis that its value belongs to
	superseded atomic.Bool // set if its value must not be stored
}

// loadOnce calls run and stores the value that it returns.
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
	// A load that ended after this caller's look-up has stored the value.
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

// run calls a load function and turns a panic into an error.
func (n *Namespace) run(ctx context.Context, load func(context.Context) (any, error)) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			n.cache.log.Error("cache: a load panicked", "namespace", n.space.name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("cache: a load of namespace %s panicked", n.space.name)
		}
	}()
	return load(ctx)
}

// keep stores the value of l, unless l is superseded. If that happens during the write, keep
// removes the value again. An error of Redis is only counted, since the copy has the value.
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

// remove removes a value that a load has found to be gone or superseded. An error of Redis is only
// counted, since no caller waits for it; the value then stays for its TTL.
func (n *Namespace) remove(ctx context.Context, full string) {
	n.cache.recent.drop(full)
	_ = n.cache.exec(ctx, 1, func(p redis.Pipeliner) { p.Unlink(ctx, full) })
}

// start registers a load of key and supersedes an earlier one.
func (s *space) start(key, full string) *load {
	l := &load{full: full}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.loads[key]; ok { // of another version, or one that does not return
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

// supersede prevents running loads of these keys from storing their values, and later callers of
// Fetch from waiting for them. It is called before a change is sent to Redis, or a load could miss
// the change. It is called again after it, or a caller could join a load that read its source
// before.
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

// supersedeIf is supersede for the keys for which which, a pure function, returns true.
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
