package accept

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// With PublisherConfig.Replicated an accepted quote is answered when a replica has it. Quotes are
// written over one of two connections of a master. Meanwhile WAIT holds up the other one, and
// covers all that was written over it before. So a slow replica delays answers, but no quotes, and
// all quotes that are written during one WAIT share the next one.
const (
	replicaWait  = time.Second            // how long an accepted quote waits for a replica
	shortestWait = 250 * time.Millisecond // of the quotes that an earlier WAIT has kept waiting
	replicaLook  = 500 * time.Millisecond // how often a master without replicas is asked for them

	// Accepted quotes that wait for a replica. Further ones are Unreplicated at once.
	maxUnreplicated = 8 * maxPublishQueue
)

// replicas is what is known of the replicas of a master, and which quotes wait for one. It is owned
// by the round trip under way.
type replicas struct {
	none    bool // there is none that is online
	doubt   bool // look again with the next quotes
	looked  time.Time
	lacking time.Time // since when accepted quotes are not replicated; zero if they are

	written *written // over the connection for quotes; nil if nothing was
	waiting bool     // WAIT holds up the other connection
}

// written is accepted quotes that one WAIT covers.
type written struct {
	to     *master
	over   *connection
	run    string // of the process that has them
	opened int64  // which opening of the connection carried the last one
	since  time.Time
	quotes []pending
	jobs   []*publishJob // of the quotes

	replicated bool
	took       time.Duration // the WAIT
	err        error         // why it failed
}

// look reads whether the master has a replica that is online. A server that does not report it is
// taken to have one.
func (r *replicas) look(info *redis.StringCmd) {
	r.looked, r.doubt = time.Now(), false
	text, err := info.Result()
	r.none = err == nil && strings.Contains(text, "connected_slaves:") && !hasReplica(text)
}

// hasReplica reports whether the text of INFO replication lists a replica that is online.
func hasReplica(info string) bool {
	for line := range strings.Lines(info) {
		if strings.HasPrefix(line, "slave") && strings.Contains(line, "state=online") {
			return true
		}
	}
	return false
}

// due reports whether the next quotes should ask for the replicas.
func (r *replicas) due() bool {
	return r != nil && (r.doubt || r.none) && time.Since(r.looked) >= replicaLook
}

// wrote notes that t has accepted a quote.
func (l *lane) wrote(t *trip, e pending) {
	if l.unreplicated == maxUnreplicated {
		e.setUnreplicated()
		l.metrics.unreplicated.Inc()
		return
	}
	r := t.to.replicas
	run, opened := *t.over.run.Load(), t.over.opened.Load()
	if w := r.written; w != nil && w.run != run {
		l.answered(w) // by a process that is gone
		r.written = nil
	}
	if r.written == nil {
		r.written = &written{to: t.to, over: t.over, run: run, since: time.Now()}
		l.unanswered = append(l.unanswered, t.to)
	}
	w := r.written
	w.over, w.opened = t.over, opened
	w.quotes = append(w.quotes, e)
	if e.job.waits && !slices.Contains(w.jobs, e.job) {
		w.jobs = append(w.jobs, e.job)
		e.job.unanswered++
	}
	l.unreplicated++
}

// replicate begins a WAIT for each master whose quotes wait for a replica, unless one is under way:
// then these quotes share the next one.
func (l *lane) replicate() {
	l.unanswered = slices.DeleteFunc(l.unanswered, func(m *master) bool {
		w := m.replicas.written
		switch {
		case w == nil:
			return true
		case m.replicas.none:
			m.replicas.written = nil
			l.answered(w)
			return true
		case m.replicas.waiting:
			return false
		}
		m.replicas.written, m.replicas.waiting = nil, true
		m.writes = 1 - m.writes
		go func() { w.wait(); l.waited <- w }()
		return true
	})
}

// wait sends WAIT over the connection that carried the quotes. Over any other it would not refer to
// them: the connection must be the same opening too.
func (w *written) wait() {
	left := max(replicaWait-time.Since(w.since), shortestWait)
	ctx, cancel := context.WithTimeout(context.Background(), left+redislink.OpTimeout)
	defer cancel()
	began := time.Now()
	client, ok := w.over.client.(interface {
		Wait(ctx context.Context, replicas int, timeout time.Duration) *redis.IntCmd
	})
	if !ok {
		return // another kind of client, which is not known to send WAIT over this connection
	}
	n, err := client.Wait(ctx, 1, left).Result()
	w.took, w.err = time.Since(began), err
	w.replicated = err == nil && n > 0 && w.over.opened.Load() == w.opened
}

// settleWait takes the result of a WAIT.
func (l *lane) settleWait(w *written) {
	r := w.to.replicas
	r.waiting = false
	if w.err != nil && redislink.Code(w.err) == "" {
		w.over.connected = false
	}
	if w.replicated {
		l.metrics.replication.Observe(w.took.Seconds())
	} else {
		r.doubt = true
	}
	l.answered(w)
	l.replicate()
}

// setUnreplicated is for a quote whose caller, if it waits for a replica, is not answered yet.
func (e pending) setUnreplicated() {
	if e.job.waits {
		e.job.outcomes[e.i].Unreplicated = true
	}
}

// answered ends the wait of quotes and of the jobs that waited for nothing else.
func (l *lane) answered(w *written) {
	l.unreplicated -= len(w.quotes)
	w.to.replicas.logChange(l.log, w)
	if !w.replicated {
		for _, e := range w.quotes {
			e.setUnreplicated()
		}
		l.metrics.unreplicated.Add(float64(len(w.quotes)))
	}
	for _, j := range w.jobs {
		j.unanswered--
		j.finish()
	}
}

// logChange logs the first quotes that no replica has, and the first that one has again.
func (r *replicas) logChange(log *slog.Logger, w *written) {
	switch {
	case !w.replicated && r.lacking.IsZero():
		r.lacking = time.Now()
		why := "no replica has confirmed them within 1 s"
		if r.none {
			why = "the master has no replica that is online"
		}
		log.Warn("accepted quotes are not replicated", "why", why, "err", w.err)
	case w.replicated && !r.lacking.IsZero():
		log.Info("accepted quotes are replicated again", "after", time.Since(r.lacking).Round(time.Millisecond))
		r.lacking = time.Time{}
	}
}

// warnWithoutReplica warns of each master that has no replica.
func (p *Publisher) warnWithoutReplica(ctx context.Context) {
	masters, err := redislink.TopologyOf(p.cfg.Redis).Masters(ctx)
	if err != nil {
		return // Redis cannot be reached, which others report
	}
	for _, m := range masters {
		var r replicas
		if r.look(m.Info(ctx, "replication")); r.none {
			p.log.Warn("PUBLISH_ACK=replicated, but this master has no replica: quotes are answered as unreplicated", "addr", m.Options().Addr)
		}
	}
}

// finish wakes the caller if every quote has its outcome.
func (j *publishJob) finish() {
	if j.settled && j.unanswered == 0 {
		close(j.done)
	}
}
