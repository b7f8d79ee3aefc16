package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// A notice is a message between nodes. The package comment shows its forms.
type notice struct {
	Type  string          `json:"type"`
	Node  string          `json:"node"`
	ID    string          `json:"id,omitempty"`
	Kind  string          `json:"kind,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
	Fault string          `json:"fault,omitempty"`
}

// Run exchanges messages with other nodes until ctx ends. It then waits for the handlers
// that still run, sends "bye", and returns nil. A second call returns ErrRunning.
//
//	Run            reads the channels                      (1 goroutine)
//	* beat         publishes the heartbeat                 (1 goroutine)
//	* busy         answers a question                      (1 goroutine each, at most maxAnswers)
func (n *Nodes) Run(ctx context.Context) error {
	n.mu.Lock()
	running := n.running
	n.running = true
	n.mu.Unlock()
	if running {
		return ErrRunning
	}
	var parts sync.WaitGroup
	parts.Go(func() { n.beat(ctx) })
	_ = n.listener(ctx, &parts).Run(ctx) // always nil: only an optional listener fails
	parts.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = n.publish(last, n.channel(), notice{Type: "bye"}) // if it is lost, the missing heartbeats have the same effect
	return nil
}

// listener returns the listener that reads the channels. This node's own messages are the
// probe: if none comes back for 3 s, the listener opens a new connection.
func (n *Nodes) listener(ctx context.Context, parts *sync.WaitGroup) *redislink.Listener {
	return redislink.NewListener(redislink.ListenerConfig{
		Name: "messages of nodes", Client: n.cfg.Redis, Channels: []string{n.channel(), n.channelOf(n.cfg.Node)}, Logger: n.log,
		Message: func(_, payload string) (alive bool) { return n.receive(ctx, payload, parts) },
		Opened: func(c *redislink.Conn) error {
			c.Go(func(ctx context.Context) error {
				n.send(ctx, n.channel(), notice{Type: "hello"})
				return nil
			})
			return nil
		},
		Lost: func(error) { n.metrics.reconnects.Inc() },
	})
}

// beat publishes the heartbeat until ctx ends. In a second without one it sends a message to this
// node alone. The listener notices when neither comes back.
func (n *Nodes) beat(ctx context.Context) {
	for last := time.Now(); redislink.Sleep(ctx, beatEvery); {
		n.mu.Lock()
		n.forgetGone() // or the names of killed nodes would slow the heartbeat of the living
		interval := n.interval()
		n.mu.Unlock()
		now := time.Now()
		if now.Sub(last) < interval {
			n.send(ctx, n.channelOf(n.cfg.Node), notice{Type: "here"})
		} else if n.send(ctx, n.channel(), notice{Type: "here"}) {
			last = now
		}
	}
}

// send publishes a message and reports whether it did. A failure is only logged: the receivers
// notice the silence.
func (n *Nodes) send(ctx context.Context, channel string, m notice) bool {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	err := n.publish(ctx, channel, m)
	if err != nil && ctx.Err() == nil {
		n.log.Debug("nodes: message not sent", "type", m.Type, "err", err)
	}
	return err == nil
}

// receive handles one message without blocking. It reports whether this node sent it.
func (n *Nodes) receive(ctx context.Context, payload string, parts *sync.WaitGroup) (own bool) {
	var m notice
	if len(payload) > maxMessage || json.Unmarshal([]byte(payload), &m) != nil || m.Node == "" || len(m.Node) > maxName {
		n.metrics.invalid.Inc()
		return false
	}
	if m.Node == n.cfg.Node {
		return true
	}
	switch m.Type {
	case "here":
		n.seen(m.Node)
	case "hello":
		n.seen(m.Node)
		n.busy(parts, func() { n.send(ctx, n.channelOf(m.Node), notice{Type: "here"}) })
	case "bye":
		n.mu.Lock()
		delete(n.lastSeen, m.Node)
		n.mu.Unlock()
	case "ask":
		n.seen(m.Node)
		n.busy(parts, func() { n.reply(ctx, m) })
	case "answer":
		n.seen(m.Node)
		n.mu.Lock()
		waiting := n.asked[m.ID]
		n.mu.Unlock()
		select {
		case waiting <- Answer{Node: m.Node, Body: m.Body, Fault: m.Fault}:
		default: // the question has been answered, or its time is over
		}
	}
	return false
}

// seen notes that a node is alive.
func (n *Nodes) seen(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.lastSeen[node]; known || len(n.lastSeen) < maxNodes {
		n.lastSeen[node] = time.Now()
	}
}

// busy runs f on a goroutine of its own, so that the reader goes on. If maxAnswers are
// running already it drops f, and the asking node sees this node as silent.
func (n *Nodes) busy(parts *sync.WaitGroup, f func()) {
	select {
	case n.slots <- struct{}{}:
	default:
		n.metrics.dropped.Inc()
		return
	}
	parts.Go(func() {
		defer func() { <-n.slots }()
		f()
	})
}

// reply answers a question of another node.
func (n *Nodes) reply(ctx context.Context, m notice) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n.mu.Lock()
	handler := n.handlers[m.Kind]
	n.mu.Unlock()
	answer := notice{Type: "answer", ID: m.ID}
	body, err := n.answer(ctx, handler, m.Body)
	if answer.Body = body; err != nil {
		answer.Fault = err.Error()
	}
	n.send(ctx, n.channelOf(m.Node), answer)
}

func (n *Nodes) answer(ctx context.Context, handler Handler, question json.RawMessage) (body json.RawMessage, err error) {
	if handler == nil {
		return nil, errors.New("this node does not know questions of this kind")
	}
	defer func() {
		if v := recover(); v != nil {
			n.log.Error("nodes: a handler panicked", "panic", v)
			body, err = nil, errors.New("internal error")
		}
	}()
	value, err := handler(ctx, question)
	if err != nil {
		return nil, err
	}
	if body, err = json.Marshal(value); err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer has %d bytes; at most %d may be sent", len(body), maxAnswer)
	}
	return body, nil
}
