package receive

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/internal/conn"

	"github.com/redis/go-redis/v9"
)

// session is one Redis subscription of a connection: its reader takes what comes, and
// another goroutine tends it.
type session struct {
	*connection
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
	symbols   []feed.Symbol
	waiting   map[string]feed.Symbol // channels not yet confirmed
	confirmed chan struct{}          // closed when there are none
	values    map[feed.Symbol]*storedQuote
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
func (c *connection) session(ctx context.Context) (confirmed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var tending sync.WaitGroup
	defer c.synced.Store(false)
	defer tending.Wait()
	defer cancel()

	s := &session{connection: c, ps: c.r.client.Subscribe(ctx), waiting: 1 + len(c.relays)}
	defer s.ps.Close()
	defer context.AfterFunc(ctx, func() { s.ps.Close() })() // a read ignores ctx
	opened := time.Now()
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	for {
		wait := conn.Silence - c.silent()
		if s.waiting > 0 {
			wait = conn.OpTimeout - time.Since(opened)
		}
		// What has come already is read even if it was left lying for too long.
		m, err := s.ps.ReceiveTimeout(ctx, max(wait, 10*time.Millisecond))
		if err != nil {
			return s.waiting == 0, err
		}
		c.hear()
		switch m := m.(type) {
		case *redis.Message:
			c.r.handle(s, m)
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
func (s *session) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, conn.OpTimeout)
	defer cancel()
	if s.sharded {
		return s.ps.SSubscribe(ctx, s.probe.Channel)
	}
	return s.ps.Subscribe(ctx, append([]string{s.probe.Channel}, s.relays...)...)
}

// confirm takes a confirmation; ready tells that it was the last of begin's.
func (s *session) confirm(m *redis.Subscription) (ready bool, err error) {
	switch {
	case m.Kind == "sunsubscribe" && m.Channel == s.probe.Channel:
		return false, errMoved // nobody asked for it
	case m.Kind != "subscribe" && m.Kind != "ssubscribe":
		return false, nil
	case s.waiting > 0:
		s.waiting--
		return s.waiting == 0, nil
	}
	s.mu.Lock()
	b := s.batch
	symbol, asked := feed.Symbol(""), false
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
func (s *session) tend(ctx context.Context) {
	have := map[feed.Symbol]bool{} // subscribed on this connection
	for proven := false; ; {
		add, drop := s.changes(have)
		var err error
		switch {
		case len(drop) > 0:
			err = s.drop(ctx, drop, have)
		case len(add) > 0 || !proven:
			proven = true
			err = s.add(ctx, add[:min(len(add), maxBatch)], have)
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
				s.r.log.Warn("subscriptions for quotes failed", "channel", s.probe.Channel, "err", err)
			}
			return
		}
	}
}

// drop gives up symbols that are not wanted any more.
func (s *session) drop(ctx context.Context, symbols []feed.Symbol, have map[feed.Symbol]bool) error {
	ctx, cancel := context.WithTimeout(ctx, conn.OpTimeout)
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
func (s *session) add(ctx context.Context, symbols []feed.Symbol, have map[feed.Symbol]bool) error {
	b := &batch{symbols: symbols, waiting: map[string]feed.Symbol{}, confirmed: make(chan struct{}), merged: make(chan struct{})}
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
		if err := await(ctx, b.confirmed, conn.OpTimeout); err != nil {
			return err
		}
	}
	for logged := false; ; {
		err := s.readInto(ctx, b)
		if err == nil {
			err = await(ctx, b.merged, conn.OpTimeout)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !logged {
			logged = true
			s.r.log.Warn("last values not read, trying on", "err", err)
		}
		if !conn.Sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (s *session) subscribe(ctx context.Context, channels []string) error {
	ctx, cancel := context.WithTimeout(ctx, conn.OpTimeout)
	defer cancel()
	if s.sharded {
		return s.ps.SSubscribe(ctx, channels...)
	}
	return s.ps.Subscribe(ctx, channels...)
}

// readInto reads the last values of b and publishes its marker.
func (s *session) readInto(ctx context.Context, b *batch) error {
	ctx, cancel := context.WithTimeout(ctx, 2*conn.OpTimeout)
	defer cancel()
	values, bad, err := s.r.lasts.read(ctx, b.symbols)
	s.r.metrics.bad.Add(float64(bad))
	if err != nil {
		return err
	}
	marker := "read-" + rand.Text()
	s.mu.Lock()
	b.values, b.marker = values, marker
	s.mu.Unlock()
	return s.probe.Send(ctx, marker)
}

// probed takes a message of the probe's channel.
func (s *session) probed(payload string) {
	s.mu.Lock()
	b := s.batch
	if b == nil || b.marker == "" || b.marker != payload {
		s.mu.Unlock()
		s.probe.Received(payload)
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
