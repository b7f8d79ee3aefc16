package accept

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/semaphore"
)

// lane is a queue of quotes and the goroutine that sends them. There is one, or in a cluster one for
// each master: see router.
type lane struct {
	*Publisher

	room    *semaphore.Weighted   // room for further quotes in the queue
	queue   chan *publishJob      // never full: a job has at least one quote
	waiting atomic.Int64          // quotes in the queue
	failed  atomic.Pointer[error] // why the newest round trips published nothing; nil = they did
	stopped chan struct{}         // closed when run has ended

	// Owned by run.
	masters *masters
	keys    map[feed.Symbol]*symbolKeys // at most maxKeys

	// Owned by run, and used with Replicated only.
	waited       chan *written // WAITs that have ended
	unanswered   []*master     // with quotes that wait for a replica
	unreplicated int           // accepted quotes that wait for a replica
}

func newLane(p *Publisher) *lane {
	return &lane{
		Publisher: p,
		room:      semaphore.NewWeighted(maxPublishQueue),
		queue:     make(chan *publishJob, maxPublishQueue),
		stopped:   make(chan struct{}),
		keys:      map[feed.Symbol]*symbolKeys{},
		waited:    make(chan *written),
	}
}

// maxKeys bounds the symbols whose keys a lane remembers.
const maxKeys = 4096

// run sends quotes until ctx ends.
func (l *lane) run(ctx context.Context, cluster redis.UniversalClient) {
	l.masters = openMasters(l.cfg, cluster)
	defer l.masters.close()
	defer l.settleWaits()
	defer close(l.stopped)
	var next *publishJob
	for l.ready(ctx, &next) {
		var jobs []*publishJob
		jobs, next = l.take(next)
		if len(jobs) > 0 {
			l.execute(context.WithoutCancel(ctx), jobs)
		}
	}
}

// fill queues the quotes of a group that are not queued yet. With wait it waits for room, else it
// stops where there is none.
func (l *lane) fill(ctx context.Context, g *group, waits bool, deadline time.Time, wait bool) {
	for len(g.quotes) > 0 && g.err == nil {
		n := min(len(g.quotes), maxPipeline)
		j := &publishJob{quotes: g.quotes[:n], index: g.index[:n], waits: waits, deadline: deadline, done: make(chan struct{})}
		if !l.room.TryAcquire(int64(n)) {
			if !wait {
				return
			}
			g.err = l.awaitRoom(ctx, j)
		}
		if g.err == nil {
			g.err = l.enqueue(j)
		}
		if g.err != nil {
			l.router.leave(g.quotes)
			return
		}
		g.jobs = append(g.jobs, j)
		g.quotes, g.index = g.quotes[n:], g.index[n:]
	}
}

// awaitRoom waits for room in the queue.
func (l *lane) awaitRoom(ctx context.Context, j *publishJob) error {
	wait, cancel := context.WithDeadline(ctx, j.deadline)
	defer cancel()
	err := l.room.Acquire(wait, int64(len(j.quotes)))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: not published: %d quotes are already waiting", redislink.ErrUnavailable, l.waiting.Load())
}

// enqueue puts j, for which there is room, into the queue.
func (l *lane) enqueue(j *publishJob) error {
	n := int64(len(j.quotes))
	if isClosed(l.stopped) {
		l.room.Release(n)
		return errStopped
	}
	l.waiting.Add(n)
	l.queue <- j
	return nil
}

var errStopped = fmt.Errorf("%w: not published: the publisher has stopped", redislink.ErrUnavailable)

// await waits for j to be done. If ctx or the deadline ends the wait before j was taken off the
// queue, j is never executed.
func (l *lane) await(ctx context.Context, j *publishJob) error {
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
	case <-l.stopped:
	case <-timeout.C:
	}
	if j.taken.CompareAndSwap(false, true) {
		if isClosed(l.stopped) {
			return errStopped
		}
		return l.waitedTooLong()
	}
	select { // taken: execute bounds its own time
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w for %d quotes: %w", redislink.ErrUnavailable, ErrOutcomeUnknown, len(j.quotes), ctx.Err())
	}
}

func (l *lane) waitedTooLong() error {
	doing := fmt.Sprintf("not published: waited %v for Redis to take earlier quotes", l.cfg.Timeout)
	if why := l.failed.Load(); why != nil {
		return redislink.Unavailable(doing, *why)
	}
	return fmt.Errorf("%w: %s", redislink.ErrUnavailable, doing)
}

// ready waits until there is a next job, and takes the results of WAITs. It returns false when ctx
// ends.
func (l *lane) ready(ctx context.Context, next **publishJob) bool {
	for ctx.Err() == nil {
		select {
		case w := <-l.waited: // first, since callers wait for it
			l.settleWait(w)
			continue
		default:
		}
		if *next != nil {
			return true
		}
		select {
		case *next = <-l.queue:
		case w := <-l.waited:
			l.settleWait(w)
		case <-ctx.Done():
		}
	}
	return false
}

// settleWaits waits for the replicas of all accepted quotes.
func (l *lane) settleWaits() {
	for l.unreplicated > 0 {
		l.settleWait(<-l.waited)
	}
}

// take takes first and further queued jobs as long as they fit in one pipeline. next is the job
// that did not fit.
func (l *lane) take(first *publishJob) (jobs []*publishJob, next *publishJob) {
	size := 0
	for j := first; ; {
		if size+len(j.quotes) > maxPipeline {
			return jobs, j
		}
		n := int64(len(j.quotes))
		l.waiting.Add(-n)
		l.room.Release(n)
		switch {
		case !j.taken.CompareAndSwap(false, true): // its caller gave up
			l.router.leave(j.quotes)
		case time.Now().After(j.deadline): // its caller is busy with an earlier job
			j.outcomes, j.err = make([]Outcome, len(j.quotes)), l.waitedTooLong()
			l.router.leave(j.quotes)
			close(j.done)
		default:
			jobs = append(jobs, j)
			size += len(j.quotes)
		}
		select {
		case j = <-l.queue:
		default:
			return jobs, nil
		}
	}
}
