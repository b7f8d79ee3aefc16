// Package accept publishes quotes: one atomic script gives each quote of a symbol its number,
// stores it and publishes it.
//
// When Redis fails, a Publisher fails in bounded time and publishes no quote twice. The Inbox stops
// as soon as another node may be the leader.
package accept

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// ErrOutcomeUnknown is wrapped together with redislink.ErrUnavailable if the connection failed
// while quotes were in flight. They may have been accepted, so publishing them again may duplicate
// them.
var ErrOutcomeUnknown = errors.New("feed: outcome unknown")

const (
	maxPipeline      = 256  // quotes of one round trip
	maxPublishQueue  = 8192 // quotes waiting in the queue
	symbolsRefresh   = time.Minute
	publishRetryWait = 50 * time.Millisecond
)

// PublisherConfig configures NewPublisher. Redis is required.
type PublisherConfig struct {
	// Only the options of Redis are used, and in a cluster its map of slots: a Publisher opens its
	// own connection to each master, which never retries a command automatically. A client that is
	// neither a *redis.Client nor a *redis.ClusterClient is used directly and must have been opened
	// with MaxRetries -1. With such a client a failover is noticed only by lost keys or by a counter
	// that went back.
	Redis redis.UniversalClient
	Keys  feed.Keys

	// Failovers, which may be nil, holds quotes back while Sentinel replaces the master. A
	// Publisher runs it.
	Failovers *redislink.Failovers

	QuoteTTL     time.Duration // for how long the last value is current; 0 = 60 s
	HistoryTicks int           // quotes kept per symbol; 0 = 1000, negative = only the last known one

	// Priorities of sources, the same on all nodes. They must pass Check. The zero value treats all
	// sources alike and costs nothing.
	Priorities feed.Priorities

	// Gate refuses prices that cannot be right, by the limits of Instruments. It must be the same
	// on all nodes. The zero value accepts any price.
	Gate Gate
	// Instruments defines the known symbols; nil = the table without settings.
	Instruments *feed.Instruments

	// Candles are kept of these intervals, and with any of them the figures of the day. They must be
	// the same on all nodes.
	Candles feed.KeptCandles

	// Timeout bounds how long quotes wait in the queue and, separately, a round trip with its
	// retries; 0 = 2 s.
	Timeout time.Duration

	// Replicated makes Publish wait, at most 1 s after acceptance, until a replica has the quotes.
	// A quote that no replica has by then is Unreplicated, at once if the master has no replica.
	Replicated bool

	// Known returns the newest sequence number that this node has received for a symbol, and when
	// it was accepted (Board.Last). It reveals a counter that went back. May be nil.
	Known func(feed.Symbol) (epoch string, seq uint64, at int64)

	Registerer prometheus.Registerer // may be nil
	Logger     *slog.Logger          // nil = slog.DiscardHandler
}

// Publisher publishes quotes through Redis. While one round trip is under way, it gathers the
// quotes of the next. In a cluster it does so for each master independently. It is safe for
// concurrent use; Run must be running.
//
// One atomic script accepts a quote or does not. When Redis is slow, full or gone, Publish fails
// with redislink.ErrUnavailable in bounded time. Only quotes that Redis has certainly not processed
// are sent again, so none is duplicated.
type Publisher struct {
	cfg     PublisherConfig
	log     *slog.Logger
	metrics *publisherMetrics
	rules   rules // from cfg

	router  *router
	lanes   []*lane
	numbers *numbers
	started atomic.Bool
}

// publishJob is up to maxPipeline quotes of one Publish call, all of one lane.
type publishJob struct {
	quotes   []feed.Quote
	index    []int     // of each quote in the call
	waits    bool      // for a replica
	outcomes []Outcome // written by Run until done is closed
	err      error     // as outcomes; the first failure
	deadline time.Time // for being taken off the queue
	taken    atomic.Bool
	done     chan struct{}

	// Owned by Run.
	settled    bool // accepted or not, each quote
	unanswered int  // groups of its quotes that wait for a replica
}

// NewPublisher returns a Publisher that publishes while Run is running.
func NewPublisher(cfg PublisherConfig) *Publisher {
	if cfg.QuoteTTL <= 0 {
		cfg.QuoteTTL = time.Minute
	}
	if cfg.HistoryTicks == 0 {
		cfg.HistoryTicks = 1000
	}
	cfg.HistoryTicks = max(cfg.HistoryTicks, 1)
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Second
	}
	p := &Publisher{
		cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), rules: newRules(cfg.Priorities, cfg.Gate, cfg.Instruments, cfg.Candles),
		router: newRouter(cfg.Redis, cfg.Keys), numbers: newNumbers(),
	}
	for range p.router.lanes() {
		p.lanes = append(p.lanes, newLane(p))
	}
	p.cfg.QuoteTTL = min(p.cfg.QuoteTTL, p.rules.gate.LastKnown)
	p.metrics = newPublisherMetrics(cfg.Registerer, func() float64 { return float64(p.Depth()) })
	return p
}

// Replicated reports whether Publish waits for a replica.
func (p *Publisher) Replicated() bool { return p.cfg.Replicated }

// Depth returns how many quotes are waiting to be published.
func (p *Publisher) Depth() int {
	n := int64(0)
	for _, l := range p.lanes {
		n += l.waiting.Load()
	}
	return int(n)
}

