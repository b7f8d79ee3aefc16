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
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/semaphore"
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
	// Only the options of Redis are used: a Publisher opens its own connection to each master,
	// which never retries a command automatically. A client that is neither a *redis.Client nor a
	// *redis.ClusterClient is used directly and must have been opened with MaxRetries -1. With such
	// a client a failover is noticed only by lost keys or by a counter that went back.
	Redis redis.UniversalClient
	Keys  feed.Keys

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
// quotes of the next. It is safe for concurrent use; Run must be running.
//
// One atomic script accepts a quote or does not. When Redis is slow, full or gone, Publish fails
// with redislink.ErrUnavailable in bounded time. Only quotes that Redis has certainly not processed
// are sent again, so none is duplicated.
type Publisher struct {
	cfg     PublisherConfig
	log     *slog.Logger
	metrics *publisherMetrics
	rules   rules // from cfg

	room    *semaphore.Weighted   // room for further quotes in the queue
	queue   chan *publishJob      // never full: a job has at least one quote
	waiting atomic.Int64          // quotes in the queue
	failed  atomic.Pointer[error] // why the newest round trips published nothing; nil = they did
	started atomic.Bool
	stopped chan struct{} // closed when Run has ended

	// Owned by Run.
	masters *masters
	seen    map[feed.Symbol]lastSeen
	listed  map[feed.Symbol]time.Time // when the symbol was last added to the set

	// Owned by Run, and used with Replicated only.
	waited       chan *written // WAITs that have ended
	unanswered   []*master     // with quotes that wait for a replica
	unreplicated int           // accepted quotes that wait for a replica
}

// publishJob is up to maxPipeline quotes of one Publish call.
type publishJob struct {
	quotes   []feed.Quote
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
		cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), rules: newRules(cfg.Priorities, cfg.Gate, cfg.Instruments),
		room:    semaphore.NewWeighted(maxPublishQueue),
		queue:   make(chan *publishJob, maxPublishQueue),
		stopped: make(chan struct{}),
		waited:  make(chan *written),
		seen:    map[feed.Symbol]lastSeen{},
		listed:  map[feed.Symbol]time.Time{},
	}
	p.cfg.QuoteTTL = min(p.cfg.QuoteTTL, p.rules.gate.LastKnown)
	p.metrics = newPublisherMetrics(cfg.Registerer, func() float64 { return float64(p.Depth()) })
	return p
}

// Replicated reports whether Publish waits for a replica.
func (p *Publisher) Replicated() bool { return p.cfg.Replicated }

// Depth returns how many quotes are waiting to be published.
func (p *Publisher) Depth() int { return int(p.waiting.Load()) }

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

func (p *Publisher) publish(ctx context.Context, quotes []feed.Quote, waits bool) ([]Outcome, error) {
	outcomes := make([]Outcome, len(quotes))
	good := make([]feed.Quote, 0, len(quotes))
	index := make([]int, 0, len(quotes)) // of each good quote in quotes
	for i, q := range quotes {
		r, _ := errors.AsType[*feed.Rejection](p.cfg.Instruments.Check(q))
		if r == nil {
			r = p.cfg.Priorities.Admit(q)
		}
		if r != nil {
			outcomes[i].Rejection = r
			continue
		}
		good, index = append(good, q), append(index, i)
	}

	var jobs []*publishJob
	var failed error
	deadline := time.Now().Add(p.cfg.Timeout)
	for start := 0; start < len(good) && failed == nil; start += maxPipeline {
		j := &publishJob{quotes: good[start:min(start+maxPipeline, len(good))], waits: waits, deadline: deadline, done: make(chan struct{})}
		if failed = p.enqueue(ctx, j); failed == nil {
			jobs = append(jobs, j)
		}
	}
	n := 0
	for _, j := range jobs {
		err := p.await(ctx, j)
		if failed == nil {
			failed = err
		}
		if isClosed(j.done) {
			for k, o := range j.outcomes {
				outcomes[index[n+k]] = o
			}
		}
		n += len(j.quotes)
	}
	p.count(outcomes)
	return outcomes, failed
}

func (p *Publisher) count(outcomes []Outcome) {
	var accepted, rejected, lost int
	for _, o := range outcomes {
		switch {
		case o.Seq > 0:
			accepted++
		case o.Rejection != nil:
			rejected++
		default:
			lost++
		}
	}
	p.metrics.accepted.Add(float64(accepted))
	p.metrics.rejected.Add(float64(rejected))
	p.metrics.lost.Add(float64(lost))
}

