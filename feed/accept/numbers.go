package accept

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"

	"github.com/redis/go-redis/v9"
)

// numbers is what a Publisher remembers of each symbol. It is safe for concurrent use.
type numbers struct {
	mu       sync.Mutex // guards the following fields
	seen     map[feed.Symbol]lastSeen
	listed   map[feed.Symbol]time.Time // when the symbol was last added to the set
	unlisted map[feed.Symbol]bool      // of a cluster: to be added

	wake chan struct{} // holds a token after symbols were added to unlisted
}

func newNumbers() *numbers {
	return &numbers{seen: map[feed.Symbol]lastSeen{}, listed: map[feed.Symbol]time.Time{}, unlisted: map[feed.Symbol]bool{}, wake: make(chan struct{}, 1)}
}

// last returns the newest number that the Publisher itself has seen.
func (n *numbers) last(s feed.Symbol) lastSeen {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen[s]
}

// saw remembers the number of the newest accepted quote.
func (n *numbers) saw(s feed.Symbol, o Outcome) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if o.Epoch != n.seen[s].epoch {
		delete(n.listed, s) // Redis may have lost that set too
	}
	n.seen[s] = lastSeen{o.Epoch, o.Seq, o.At}
}

// begun counts and logs that the sequence of a symbol has begun with o.
func (p *Publisher) begun(s feed.Symbol, o Outcome) {
	p.metrics.epochs.Inc()
	level := slog.LevelDebug
	if p.lastSeen(s).epoch != "" {
		level = slog.LevelWarn // Redis lost the counter
	}
	p.log.Log(context.Background(), level, "sequence begun", "symbol", string(s), "epoch", o.Epoch)
}

// lastSeen returns the newest number known of s: from this publisher, or from others by
// PublisherConfig.Known.
func (p *Publisher) lastSeen(s feed.Symbol) lastSeen {
	seen := p.numbers.last(s)
	if p.cfg.Known == nil {
		return seen
	}
	epoch, seq, at := p.cfg.Known(s)
	switch {
	case epoch == "":
		return seen
	case epoch == seen.epoch && seq > seen.seq, epoch != seen.epoch && newer(lastSeen{epoch, seq, at}, seen):
		return lastSeen{epoch, seq, at}
	}
	return seen
}

// newer reports whether a is of a newer epoch than b. Epochs whose order is not known are compared
// by when their quotes were accepted.
func newer(a, b lastSeen) bool {
	if x, y := feed.EpochBegan(a.epoch), feed.EpochBegan(b.epoch); x != y {
		return x > y
	}
	return a.at > b.at
}

// due returns the symbols of accepted quotes that are to be listed.
func (n *numbers) due(jobs []*publishJob, refresh time.Duration) map[feed.Symbol]bool {
	now := time.Now()
	due := map[feed.Symbol]bool{}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, j := range jobs {
		for i, o := range j.outcomes {
			s := j.quotes[i].Symbol
			if last, ok := n.listed[s]; o.Seq > 0 && (!ok || now.Sub(last) >= refresh) {
				due[s] = true
			}
		}
	}
	return due
}

// list notes that symbols were listed, and forgets those of which nothing was accepted for longer
// than expiry.
func (n *numbers) list(symbols map[feed.Symbol]bool, expiry time.Duration) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range symbols {
		n.listed[s] = now
	}
	for s, last := range n.listed {
		if now.Sub(last) > expiry {
			delete(n.listed, s)
			delete(n.seen, s)
		}
	}
}

// list adds the symbols of accepted quotes to the set of known symbols, each at most once a minute.
// In a cluster another master may hold that set, so no lane waits for it.
func (l *lane) list(ctx context.Context, jobs []*publishJob) {
	due := l.numbers.due(jobs, l.listRefresh())
	switch {
	case len(due) == 0:
	case l.router == nil:
		l.addToList(ctx, l.masters.client(), due)
	default:
		l.numbers.mu.Lock()
		maps.Copy(l.numbers.unlisted, due)
		l.numbers.mu.Unlock()
		select {
		case l.numbers.wake <- struct{}{}:
		default:
		}
	}
}

// keepListing adds the symbols that the lanes of a cluster have left, until ctx ends and none is
// left.
func (p *Publisher) keepListing(ctx context.Context, client redis.UniversalClient) {
	for ending := false; !ending; {
		select {
		case <-p.numbers.wake:
		case <-ctx.Done():
			ending = true
		}
		p.numbers.mu.Lock()
		due := p.numbers.unlisted
		p.numbers.unlisted = map[feed.Symbol]bool{}
		p.numbers.mu.Unlock()
		if len(due) > 0 {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Timeout)
			p.addToList(bounded, client, due)
			cancel()
		}
	}
}

func (p *Publisher) addToList(ctx context.Context, client redis.UniversalClient, symbols map[feed.Symbol]bool) {
	members := make([]any, 0, len(symbols))
	for s := range symbols {
		members = append(members, string(s))
	}
	if err := client.SAdd(ctx, p.cfg.Keys.Symbols(), members...).Err(); err != nil {
		p.log.Warn("symbols not listed; the next quote tries again", "err", err)
		return
	}
	p.numbers.list(symbols, p.rules.gate.LastKnown+p.listRefresh()) // then nothing is known of a symbol any more
}

// listRefresh returns how often a symbol is listed again: a node may have taken it off the list.
func (p *Publisher) listRefresh() time.Duration {
	return min(symbolsRefresh, p.rules.gate.LastKnown/4)
}
