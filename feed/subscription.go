package feed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// subscription is one session of a line: its reader takes what comes, and
// another goroutine tends it.
type subscription struct {
	*line
	ps      *redis.PubSub
	waiting int // confirmations of probe and relays to come; owned by the reader

	mu    sync.Mutex // guards batch and its fields
	batch *batch     // the newest
}

// batch is some symbols on the way to being followed. Their channels are
// confirmed; then their last values are read and a marker is published. When the
// marker comes back, every quote published before the values were read has been
// received, and the values are merged.
type batch struct {
	symbols   []Symbol
	waiting   map[string]Symbol // channels not yet confirmed
	confirmed chan struct{}     // closed when there are none
	values    map[Symbol]*storedQuote
	marker    string        // "" = nothing to merge
	merged    chan struct{} // closed when the values are
}

var (
	errSubscribedAgain = errors.New("the connection was lost") // and go-redis opened it anew by itself
	errMoved           = errors.New("the slot moved to another server")
	errNotConfirmed    = errors.New("a subscription was not confirmed in time")
)

// session subscribes and receives until the connection fails or is silent.
// A read that timed out may have stopped within a message, so it always ends
// the session; probes make silence the sign of a dead connection.
func (l *line) session(ctx context.Context) (confirmed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var tending sync.WaitGroup
	defer l.synced.Store(false)
	defer tending.Wait()
	defer cancel()

	s := &subscription{line: l, ps: l.r.client.Subscribe(ctx), waiting: 1 + len(l.relays)}
	defer s.ps.Close()
	defer context.AfterFunc(ctx, func() { s.ps.Close() })() // a read ignores ctx
	opened := time.Now()
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	for {
		wait := silence - l.silent()
		if s.waiting > 0 {
			wait = opTimeout - time.Since(opened)
		}
		// What has come already is read even if it was left lying for too long.
		m, err := s.ps.ReceiveTimeout(ctx, max(wait, 10*time.Millisecond))
		if err != nil {
			return s.waiting == 0, err
		}
		l.hear()
		switch m := m.(type) {
		case *redis.Message:
			l.r.handle(s, m)
		case *redis.Subscription:
			ready, err := s.confirm(m)
			if err != nil {
				return s.waiting == 0, err
			}
			if ready {
				tending.Go(func() {
					defer cancel()
					s.tend(ctx)
				})
			}
		}
	}
}

// begin opens the connection and asks for the channels of probe and relays.
func (s *subscription) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if s.sharded {
		return s.ps.SSubscribe(ctx, s.probe.channel)
	}
	return s.ps.Subscribe(ctx, append([]string{s.probe.channel}, s.relays...)...)
}

// confirm takes a confirmation; ready tells that it was the last of begin's.
func (s *subscription) confirm(m *redis.Subscription) (ready bool, err error) {
	switch {
	case m.Kind == "sunsubscribe" && m.Channel == s.probe.channel:
		return false, errMoved // nobody asked for it
	case m.Kind != "subscribe" && m.Kind != "ssubscribe":
		return false, nil
	case s.waiting > 0:
		s.waiting--
		return s.waiting == 0, nil
	}
	s.mu.Lock()
	b := s.batch
	symbol, asked := Symbol(""), false
	if b != nil {
		symbol, asked = b.waiting[m.Channel]
	}
	if !asked {
		s.mu.Unlock()
		return false, errSubscribedAgain
	}
	delete(b.waiting, m.Channel)
	last := len(b.waiting) == 0
	s.mu.Unlock()
	s.r.cfg.Board.open(symbol)
	if last {
		close(b.confirmed)
	}
	return false, nil
}

// tend makes what is subscribed to what is wanted, until ctx ends or the
// connection fails.
func (s *subscription) tend(ctx context.Context) {
	have := map[Symbol]bool{} // subscribed on this connection
	for proven := false; ; {
		add, drop := s.changes(have)
		var err error
		switch {
		case len(drop) > 0:
			err = s.drop(ctx, drop, have)
		case len(add) > 0 || !proven:
			proven = true
			err = s.add(ctx, add[:min(len(add), maxPipeline)], have)
		default:
			if !s.synced.Swap(true) {
				s.r.metrics.resyncs.Inc()
			}
			select {
			case <-s.wake:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				s.r.log.Warn("subscriptions for quotes failed", "channel", s.probe.channel, "err", err)
			}
			return
		}
	}
}

// drop gives up symbols that are not wanted any more.
func (s *subscription) drop(ctx context.Context, symbols []Symbol, have map[Symbol]bool) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	var channels []string
	for _, symbol := range symbols {
		s.r.cfg.Board.leave(symbol)
		delete(s.followed, symbol)
		if have[symbol] {
			delete(have, symbol)
			channels = append(channels, s.r.cfg.Keys.Channel(symbol))
		}
	}
	switch {
	case len(channels) == 0:
		return nil
	case s.sharded:
		return s.ps.SUnsubscribe(ctx, channels...)
	}
	return s.ps.Unsubscribe(ctx, channels...)
}

// add subscribes to symbols, reads their last values and returns when they
// are merged. Without symbols it only shows that messages come through.
func (s *subscription) add(ctx context.Context, symbols []Symbol, have map[Symbol]bool) error {
	b := &batch{symbols: symbols, waiting: map[string]Symbol{}, confirmed: make(chan struct{}), merged: make(chan struct{})}
	for _, symbol := range symbols {
		b.waiting[s.r.cfg.Keys.Channel(symbol)] = symbol
		s.followed[symbol], have[symbol] = true, true
	}
	s.mu.Lock()
	s.batch = b
	channels := slices.Collect(maps.Keys(b.waiting))
	s.mu.Unlock()
	if len(symbols) > 0 {
		if err := s.subscribe(ctx, channels); err != nil {
			return err
		}
		if err := await(ctx, b.confirmed, opTimeout); err != nil {
			return err
		}
	}
	for logged := false; ; {
		err := s.readInto(ctx, b)
		if err == nil {
			err = await(ctx, b.merged, opTimeout)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !logged {
			logged = true
			s.r.log.Warn("last values not read, trying on", "err", err)
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (s *subscription) subscribe(ctx context.Context, channels []string) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if s.sharded {
		return s.ps.SSubscribe(ctx, channels...)
	}
	return s.ps.Subscribe(ctx, channels...)
}

// readInto reads the last values of b and publishes its marker.
func (s *subscription) readInto(ctx context.Context, b *batch) error {
	ctx, cancel := context.WithTimeout(ctx, 2*opTimeout)
	defer cancel()
	values, bad, err := s.r.lasts.read(ctx, b.symbols)
	s.r.metrics.bad.Add(float64(bad))
	if err != nil {
		return err
	}
	marker := "read-" + newEpoch()
	s.mu.Lock()
	b.values, b.marker = values, marker
	s.mu.Unlock()
	return s.probe.send(ctx, marker)
}

// probed takes a message of the probe's channel.
func (s *subscription) probed(payload string) {
	s.mu.Lock()
	b := s.batch
	if b == nil || b.marker == "" || b.marker != payload {
		s.mu.Unlock()
		s.probe.received(payload)
		return
	}
	b.marker = ""
	values := b.values
	s.mu.Unlock()
	for _, symbol := range b.symbols {
		s.r.cfg.Board.merge(symbol, values[symbol])
	}
	close(b.merged)
}

// await waits for done for at most d.
func await(ctx context.Context, done <-chan struct{}, d time.Duration) error {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return errNotConfirmed
	}
}
