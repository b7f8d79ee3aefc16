package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// said keeps what an outbox reports.
type said struct {
	mu      sync.Mutex
	lost    []error
	back    int
	dropped uint64
}

func (s *said) events() outboxEvents {
	return outboxEvents{
		lost: func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lost = append(s.lost, err)
		},
		back: func(o outage) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.back++
			s.dropped += o.dropped
		},
	}
}

func (s *said) times() (lost, back int, dropped uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lost), s.back, s.dropped
}

// TestOutboxGetsOverRedisKilled kills the server under a producer that makes
// more than the outbox holds, and looks at what the next server got.
func TestOutboxGetsOverRedisKilled(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	p := accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: feed.Keys{Prefix: "fx:"}, Timeout: 300 * time.Millisecond, HistoryTicks: 3 * outboxSize})
	running, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(running) })
	defer wg.Wait()
	defer stop()

	var reports said
	box := newOutbox(p, newTally(), reports.events())
	box.drops = true
	symbols := []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY"}
	share := []int{20, 4, 1} // of the quotes; each symbol's are numbered by their price
	last := make([]int, len(symbols))
	total, most := 0, 0
	box.run(t.Context(), func(ctx context.Context, add addFunc) {
		round := func() {
			for i, s := range symbols {
				for range share[i] {
					last[i]++
					total++
					if err := add(ctx, []feed.Quote{numbered(s, last[i])}); err != nil {
						t.Errorf("add: %v", err)
					}
				}
			}
			box.mu.Lock()
			most = max(most, len(box.queue))
			box.mu.Unlock()
		}
		for range 20 {
			round()
		}
		programtest.Eventually(t, "it happens", func() bool { return box.tally.snapshot().accepted == uint64(total) })
		server.Kill()
		for n := 0; n == 0; n, _, _ = reports.times() {
			round()
			time.Sleep(time.Millisecond)
		}
		for range 1200 { // 30,000 quotes
			round()
		}
		server.Restart()
		programtest.Eventually(t, "it happens", func() bool { _, back, _ := reports.times(); return back == 1 })
		round()
	})

	c := box.tally.snapshot()
	lost, back, dropped := reports.times()
	if lost != 1 || back != 1 || dropped == 0 || dropped != c.dropped {
		t.Errorf("reported %d times lost, %d times back with %d dropped; counted %+v", lost, back, dropped, c)
	}
	if got := c.accepted + c.dropped + c.unknown + c.unsent; got != uint64(total) || c.unsent != 0 {
		t.Errorf("%d made, counted %+v", total, c)
	}
	if most > outboxSize+outboxBatch {
		t.Errorf("%d quotes in an outbox of %d", most, outboxSize)
	}
	for i, s := range symbols {
		entries, err := client.XRange(t.Context(), feed.Keys{Prefix: "fx:"}.Ticks(s), "-", "+").Result()
		if err != nil || len(entries) == 0 {
			t.Fatalf("%s: %d entries, %v", s, len(entries), err)
		}
		// The oldest went, so what came is without a gap up to the newest, except
		// for a first batch that was under way.
		before, gaps := 0, 0
		for _, e := range entries {
			a, err := feed.DecodeTick([]byte(e.Values["q"].(string)))
			if err != nil {
				t.Fatal(err)
			}
			n, _ := strconv.Atoi(a.Bid)
			if n <= before {
				t.Fatalf("%s: %d after %d", s, n, before)
			}
			if before > 0 && n != before+1 {
				gaps++
			}
			before = n
		}
		if before != last[i] || gaps > 1 {
			t.Errorf("%s: the last is %d with %d gaps, want %d without", s, before, gaps, last[i])
		}
	}
}

