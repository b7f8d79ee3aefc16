// Package accept takes quotes in: one atomic script gives each quote of a symbol
// its number, keeps it and publishes it.
//
// When Redis fails: a Publisher fails in bounded time and doubles nothing. The
// Inbox stops when it may have lost its lease.
package accept

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/semaphore"
)

// ErrOutcomeUnknown is wrapped too, with redislink.ErrUnavailable, where quotes were on
// their way when the connection failed: they may have been accepted, and
// publishing them again may double them.
var ErrOutcomeUnknown = errors.New("feed: outcome unknown")

const (
	maxPipeline      = 256  // quotes of one round trip
	maxPublishQueue  = 8192 // quotes that wait
	symbolsRefresh   = time.Minute
	publishRetryWait = 50 * time.Millisecond
)

// PublisherConfig configures NewPublisher. Redis is required.
type PublisherConfig struct {
	// Redis is used for its options: a Publisher opens one connection of its
	// own to each master, which never repeats a command by itself. A client that
	// is neither a *redis.Client nor a *redis.ClusterClient is used as it is, must
	// have been opened with MaxRetries -1, and a failover is then only noticed by
	// lost keys or by a counter that went back.
	Redis redis.UniversalClient
	Keys  feed.Keys

	QuoteTTL     time.Duration // how long the last value is current; 0 = 60 s
	HistoryTicks int           // quotes kept per symbol; 0 = 1000, negative = only the last known one

	// Priorities of sources, the same on all nodes; they must pass Check. The
	// zero value takes all sources alike and costs nothing.
	Priorities feed.Priorities

	// Gate refuses prices that cannot be right, by the limits of Instruments; the same
	// on all nodes. The zero value takes any price.
	Gate Gate
	// Instruments says which symbols there are; nil = the table without settings.
	Instruments *feed.Instruments

	// Timeout bounds how long a call's quotes wait in the queue and, again, the
	// round trip with its retries; 0 = 2 s.
	Timeout time.Duration

	// Known tells the newest sequence number this node has received of a
	// symbol and when it was accepted (Board.Last), so that a counter which
	// went back is noticed. May be nil.
	Known func(feed.Symbol) (epoch string, seq uint64, at int64)

	Registerer prometheus.Registerer // may be nil
	Logger     *slog.Logger          // nil = slog.DiscardHandler
}

// Publisher publishes quotes through Redis, many in one round trip: while one
// is under way the next gathers. It may be used by many goroutines; Run must
// be running.
//
// A quote is accepted by one atomic script or not at all. When Redis is slow,
// full or gone, Publish fails with redislink.ErrUnavailable in bounded time. Only what
// Redis has certainly not executed is sent again: nothing is doubled.
type Publisher struct {
	cfg     PublisherConfig
	log     *slog.Logger
	metrics *publisherMetrics
	rules   rules // of cfg

	room    *semaphore.Weighted // quotes that may still be queued
	queue   chan *publishJob    // never full: a job has at least one quote
	waiting atomic.Int64        // quotes queued
	started atomic.Bool
	stopped chan struct{} // closed when Run has ended

	// Owned by Run.
	masters *masters
	seen    map[feed.Symbol]lastSeen
	listed  map[feed.Symbol]time.Time // when the symbol was last added to the set
}

// publishJob is up to maxPipeline quotes of one Publish call.
type publishJob struct {
	quotes   []feed.Quote
	outcomes []Outcome // written by Run until done is closed
	err      error     // as outcomes; the first failure
	deadline time.Time // to be taken off the queue
	taken    atomic.Bool
	done     chan struct{}
}

// NewPublisher returns a Publisher that works once Run is called.
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
		seen:    map[feed.Symbol]lastSeen{},
		listed:  map[feed.Symbol]time.Time{},
	}
	p.cfg.QuoteTTL = min(p.cfg.QuoteTTL, p.rules.gate.LastKnown)
	p.metrics = newPublisherMetrics(cfg.Registerer, func() float64 { return float64(p.Depth()) })
	return p
}

// Depth returns how many quotes wait to be published.
func (p *Publisher) Depth() int { return int(p.waiting.Load()) }

// Publish publishes quotes in their order and waits for the outcomes, one per
// quote in the same order. A rejected quote is an outcome, not an error.
//
// On an error, which wraps redislink.ErrUnavailable or is ctx's, some outcomes may not
// be Known. quotes must not be changed before Publish has returned.
func (p *Publisher) Publish(ctx context.Context, quotes []feed.Quote) ([]Outcome, error) {
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
		j := &publishJob{quotes: good[start:min(start+maxPipeline, len(good))], deadline: deadline, done: make(chan struct{})}
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
			return fmt.Errorf("%w: not published: %d quotes are waiting already", redislink.ErrUnavailable, p.Depth())
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

// await waits for j. If the wait ends before j was taken off the queue, j will
// not be executed.
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
	return fmt.Errorf("%w: not published: waited %v for Redis to take earlier quotes", redislink.ErrUnavailable, p.cfg.Timeout)
}

// Run publishes until ctx ends, then finishes the round trip under way and
// returns nil. What still waits is not published and its callers are told. Run
// may be called once.
//
//	Run            takes jobs off the queue                (1 goroutine)
//	* take         up to maxPipeline quotes, no waiting
//	* execute      until each quote has an outcome or the time is over
//	  * send       at once to each master: learn which process it is,
//	               then one pipeline of EVALSHA, each for quotes of one symbol
//	  * settle     read the answers, decide what may be sent again
func (p *Publisher) Run(ctx context.Context) error {
	if p.started.Swap(true) {
		return errors.New("feed: Publisher.Run called twice")
	}
	p.masters = openMasters(p.cfg.Redis, p.cfg.Timeout)
	defer p.masters.close()
	defer close(p.stopped)
	var next *publishJob
	for {
		if next == nil {
			select {
			case next = <-p.queue:
			case <-ctx.Done():
				return nil
			}
		}
		if ctx.Err() != nil {
			return nil // Publish tells whoever waits
		}
		var jobs []*publishJob
		jobs, next = p.take(next)
		if len(jobs) > 0 {
			p.execute(context.WithoutCancel(ctx), jobs)
		}
	}
}

// take takes first and what else is queued as far as it fits in one pipeline;
// next is the job that did not fit.
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
