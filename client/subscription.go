package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/protocol"
)

// A Mode is how quotes are delivered.
type Mode struct {
	all     bool
	maxRate float64
	day     bool
	queue   int
}

var (
	// Latest delivers the newest quote of each symbol. What the subscriber has not read is replaced by
	// a newer quote of its symbol, whose Skipped counts it, so one quote per symbol waits at most.
	Latest = Mode{}

	// All delivers every quote, in order. Up to 8,192 quotes wait for the subscriber; then the client
	// stops reading, and the server ends a connection that has fallen too far behind. The client then
	// resumes, so the subscriber still receives every quote, as long as the server has it. Meanwhile
	// the other subscriptions of the client receive nothing either.
	All = Mode{all: true, queue: 8192}
)

// MaxRate is Latest with at most so many quotes of each symbol per second.
func MaxRate(perSecond float64) Mode { return Mode{maxRate: perSecond} }

// WithDay is the mode with the day figures of the symbols, which Options.OnDay receives.
func (m Mode) WithDay() Mode {
	m.day = true
	return m
}

// A Subscription receives the quotes of some symbols. Its methods are safe for concurrent use, but
// each quote reaches one caller only.
type Subscription struct {
	client   *Client
	mode     Mode
	interval string // of candles; empty: quotes

	names []string // as granted, or as named until then; guarded by Client.mu
	queue *queue

	last   map[string]Position // the last quote of each symbol; owned by the reader
	status map[string]string   // the last status of each symbol; owned by the reader
}

// Subscribe subscribes to symbols and wildcards: "EUR/USD", "EUR/*", "*/JPY", "*". It returns at
// once; a name that the server refuses is a *CommandError of the iterator. A name belongs to one
// subscription of a client at a time.
func (c *Client) Subscribe(symbols []string, mode Mode) (*Subscription, error) {
	return c.newSubscription(symbols, "", mode)
}

// newSubscription subscribes to quotes, or to candles of an interval.
func (c *Client) newSubscription(symbols []string, interval string, mode Mode) (*Subscription, error) {
	if len(symbols) == 0 || len(symbols) > maxSymbols {
		return nil, fmt.Errorf("client: want 1 to %d symbols, got %d", maxSymbols, len(symbols))
	}
	if r := mode.maxRate; !(r >= 0 && r <= math.MaxInt32) {
		return nil, fmt.Errorf("client: a rate of %v per second", r)
	}
	if slices.Contains(symbols, "") {
		return nil, errors.New("client: a symbol is empty")
	}
	s := &Subscription{client: c, mode: mode, interval: interval, names: slices.Compact(slices.Sorted(slices.Values(symbols))), last: map[string]Position{}, status: map[string]string{}, queue: newQueue(mode)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	own := setOf(s.names)
	for _, other := range c.subs {
		for _, name := range other.names {
			if other.interval == interval && own[name] {
				return nil, fmt.Errorf("client: %s is subscribed already", name)
			}
		}
	}
	c.subs = append(c.subs, s)
	if c.conn != nil {
		c.conn.subscribe(s)
	}
	return s, nil
}

// Close unsubscribes. Nothing is delivered afterwards, not even what was waiting.
func (s *Subscription) Close() {
	s.queue.drop()
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remove(s) && c.conn != nil {
		c.conn.drop(s)
	}
}

// Next returns the next quote. It waits for it until ctx ends. Its error is a *GapError before a
// quote that does not follow the one before it, or a *CommandError: the subscription goes on after
// both. Any other error is final: ErrClosed, or a *RefusedError.
func (s *Subscription) Next(ctx context.Context) (Quote, error) {
	i, err := s.queue.pop(ctx)
	return i.quote, err
}

// Quotes returns an iterator over the results of Next. It goes on after a *GapError and a
// *CommandError, and ends with any other error.
func (s *Subscription) Quotes(ctx context.Context) iter.Seq2[Quote, error] {
	return results(ctx, s.Next)
}

// results returns an iterator over the results of next, up to a final error.
func results[T any](ctx context.Context, next func(context.Context) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := next(ctx)
			if !yield(v, err) || err != nil && !goesOn(err) {
				return
			}
		}
	}
}

// goesOn reports whether quotes may follow an error.
func goesOn(err error) bool {
	_, gap := errors.AsType[*GapError](err)
	_, refused := errors.AsType[*CommandError](err)
	return gap || refused
}

// command returns the text of a command that subscribes, or resumes.
func (s *Subscription) command(id string, sent command, limits protocol.Limits) []byte {
	c := protocol.Command{Op: protocol.OpSubscribe, ID: json.RawMessage(id), Symbols: sent.names, Mode: protocol.ModeLatest, MaxRate: s.mode.maxRate, Day: s.mode.day, Candles: s.interval}
	if s.interval != "" {
		c.Mode = ""
	}
	if !s.mode.all {
		return c.Append(nil)
	}
	c.Mode = protocol.ModeAll
	room := protocol.MaxMessageBytes
	if limits.MaxMessageBytes > 0 {
		room = limits.MaxMessageBytes
	}
	text := c.Append(nil)
	room -= len(text) + len(`,"since":{}`)
	own := setOf(sent.names)
	for symbol, at := range sent.since {
		if at.Epoch == "" || !includes(own, symbol) {
			continue
		}
		// What the server has no room for is sent without its position. It then begins with a
		// snapshot, which shows what is missing.
		room -= len(symbol) + len(at.Epoch) + len(`"":{"epoch":"","seq":},`) + 20
		if room < 0 || limits.MaxSymbols > 0 && len(c.Since) >= limits.MaxSymbols {
			break
		}
		if c.Since == nil {
			c.Since = map[string]Position{}
		}
		c.Since[symbol] = at
	}
	return c.Append(nil)
}

// includes reports whether one of the names stands for a symbol.
func includes(names map[string]bool, symbol string) bool {
	base, quote, _ := strings.Cut(symbol, "/")
	return names[symbol] || names["*"] || names[base+"/*"] || names["*/"+quote]
}