// TestOutboxKeepsOtherSymbolsGoing damages one symbol's key.
func TestOutboxKeepsOtherSymbolsGoing(t *testing.T) {
	client := redistest.Start(t).Client()
	keys := feed.Keys{Prefix: "fx:"}
	out, err := openWithin(t, client, time.Second)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	if err := client.Set(t.Context(), keys.Seq("GBP/USD"), "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var reports said
	box := newOutbox(out.publisher, newTally(), reports.events())
	box.drops = true
	const each = 2000
	box.run(t.Context(), func(ctx context.Context, add addFunc) {
		for i := range each {
			_ = add(ctx, []feed.Quote{numbered("GBP/USD", i+1), numbered("EUR/USD", i+1)})
		}
		programtest.Eventually(t, "it happens", func() bool { return box.tally.snapshot().accepted == each })
		client.Del(ctx, keys.Seq("GBP/USD"))
		programtest.Eventually(t, "it happens", func() bool { return box.tally.snapshot().accepted == 2*each })
	})
	if lost, back, dropped := reports.times(); lost != 1 || back != 1 || dropped != 0 {
		t.Errorf("reported %d times lost, %d times back, %d dropped", lost, back, dropped)
	}
	for _, s := range []feed.Symbol{"EUR/USD", "GBP/USD"} {
		if a := programtest.Last(t, client, s); a.Bid != strconv.Itoa(each) || a.Seq != each {
			t.Errorf("%s: the last is %s with number %d, want %d", s, a.Bid, a.Seq, each)
		}
	}
}

// pickyRedis takes some quotes of a batch and not others.
type pickyRedis struct {
	goneRedis
	refuse func(q feed.Quote) bool
}

func (p *pickyRedis) Publish(_ context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	outcomes := make([]accept.Outcome, len(quotes))
	var err error
	for i, q := range quotes {
		if p.refuse(q) {
			err = errors.Join(redislink.ErrUnavailable, fmt.Errorf("not %s", q.Symbol))
			continue
		}
		p.taken = append(p.taken, q)
		outcomes[i] = accept.Outcome{Epoch: "e", Seq: uint64(len(p.taken)), At: 1}
	}
	return outcomes, err
}

func TestOutboxGivesUpWhatWasOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		g := &pickyRedis{refuse: func(q feed.Quote) bool {
			no := first && q.Bid != "2"
			first = first && q.Bid != "3"
			return no
		}}
		var reported outage
		box := newOutbox(g, newTally(), outboxEvents{lost: func(error) {}, back: func(o outage) { reported = o }})
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			_ = add(ctx, []feed.Quote{numbered("EUR/USD", 1), numbered("EUR/USD", 2), numbered("EUR/USD", 3)})
		})
		if c := box.tally.snapshot(); len(g.taken) != 2 || g.taken[0].Bid != "2" || g.taken[1].Bid != "3" || c.unsent != 1 || c.accepted != 2 {
			t.Errorf("taken %v, counted %+v: want 2 and 3, and 1 not sent", g.taken, c)
		}
		if reported.dropped != 1 || reported.unknown != 0 {
			t.Errorf("reported %+v, want one quote dropped", reported)
		}
	})
}

// slowPart is a cluster of which one master does not answer: a batch with quotes of its symbol takes
// as long as the publisher's patience, and these are not accepted.
type slowPart struct {
	symbol feed.Symbol
	mu     sync.Mutex
	taken  []feed.Quote
	late   map[feed.Symbol]int // quotes that were accepted more than 100 ms after their time
	gone   bool
}

func (p *slowPart) Publish(_ context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	slow := gone && slices.ContainsFunc(quotes, func(q feed.Quote) bool { return q.Symbol == p.symbol })
	outcomes := make([]accept.Outcome, len(quotes))
	p.mu.Lock()
	for i, q := range quotes {
		if gone && q.Symbol == p.symbol {
			continue
		}
		p.taken = append(p.taken, q)
		if time.Since(q.Time) > 100*time.Millisecond {
			p.late[q.Symbol]++
		}
		outcomes[i] = accept.Outcome{Epoch: "e", Seq: uint64(len(p.taken)), At: 1}
	}
	p.mu.Unlock()
	if slow {
		time.Sleep(2 * time.Second)
		return outcomes, redislink.ErrUnavailable
	}
	return outcomes, nil
}

// While the quotes of a master that does not answer are tried again and again, those of other
// masters are published at once. They wait only for the first batch that has quotes of both.
func TestOutboxTriesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &slowPart{symbol: "GBP/USD", late: map[feed.Symbol]int{}, gone: true}
		box := newOutbox(p, newTally(), outboxEvents{lost: func(error) {}, back: func(outage) {}})
		const each = 3000
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			for i := range each {
				for _, s := range []feed.Symbol{"EUR/USD", "GBP/USD"} {
					q := numbered(s, i+1)
					q.Time = time.Now()
					_ = add(ctx, []feed.Quote{q})
				}
				time.Sleep(10 * time.Millisecond)
			}
			p.mu.Lock()
			p.gone = false
			p.mu.Unlock()
		})
		if p.late["EUR/USD"] > 250 { // of the first 2 s
			t.Errorf("%d quotes of another master were late, want those of the first 2 s", p.late["EUR/USD"])
		}
		last := map[feed.Symbol]int{}
		for _, q := range p.taken {
			n, _ := strconv.Atoi(q.Bid)
			if n != last[q.Symbol]+1 {
				t.Fatalf("%s: %d follows %d", q.Symbol, n, last[q.Symbol])
			}
			last[q.Symbol] = n
		}
		if last["EUR/USD"] != each || last["GBP/USD"] != each {
			t.Errorf("the last are %v, want %d of each", last, each)
		}
	})
}