// Publish publishes quotes in order and waits for the outcomes, one per quote in the same order,
// and with Replicated for a replica. A rejected quote is an outcome, not an error. quotes must not
// be changed before Publish has returned.
//
// An error is that of ctx or wraps redislink.ErrUnavailable; some outcomes may then not be Known.
func (p *Publisher) Publish(ctx context.Context, quotes []feed.Quote) ([]Outcome, error) {
	return p.publish(ctx, quotes, p.cfg.Replicated)
}

// Accept does the same and waits for no replica: for producers that get no answer. Quotes that no
// replica has in time are counted all the same.
func (p *Publisher) Accept(ctx context.Context, quotes []feed.Quote) ([]Outcome, error) {
	return p.publish(ctx, quotes, false)
}

// Check returns why a quote would be rejected whatever was accepted before, nil if only the publish
// script can decide.
func (p *Publisher) Check(q feed.Quote) *feed.Rejection {
	if r, ok := errors.AsType[*feed.Rejection](p.cfg.Instruments.Check(q)); ok {
		return r
	}
	return p.cfg.Priorities.Admit(q)
}

func (p *Publisher) publish(ctx context.Context, quotes []feed.Quote, waits bool) ([]Outcome, error) {
	outcomes := make([]Outcome, len(quotes))
	groups := make([]group, len(p.lanes))
	for i, q := range quotes {
		if r := p.Check(q); r != nil {
			outcomes[i].Rejection = r
			continue
		}
		g := &groups[p.router.enter(ctx, q.Symbol)]
		if g.quotes == nil {
			g.quotes, g.index = make([]feed.Quote, 0, len(quotes)-i), make([]int, 0, len(quotes)-i)
		}
		g.quotes, g.index = append(g.quotes, q), append(g.index, i)
	}

	deadline := time.Now().Add(p.cfg.Timeout)
	for i := range groups { // first what needs not wait for room
		p.lanes[i].fill(ctx, &groups[i], waits, deadline, false)
	}
	for i := range groups {
		p.lanes[i].fill(ctx, &groups[i], waits, deadline, true)
	}
	var failed error
	for i := range groups {
		g := &groups[i]
		for _, j := range g.jobs {
			g.err = worse(g.err, p.lanes[i].await(ctx, j))
			if isClosed(j.done) {
				for k, o := range j.outcomes {
					outcomes[j.index[k]] = o
				}
			}
		}
		failed = worse(failed, g.err)
	}
	p.count(outcomes)
	return outcomes, failed
}

// group is the quotes of one Publish call that share a lane, in order.
type group struct {
	quotes []feed.Quote
	index  []int // of each in the call
	jobs   []*publishJob
	err    error // the first failure
}

// worse returns the first of two errors, except that an unknown outcome outweighs a known failure.
func worse(first, second error) error {
	if first == nil || errors.Is(second, ErrOutcomeUnknown) && !errors.Is(first, ErrOutcomeUnknown) {
		return second
	}
	return first
}

func (p *Publisher) count(outcomes []Outcome) {
	var accepted, rejected, lost int
	for _, o := range outcomes {
		switch {
		case o.Seq > 0:
			accepted++
		case o.Rejection != nil:
			rejected++
		case o.Repeated: // counted when it was settled
		default:
			lost++
		}
	}
	p.metrics.accepted.Add(float64(accepted))
	p.metrics.rejected.Add(float64(rejected))
	p.metrics.lost.Add(float64(lost))
}

// Run publishes quotes until ctx ends, finishes the current round trips and returns nil. Quotes
// still queued are not published, and their Publish calls return an error. Run must be called only
// once.
//
//	Run              waits for the lanes
//	* lane.run       takes jobs off its queue                (1 goroutine each)
//	  * take         gathers up to maxPipeline quotes without waiting
//	  * execute      runs until each quote has an outcome or the time is over
//	    * send       for all masters at once: finds out which process it is,
//	                 then runs one pipeline of EVALSHA, each for up to 64 quotes
//	    * settle     reads the answers and decides which quotes may be sent again
//	* keepListing    lists symbols, in a cluster             (1 goroutine)
func (p *Publisher) Run(ctx context.Context) error {
	if p.started.Swap(true) {
		return errors.New("feed: Publisher.Run called twice")
	}
	var others sync.WaitGroup
	defer others.Wait()
	var cluster redis.UniversalClient
	if p.router != nil {
		client, release := redislink.Own(p.cfg.Redis, redislink.OwnOptions{PoolSize: 1})
		defer release()
		cluster = client
		listing, listed := context.WithCancel(context.WithoutCancel(ctx))
		var lister sync.WaitGroup
		lister.Go(func() { p.keepListing(listing, cluster) })
		defer func() { listed(); lister.Wait() }() // the lanes have ended then
	}
	if p.cfg.Replicated {
		others.Go(func() { p.warnWithoutReplica(ctx) })
	}
	others.Go(func() { p.cfg.Failovers.Run(ctx) })
	var lanes sync.WaitGroup
	for _, l := range p.lanes {
		lanes.Go(func() { l.run(ctx, cluster) })
	}
	lanes.Wait()
	return nil // waiting Publish calls return errStopped
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
