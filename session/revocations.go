package session

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

const maxRevoked = 100_000 // ids kept

// revocationLife returns how long to keep a revoked id. No session lives longer, unless another
// program set its absolute expiry.
func (m *Manager) revocationLife() time.Duration { return m.cfg.AbsoluteTTL }

// sawRevoked ends the bindings of revoked sessions and keeps the ids.
func (m *Manager) sawRevoked(ids []string, keep time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if ValidID(id) {
			m.addRevocationLocked(id, keep)
			m.endLocked(id, Cause{Reason: Revoked})
		}
	}
}

func (m *Manager) sawRenewed(r renewal, keep time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addRevocationLocked(r.from, keep)
	m.followLocked(r)
}

// addRevocationLocked keeps id as revoked. If there are too many ids, it drops outdated ones first,
// and then any. m.mu is held.
func (m *Manager) addRevocationLocked(id string, keep time.Duration) {
	now := time.Now()
	if _, known := m.revoked[id]; !known && len(m.revoked) >= maxRevoked {
		maps.DeleteFunc(m.revoked, func(_ string, until time.Time) bool { return now.After(until) })
		for old := range m.revoked {
			if len(m.revoked) < maxRevoked*9/10 { // makes room for many, so that the next id need not search again
				break
			}
			delete(m.revoked, old)
			m.metrics.forgotten.Inc()
		}
	}
	m.revoked[id] = now.Add(keep)
}

// isRevoked reports whether id was revoked. Redis may have it again: a master that takes over lacks
// the last writes of the one before.
func (m *Manager) isRevoked(id string) bool {
	if !m.running.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.revoked[id]
	return ok && time.Now().Before(until)
}

const mastersEvery = time.Second // between looks at the masters

// failovers looks for masters that have changed, until ctx ends. Replication is asynchronous, so a
// new master may have a session that was revoked on the old one. In a cluster the control channel
// shows that for one part only.
func (m *Manager) failovers(ctx context.Context) {
	processes := redislink.NewProcesses(m.rdb)
	for first := true; first || redislink.Sleep(ctx, mastersEvery); first = false {
		if changed, _ := processes.Look(ctx); changed {
			m.mu.Lock()
			m.doubts++
			m.mu.Unlock()
			wake(m.wakeCheck)
		}
	}
}

// revokeAgain deletes the sessions of the kept ids after Redis was lost or a master has changed.
func (m *Manager) revokeAgain(ctx context.Context) {
	m.mu.Lock()
	doubts := m.doubts
	again := doubts != m.settled
	now := time.Now()
	maps.DeleteFunc(m.revoked, func(_ string, until time.Time) bool { return again && now.After(until) })
	var ids []string
	if again {
		ids = slices.Collect(maps.Keys(m.revoked))
	}
	m.mu.Unlock()
	if !again {
		return
	}
	for batch := range slices.Chunk(ids, readBatch) {
		results, err := m.scriptEach(ctx, revokeScript, batch, func(int) []any { return []any{"", 0} })
		if err != nil {
			return // the doubt stays, so the next tick tries again
		}
		var back []string
		for i, r := range results {
			answer, err := r.Slice()
			if err != nil || len(answer) != 2 {
				return
			}
			if answer[0] == int64(1) {
				back = append(back, batch[i])
			}
		}
		if len(back) > 0 {
			m.metrics.rebuked.Add(float64(len(back)))
			m.log.Warn("session: redis came back with revoked sessions; they were deleted again", "count", len(back))
			m.notify(ctx, notice{Type: noticeRevoked, IDs: back})
		}
	}
	m.mu.Lock()
	m.settled = doubts
	m.mu.Unlock()
}
