package accept

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
)

const (
	streakLogged = 10          // refused quotes in a row before a streak is logged
	streakEvery  = time.Minute // shortest time between log lines about one source; a longer pause ends a streak
	maxStreaks   = 256         // sources remembered; producers choose their names
)

// streaks finds sources of which every quote is refused and logs them. It is safe for concurrent
// use.
type streaks struct {
	log  *slog.Logger
	some atomic.Bool // sources is not empty; otherwise accepted can return at once

	mu      sync.Mutex // guards sources
	sources map[streakKey]*streak
}

type streakKey struct {
	source string
	via    Via
}

// streak counts the refused quotes of a source since its last accepted one.
type streak struct {
	refused              int
	since, last, written time.Time
}

func newStreaks(logger *slog.Logger) *streaks {
	return &streaks{log: logger, sources: map[streakKey]*streak{}}
}

// refused notes a refused quote. Outranked quotes do not count: their source only waits for a
// better one to fall silent.
func (s *streaks) refused(r *feed.Rejection, source string, via Via) {
	if r.Reason == feed.ReasonOutranked {
		return
	}
	now, key := time.Now(), streakKey{source, via}
	s.mu.Lock()
	one := s.sources[key]
	if one == nil || now.Sub(one.last) > streakEvery {
		if len(s.sources) >= maxStreaks {
			clear(s.sources)
		}
		one = &streak{since: now}
		s.sources[key] = one
		s.some.Store(true)
	}
	one.refused++
	one.last = now
	due := one.refused >= streakLogged && now.Sub(one.written) >= streakEvery
	if due {
		one.written = now
	}
	refused, since := one.refused, one.since
	s.mu.Unlock()
	if due {
		s.log.Warn("every quote of a source is refused", "source", source, "via", via, "refused", refused,
			"for", now.Sub(since).Round(time.Second), "reason", r.Reason, "message", r.Message)
	}
}

// accepted ends the streak of a source.
func (s *streaks) accepted(source string, via Via) {
	if !s.some.Load() {
		return
	}
	key := streakKey{source, via}
	s.mu.Lock()
	one := s.sources[key]
	delete(s.sources, key)
	if len(s.sources) == 0 {
		s.some.Store(false)
	}
	s.mu.Unlock()
	if one != nil && !one.written.IsZero() {
		s.log.Info("quotes of a source are accepted again", "source", source, "via", via, "refused", one.refused)
	}
}
