package hub

import (
	"sync"

	"github.com/fxcast/fxcast/protocol"
)

// A mailbox is the only part of a shard that other goroutines may touch. Its contents are bounded:
// a topic is in changed at most once, a client in ready at most once. A client has at most one task
// under way and one to end it, and relayed messages are counted.
type mailbox struct {
	mu      sync.Mutex // guards the fields below and the guarded fields of shardTopic
	changed []*shardTopic
	tasks   []func()
	relays  int // tasks that relay a message
	ready   []*Client
	awake   bool // run will check the mailbox without being woken
	wake    chan struct{}
}

// post wakes run. The caller holds mail.mu, and post releases it.
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

// do queues a task for the shard. Tasks of one caller run in order.
func (s *shard) do(task func()) {
	s.mail.mu.Lock()
	s.mail.tasks = append(s.mail.tasks, task)
	s.post()
}

func (s *shard) publish(p *shardTopic, t *tick) {
	s.mail.mu.Lock()
	switch n := len(p.next); {
	case n == allTicks:
		clear(p.next)
		p.next, p.overflowed = append(p.next[:0], t), true
	case n == 0 || p.wantsAll:
		p.next = append(p.next, t)
	default:
		p.next[n-1] = t
		if p.wanted {
			s.stats.replaced.Add(1)
		}
	}
	p.dropped = false
	if protocol.IsGap(t.body) {
		p.nextJump = jump{t.epoch, t.seq}
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
	p.dropLocked()
	s.changedLocked(p)
}

func (s *shard) follow(p *shardTopic, following bool) {
	s.mail.mu.Lock()
	p.nextFollow = &following
	if !following {
		p.dropLocked()
		p.next, p.cleared = p.next[:0], true
	}
	s.changedLocked(p)
}

// dropLocked forgets the value of a topic. A client that wants every tick still gets those that
// came before.
func (p *shardTopic) dropLocked() {
	p.dropped = true
	if !p.wantsAll {
		p.next = p.next[:0]
	}
}

// changedLocked queues p unless it has no subscription: then the newest tick stays in the
// shardTopic until listen collects it. The caller holds mail.mu, and changedLocked releases it.
func (s *shard) changedLocked(p *shardTopic) {
	if p.queued || !p.wanted {
		s.mail.mu.Unlock()
		return
	}
	p.queued = true
	s.mail.changed = append(s.mail.changed, p)
	s.post()
}

// postRelay queues a relayed message, or drops it if the shard is far behind.
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

// rest reports whether there is mail; if not, the next post wakes run.
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
	s.readClock()
	for i, task := range s.tasks {
		task()
		s.tasks[i] = nil
	}
	for i, c := range s.ready {
		s.ready[i] = nil
		c.blocked = false
		if c.audience != nil && c.audience.limited != nil {
			s.catchUp(c)
		}
		if c.hasPending() {
			s.wantWrite(c)
		}
	}
}
