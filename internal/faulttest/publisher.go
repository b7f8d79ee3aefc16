package faulttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Quote is a tick to send.
type Quote struct {
	Symbol string    `json:"symbol"`
	Bid    string    `json:"bid"`
	Ask    string    `json:"ask"`
	Time   time.Time `json:"ts,omitzero"`
}

// Answer is the outcome of a Quote. Epoch may be "" if the transport does not return it.
type Answer struct {
	State State
	Epoch string
	Seq   uint64

	Unreplicated bool // accepted, and no replica has it
}

// Transport sends quotes in their order and returns as many answers. Those that it did not get are
// Unknown. It returns in bounded time.
type Transport func(ctx context.Context, quotes []Quote) []Answer

// Publisher sends ticks of some symbols and records the outcome of each. Its methods may be called
// from any goroutine, but only one at a time may send.
type Publisher struct {
	id      int
	symbols []string
	send    Transport

	mu    sync.Mutex // guards what follows
	clock time.Duration
	ticks []Tick
	sent  map[string]uint64 // by symbol: number of the last tick
}

// NewPublisher returns a publisher; id is 1 to 8, and unique.
func NewPublisher(id int, symbols []string, send Transport) *Publisher {
	return &Publisher{id: id, symbols: symbols, send: send, sent: map[string]uint64{}}
}

// SetClock makes the publisher's clock wrong by an offset.
func (p *Publisher) SetClock(offset time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock = offset
}

// Run sends one tick of each symbol every interval until ctx ends.
func (p *Publisher) Run(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.round(ctx, p.symbols)
		}
	}
}

// Finish sends ticks of each symbol until one of each was accepted. These are the last values that
// every client must have at the end. No other publisher may send these symbols afterwards.
func (p *Publisher) Finish(ctx context.Context) error {
	p.SetClock(0)
	left := p.symbols
	for len(left) > 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("faulttest: no last tick of %v was accepted: %w", left, ctx.Err())
		}
		answers := p.round(ctx, left)
		var again []string
		for i, a := range answers {
			if a.State != Accepted {
				again = append(again, left[i])
			}
		}
		if left = again; len(left) > 0 {
			wait(ctx, 50*time.Millisecond)
		}
	}
	return nil
}

// round sends one tick of each of these symbols.
func (p *Publisher) round(ctx context.Context, symbols []string) []Answer {
	p.mu.Lock()
	first := len(p.ticks)
	now := time.Now()
	quotes := make([]Quote, len(symbols))
	for i, s := range symbols {
		p.sent[s]++
		bid, ask := price(p.id, p.sent[s])
		quotes[i] = Quote{s, bid, ask, now.Add(p.clock).UTC().Truncate(time.Microsecond)}
		p.ticks = append(p.ticks, Tick{Symbol: s, Bid: bid, Ask: ask, Sent: now})
	}
	p.mu.Unlock()
	// Ticks in flight when ctx ends are still answered.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	answers := p.send(call, quotes)
	now = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, a := range answers {
		t := &p.ticks[first+i]
		t.State, t.Epoch, t.Seq, t.Unreplicated, t.Answered = a.State, a.Epoch, a.Seq, a.Unreplicated, now
	}
	return answers
}

// Ticks returns a copy of the ticks that were sent.
func (p *Publisher) Ticks() []Tick {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Tick(nil), p.ticks...)
}

// mark is the number of the next tick of each symbol.
func (p *Publisher) mark() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := make(map[string]uint64, len(p.symbols))
	for _, s := range p.symbols {
		m[s] = p.sent[s] + 1
	}
	return m
}

// OverHTTP publishes by POST /api/v1/quotes of a node, whose base URL address
// returns for each call. It does not learn the numbers of the ticks.
func OverHTTP(client *http.Client, address func() string, token string) Transport {
	return func(ctx context.Context, quotes []Quote) []Answer {
		answers := make([]Answer, len(quotes))
		body, err := json.Marshal(quotes)
		if err != nil {
			panic(err) // strings and times
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, address()+"/api/v1/quotes", bytes.NewReader(body))
		if err != nil {
			return answers
		}
		r.GetBody = nil // never sent twice
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		if err != nil {
			return answers
		}
		defer resp.Body.Close()
		var told struct {
			Accepted     int
			Rejected     []struct{ Index int }
			Unreplicated []int
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(text, &told) != nil {
			return answers
		}
		for i := range answers {
			answers[i].State = Accepted
		}
		for _, r := range told.Rejected {
			if r.Index >= 0 && r.Index < len(answers) {
				answers[r.Index].State = Rejected
			}
		}
		for _, i := range told.Unreplicated {
			if i >= 0 && i < len(answers) {
				answers[i].Unreplicated = true
			}
		}
		return answers
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
