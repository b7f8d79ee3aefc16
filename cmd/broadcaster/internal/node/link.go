package node

import (
	"sync"

	"github.com/fxcast/fxcast/hub"
)

// A link is what clients are told of Redis, as one truth: it is degraded while
// quotes do not arrive or sessions can not be checked. The two notice an outage
// at different moments, and its end too; clients hear of each once.
type link struct {
	*hub.Hub // the rest of receive.Sink

	mu               sync.Mutex // guards what follows; telling the hub only queues
	quotes, sessions bool       // lost
}

// Degraded is told by the receiver of quotes.
func (l *link) Degraded(lost bool) { l.set(&l.quotes, lost) }

// sessionsDegraded is told by the sessions.
func (l *link) sessionsDegraded(lost bool) { l.set(&l.sessions, lost) }

func (l *link) set(part *bool, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.quotes || l.sessions
	*part = lost
	if now := l.quotes || l.sessions; now != before {
		l.Hub.Degraded(now) // while locked: the order of two must not change
	}
}
