package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	checkTick   = 500 * time.Millisecond
	checkEvery  = 3 * time.Second // between re-checks of all bound sessions; with a tick and a slow answer it stays under 5 s
	readEvery   = 20              // every 20th re-check reads the values, to see changes in place and to use the keys for LRU eviction
	lostAfter   = 3 * time.Second // Redis is lost after this time without an answer or probe
	unconfirmed = 10 * time.Second
	drift       = 1500 * time.Millisecond // another node or program changed a ttl that differs this much from the expected one
)

// check re-checks and extends bound sessions until ctx ends.
func (m *Manager) check(ctx context.Context) {
	tick := time.NewTicker(checkTick)
	defer tick.Stop()
	var last time.Time
	rounds := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.wakeCheck:
		}
		m.revokeAgain(ctx)
		m.mu.Lock()
		all := m.checkAll || time.Since(last) >= checkEvery
		m.checkAll = false
		ids := m.dueLocked(all)
		m.mu.Unlock()
		if all {
			last = time.Now()
			rounds++
		}
		if all && rounds%readEvery == 0 {
			m.reread(ctx, ids)
		} else {
			m.checkThese(ctx, ids)
		}
		if all {
			m.metrics.checkSeconds.Observe(time.Since(last).Seconds())
		}
		m.extendDue(ctx)
	}
}

// dueLocked returns the ids of the sessions to check: all, or those that are marked as due or
// should have expired. m.mu is held.
func (m *Manager) dueLocked(all bool) []string {
	var ids []string
	now := m.moment(time.Now())
	for id, e := range m.bound {
		if all || e.due || now >= e.expires {
			e.due = false
			ids = append(ids, id)
		}
	}
	return ids
}

// checkThese gets the remaining time of each session, and reads each session whose remaining time
// is not the expected one.
func (m *Manager) checkThese(ctx context.Context, ids []string) {
	var read []string
	for batch := range slices.Chunk(ids, checkBatch) {
		pipe := m.rdb.Pipeline()
		ttls := make([]*redis.DurationCmd, len(batch))
		for i, id := range batch {
			ttls[i] = pipe.PTTL(ctx, sessionKey(id))
		}
		_ = redislink.Exec(ctx, pipe) // each command has its own answer
		read = append(read, m.checked(batch, ttls)...)
	}
	m.reread(ctx, read)
}

// checked handles the answers of one batch and returns the ids to read.
func (m *Manager) checked(ids []string, ttls []*redis.DurationCmd) (read []string) {
	clock := time.Now()
	now := m.moment(clock)
	m.mu.Lock()
	defer m.mu.Unlock()
	answered := false
	for i, id := range ids {
		left, err := ttls[i].Result()
		if err != nil { // Redis is lost, or answers with an error such as LOADING
			m.metrics.checks[checkFailed].Inc()
			if e := m.bound[id]; e != nil {
				e.due = true
			}
			continue
		}
		answered = true
		e := m.bound[id]
		switch {
		case e == nil: // the last binding was closed meanwhile
		case left == -2:
			m.metrics.checks[checkGone].Inc()
			m.goneLocked(id, e, now)
		case left < 0 || (left-e.expires.since(now)).Abs() > drift:
			read = append(read, id)
		default:
			m.metrics.checks[checkAlive].Inc()
			e.verified, e.expires = now, now.add(left)
		}
	}
	if answered {
		m.answered.Store(&clock)
	}
	return read
}

// goneLocked ends the bindings of a session whose key does not exist: as expired if its time was
// up, else as revoked. m.mu is held.
func (m *Manager) goneLocked(id string, e *bound, now moment) {
	if now < e.expires.add(-drift) {
		m.endLocked(id, Cause{Reason: Revoked})
		return
	}
	m.endLocked(id, Cause{Reason: Expired})
}

