package session

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// GuestRole is the role of guests: sessions that anyone may get.
//
// What belongs to a guest in Redis ends with the guest, the index of its user included. Its lifetime
// is shorter than that of users, so a full Redis with the policy volatile-ttl evicts guests first.
const GuestRole = "guest"

// ErrTooManyGuests means that Config.GuestMax guests exist.
var ErrTooManyGuests = errors.New("session: too many guests")

// guestsKey counts guests by the minute in which they end. It does not expire, so a full Redis does
// not forget the count. A guest that signs out counts until its session would have expired.
const guestsKey = "session:guests"

// admitGuest counts a guest that is about to be created, or returns ErrTooManyGuests. The count is of
// all nodes.
func (m *Manager) admitGuest(ctx context.Context, life time.Duration) error {
	r, err := guestsScript.Run(ctx, m.rdb, []string{guestsKey}, m.cfg.GuestMax, life.Milliseconds()).Int64Slice()
	if err != nil {
		return redislink.Unavailable("count guests", err)
	}
	m.metrics.guests.Set(float64(r[1]))
	if r[0] == 0 {
		m.metrics.guestsRefused.Inc()
		return ErrTooManyGuests
	}
	return nil
}

// guestMoves collects guests whose end has moved: by minute, how many more of them end in it.
type guestMoves struct {
	sessions []*Session
	minutes  map[int64]int64
}

// add notes a session that was extended or renewed, and ended at the time was before.
func (g *guestMoves) add(s *Session, was time.Time) {
	if s.Role != GuestRole {
		return
	}
	if g.minutes == nil {
		g.minutes = make(map[int64]int64)
	}
	g.sessions = append(g.sessions, s)
	g.minutes[was.Unix()/60]--
	g.minutes[s.ExpiresAt.Unix()/60]++
}

// extendGuests makes the count and the indexes of guests follow their sessions. A failure is only
// logged: the next extension adds a guest to its index again, and the count is off for one lifetime.
func (m *Manager) extendGuests(ctx context.Context, g guestMoves) {
	if len(g.sessions) == 0 {
		return
	}
	pipe := m.rdb.Pipeline()
	for minute, n := range g.minutes {
		if n != 0 {
			pipe.HIncrBy(ctx, guestsKey, strconv.FormatInt(minute, 10), n)
		}
	}
	if err := redislink.Exec(ctx, pipe); err != nil {
		m.log.Warn("session: count of guests not updated", "err", err)
	}
	users := make([]string, len(g.sessions))
	for i, s := range g.sessions {
		users[i] = userKey(s.UserID)
	}
	_, err := m.scriptEachKey(ctx, indexScript, users, func(i int) []any {
		s := g.sessions[i]
		return []any{s.ID, m.indexLife(s.Role, s.TTL).Milliseconds()}
	})
	if err != nil {
		m.log.Warn("session: indexes of guests not extended", "err", err)
	}
}
