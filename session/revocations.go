package session

import (
	"context"
	"maps"
	"slices"
	"time"
)

const maxRevoked = 100_000 // ids kept

// revocationLife is how long a revoked id is kept: no session lives longer, unless another program gave
// it an absolute expiry of its own.
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

// addRevocationLocked keeps id as revoked. When too many are kept, outdated ones go first, then any. m.mu is held.
func (m *Manager) addRevocationLocked(id string, keep time.Duration) {
	now := time.Now()
	if _, known := m.revoked[id]; !known && len(m.revoked) >= maxRevoked {
		maps.DeleteFunc(m.revoked, func(_ string, until time.Time) bool { return now.After(until) })
		for old := range m.revoked {
			if len(m.revoked) < maxRevoked*9/10 { // some room, so that the next one need not look again
				break
			}
			delete(m.revoked, old)
			m.metrics.forgotten.Inc()
		}
	}
	m.revoked[id] = now.Add(keep)
}

// isRevoked reports whether id was seen revoked and Redis, lost since, may have forgotten that.
func (m *Manager) isRevoked(id string) bool {
	if !m.running.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.revoked[id]
	return ok && (m.reRevoke || !m.listening.Load()) && time.Now().Before(until)
}

// revokeAgain deletes the kept ids after Redis was lost.
func (m *Manager) revokeAgain(ctx context.Context) {
	m.mu.Lock()
	again := m.reRevoke
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
			return // reRevoke stays set: tried at the next tick
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
			m.log.Warn("session: redis came back with revoked sessions, deleted again", "count", len(back))
			m.notify(ctx, notice{Type: noticeRevoked, IDs: back})
		}
	}
	m.mu.Lock()
	m.reRevoke = false
	m.mu.Unlock()
}