// reread reads sessions that another node or program may have extended, renewed, given another role
// or damaged.
func (m *Manager) reread(ctx context.Context, ids []string) {
	for batch := range slices.Chunk(ids, readBatch) {
		all, err := m.readAll(ctx, batch)
		if err != nil {
			m.metrics.checks[checkFailed].Add(float64(len(batch)))
			m.markDue(batch...)
			continue
		}
		for i, r := range all {
			if r.err == nil && !r.session.complete() {
				r.session, r.err = m.load(ctx, batch[i])
			}
			m.sawReading(batch[i], r)
		}
	}
}

func (m *Manager) sawReading(id string, r reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.bound[id]
	if e == nil {
		return
	}
	switch {
	case r.movedTo != "":
		m.followLocked(renewal{from: id, to: r.movedTo})
	case errors.Is(r.err, ErrNotFound):
		m.metrics.checks[checkGone].Inc()
		m.goneLocked(id, e, m.moment(time.Now()))
	case errors.Is(r.err, ErrCorrupt):
		m.metrics.loads[loadCorrupt].Inc()
		m.endLocked(id, Cause{Reason: Revoked})
	case r.err != nil:
		m.metrics.checks[checkFailed].Inc()
		e.due = true
	case r.session.Role != e.role || r.session.UserID != e.user:
		// Another program changed the user or role in place.
		m.endLocked(id, Cause{Reason: Renewed, Next: r.session})
	default:
		m.metrics.checks[checkAlive].Inc()
		m.sawLocked(e, &r.session)
	}
}

func (m *Manager) markDue(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if e := m.bound[id]; e != nil {
			e.due = true
		}
	}
}

// extendDue extends the bound sessions whose last extension, as this node knows it, was a third of
// their ttl ago. Reading them shows extensions by other nodes.
func (m *Manager) extendDue(ctx context.Context) {
	if !m.cfg.AutoExtend {
		return
	}
	var ids []string
	now := m.moment(time.Now())
	m.mu.Lock()
	for id, e := range m.bound {
		if e.extensionDue(now) {
			e.tried = now
			ids = append(ids, id)
		}
	}
	m.mu.Unlock()
	for batch := range slices.Chunk(ids, readBatch) {
		m.extendBatch(ctx, batch)
	}
}

// extensionDue reports whether an extension seems due by the last known state. The caller must read
// the session to decide.
func (e *bound) extensionDue(now moment) bool {
	if now.since(e.extended) < e.ttl/3 || now.since(e.tried) < min(checkEvery, e.ttl/6) {
		return false
	}
	gain := min(e.ttl, e.ends.since(now)) - e.expires.since(now)
	return gain >= min(time.Second, e.ttl/3)
}

func (m *Manager) extendBatch(ctx context.Context, ids []string) {
	all, err := m.readAll(ctx, ids)
	if err != nil {
		return // the next re-check tries again
	}
	var due []Session
	var values []string
	for i, r := range all {
		if r.err == nil && r.session.complete() && r.session.ExtensionDue() {
			m.fill(&r.session)
			if value, err := r.session.extension(); err == nil {
				due, values = append(due, r.session), append(values, value)
				continue
			}
		}
		m.sawReading(ids[i], r)
	}
	if len(due) == 0 {
		return
	}
	ids = make([]string, len(due))
	for i := range due {
		ids[i] = due[i].ID
	}
	answers, err := m.scriptEach(ctx, writeScript, ids, func(i int) []any { return due[i].writeArgs(values[i], due[i].TTL) })
	if err != nil {
		return
	}
	var guests guestMoves
	for i, a := range answers {
		r, err := a.Int64Slice()
		if err != nil {
			continue
		}
		if r[0] != written {
			m.markDue(ids[i])
			continue
		}
		m.metrics.extended.Inc()
		was := due[i].ExpiresAt
		due[i].wrote(r, values[i])
		guests.add(&due[i], was)
		m.sawReading(ids[i], reading{session: due[i]})
		m.mu.Lock()
		if e := m.bound[ids[i]]; e != nil {
			e.extended = m.moment(due[i].readAt) // even if Redis was full, so that the value has an older time
		}
		m.mu.Unlock()
	}
	m.extendGuests(ctx, guests)
}
