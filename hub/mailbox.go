package hub

import (
	"sync"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A mailbox is all that others may touch of a shard. What it holds is bounded:
// a topic stands in changed once, a connection in ready once, a client has one
// task under way and one to end it, and relayed messages are counted.
type mailbox struct {
	mu      sync.Mutex // guards what follows and the guarded fields of the topics
	changed []*shardTopic
	tasks   []func()
	relays  int // of the tasks
	ready   []*Client
	awake   bool // run will look again without being woken
	wake    chan struct{}
}

// post wakes run; the caller holds mail.mu, which post releases.
func (s *shard) post() {
	asleep := !s.mail.awake
	s.mail.awake = true
	s.mail.mu.Unlock()
	if asleep {
		select {
		case s.mail.wake <- struct{}{}:
		default:
		}
	}
}

// do leaves a task. Tasks of one caller run in order.
func (s *shard) do(task func()) {
	s.mail.mu.Lock()
	s.mail.tasks = append(s.mail.tasks, task)
	s.post()
}

func (s *shard) publish(p *shardTopic, t *tick) {
	s.mail.mu.Lock()
	if p.next != nil && p.wanted {
		s.stats.replaced.Add(1)
	}
	p.next = t
	if protocol.IsGap(t.body) {
		p.nextJump = jump{t.epoch, t.seq}
	}
	if p.wantsAll {
		if len(p.all) == allTicks {
			p.all, p.overflowed = nil, true
		}
		p.all = append(p.all, t)
	}
	s.changedLocked(p)
}

func (s *shard) setStatus(p *shardTopic, c *statusChange) {
	s.mail.mu.Lock()
	p.nextStatus = c
	s.changedLocked(p)
}

func (s *shard) drop(p *shardTopic) {
	s.mail.mu.Lock()
	p.next, p.dropped = nil, true
	s.changedLocked(p)
}

func (s *shard) follow(p *shardTopic, following bool) {
	s.mail.mu.Lock()
	p.nextFollow = &following
	if !following {
		p.next, p.dropped = nil, true
	}
	s.changedLocked(p)
}

// changedLocked queues p, but not where nobody listens: there the newest just
// stays in the shardTopic until listen fetches it. It releases mail.mu.
func (s *shard) changedLocked(p *shardTopic) {
	if p.queued || !p.wanted {
		s.mail.mu.Unlock()
		return
	}
	p.queued = true
	s.mail.changed = append(s.mail.changed, p)
	s.post()
}

// post a relayed message, or drop it where the shard is far behind.
func (s *shard) postRelay(channel string, data []byte) {
	s.mail.mu.Lock()
	if s.mail.relays == relayTasks {
		s.mail.mu.Unlock()
		s.stats.relayDropped.Add(1)
		return
	}
	s.mail.relays++
	s.mail.tasks = append(s.mail.tasks, func() { s.relay(channel, data) })
	s.post()
}

// rest reports whether there is mail; if not, the next letter wakes run.
func (s *shard) rest() (mail bool) {
	s.mail.mu.Lock()
	defer s.mail.mu.Unlock()
	mail = len(s.mail.changed)+len(s.mail.tasks)+len(s.mail.ready) > 0
	s.mail.awake = mail
	return mail
}

func (s *shard) takeTasks() {
	s.mail.mu.Lock()
	s.tasks, s.mail.tasks = s.mail.tasks, s.tasks[:0]
	s.ready, s.mail.ready = s.mail.ready, s.ready[:0]
	s.mail.relays = 0
	s.mail.mu.Unlock()
	s.wall = time.Now()
	for i, task := range s.tasks {
		task()
		s.tasks[i] = nil
	}
	for i, c := range s.ready {
		s.ready[i] = nil
		c.blocked = false
		if c.hasPending() {
			s.wantWrite(c)
		}
	}
}