// enqueue waits for room in the queue.
func (p *Publisher) enqueue(ctx context.Context, j *publishJob) error {
	n := int64(len(j.quotes))
	if !p.room.TryAcquire(n) {
		wait, cancel := context.WithDeadline(ctx, j.deadline)
		defer cancel()
		if err := p.room.Acquire(wait, n); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: not published: %d quotes are already waiting", redislink.ErrUnavailable, p.Depth())
		}
	}
	if isClosed(p.stopped) {
		p.room.Release(n)
		return errStopped
	}
	p.waiting.Add(n)
	p.queue <- j
	return nil
}

var errStopped = fmt.Errorf("%w: not published: the publisher has stopped", redislink.ErrUnavailable)

// await waits for j to be done. If ctx or the deadline ends the wait before j was taken off the
// queue, j is never executed.
func (p *Publisher) await(ctx context.Context, j *publishJob) error {
	timeout := time.NewTimer(time.Until(j.deadline))
	defer timeout.Stop()
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w for %d quotes: %w", redislink.ErrUnavailable, ErrOutcomeUnknown, len(j.quotes), ctx.Err())
	case <-p.stopped:
	case <-timeout.C:
	}
	if j.taken.CompareAndSwap(false, true) {
		if isClosed(p.stopped) {
			return errStopped
		}
		return p.waitedTooLong()
	}
	select { // taken: execute bounds its own time
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w for %d quotes: %w", redislink.ErrUnavailable, ErrOutcomeUnknown, len(j.quotes), ctx.Err())
	}
}

func (p *Publisher) waitedTooLong() error {
	doing := fmt.Sprintf("not published: waited %v for Redis to take earlier quotes", p.cfg.Timeout)
	if why := p.failed.Load(); why != nil {
		return redislink.Unavailable(doing, *why)
	}
	return fmt.Errorf("%w: %s", redislink.ErrUnavailable, doing)
}

// Run publishes quotes until ctx ends, finishes the current round trip and returns nil. Quotes
// still queued are not published, and their Publish calls return an error. Run must be called only
// once.
//
//	Run            takes jobs off the queue                (1 goroutine)
//	* take         gathers up to maxPipeline quotes without waiting
//	* execute      runs until each quote has an outcome or the time is over
//	  * send       for all masters at once: finds out which process it is,
//	               then runs one pipeline of EVALSHA, each for quotes of one symbol
//	  * settle     reads the answers and decides which quotes may be sent again
func (p *Publisher) Run(ctx context.Context) error {
	if p.started.Swap(true) {
		return errors.New("feed: Publisher.Run called twice")
	}
	p.masters = openMasters(p.cfg.Redis, p.cfg.Timeout, p.cfg.Replicated)
	defer p.masters.close()
	if p.cfg.Replicated {
		var warning sync.WaitGroup
		defer warning.Wait()
		warning.Go(func() { p.warnWithoutReplica(ctx) })
	}
	defer p.settleWaits()
	defer close(p.stopped)
	var next *publishJob
	for p.ready(ctx, &next) {
		var jobs []*publishJob
		jobs, next = p.take(next)
		if len(jobs) > 0 {
			p.execute(context.WithoutCancel(ctx), jobs)
		}
	}
	return nil // waiting Publish calls return errStopped
}

// ready waits until there is a next job, and takes the results of WAITs. It returns false when ctx
// ends.
func (p *Publisher) ready(ctx context.Context, next **publishJob) bool {
	for ctx.Err() == nil {
		select {
		case w := <-p.waited: // first, since callers wait for it
			p.settleWait(w)
			continue
		default:
		}
		if *next != nil {
			return true
		}
		select {
		case *next = <-p.queue:
		case w := <-p.waited:
			p.settleWait(w)
		case <-ctx.Done():
		}
	}
	return false
}

// settleWaits waits for the replicas of all accepted quotes.
func (p *Publisher) settleWaits() {
	for p.unreplicated > 0 {
		p.settleWait(<-p.waited)
	}
}

// take takes first and further queued jobs as long as they fit in one pipeline. next is the job
// that did not fit.
func (p *Publisher) take(first *publishJob) (jobs []*publishJob, next *publishJob) {
	size := 0
	for j := first; ; {
		if size+len(j.quotes) > maxPipeline {
			return jobs, j
		}
		n := int64(len(j.quotes))
		p.waiting.Add(-n)
		p.room.Release(n)
		switch {
		case !j.taken.CompareAndSwap(false, true): // its caller gave up
		case time.Now().After(j.deadline): // its caller is busy with an earlier job
			j.outcomes, j.err = make([]Outcome, len(j.quotes)), p.waitedTooLong()
			close(j.done)
		default:
			jobs = append(jobs, j)
			size += len(j.quotes)
		}
		select {
		case j = <-p.queue:
		default:
			return jobs, nil
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
