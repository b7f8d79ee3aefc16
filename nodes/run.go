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

// A notice is what nodes send each other; see the package.
type notice struct {
	Type  string          `json:"type"`
	Node  string          `json:"node"`
	ID    string          `json:"id,omitempty"`
	Kind  string          `json:"kind,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
	Fault string          `json:"fault,omitempty"`
}

// Run exchanges messages with other nodes until ctx ends and says good-bye. It
// returns nil when no question is being answered any more. It may be called once.
//
//	Run            reads the channels                      (1 goroutine)
//	* beat         publishes that this node is there       (1 goroutine)
//	* busy         answers a question                      (1 goroutine each, at most maxAnswers)
func (n *Nodes) Run(ctx context.Context) error {
	n.mu.Lock()
	again := n.running
	n.running = true
	n.mu.Unlock()
	if again {
		return ErrRunning
	}
	var parts sync.WaitGroup
	parts.Go(func() { n.beat(ctx) })
	_ = n.listener(ctx, &parts).Run(ctx) // nil: it is not optional
	parts.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = n.publish(last, n.channel(), notice{Type: "bye"}) // else it is missed after goneAfter
	return nil
}

// listener reads the channels. This node's own beat is its test message: one
// that does not come back for 3 s ends the connection.
func (n *Nodes) listener(ctx context.Context, parts *sync.WaitGroup) *redislink.Listener {
	return redislink.NewListener(redislink.ListenerConfig{
		Name: "messages of nodes", Client: n.cfg.Redis, Channels: []string{n.channel(), n.channelOf(n.cfg.Node)}, Logger: n.log,
		Message: func(_, payload string) (alive bool) { return n.take(ctx, payload, parts) },
		Opened: func(c *redislink.Conn) error {
			c.Go(func(ctx context.Context) error {
				n.say(ctx, n.channel(), notice{Type: "hello"})
				return nil
			})
			return nil
		},
		Lost: func(error) { n.metrics.reconnects.Inc() },
	})
}

// beat publishes each second that this node is there. The listener notices if
// that does not come back.
func (n *Nodes) beat(ctx context.Context) {
	for redislink.Sleep(ctx, beatEvery) {
		n.say(ctx, n.channel(), notice{Type: "here"})
	}
}

// say publishes a message that nobody waits for.
func (n *Nodes) say(ctx context.Context, channel string, m notice) {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	if err := n.publish(ctx, channel, m); err != nil && ctx.Err() == nil {
		n.log.Debug("nodes: not sent", "type", m.Type, "err", err)
	}
}

// take deals with one message and does not block. It reports whether the message
// is this node's own.
func (n *Nodes) take(ctx context.Context, payload string, parts *sync.WaitGroup) (own bool) {
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
		n.hear(m.Node)
	case "hello":
		n.hear(m.Node)
		n.busy(parts, func() { n.say(ctx, n.channel(), notice{Type: "here"}) })
	case "bye":
		n.mu.Lock()
		delete(n.heard, m.Node)
		n.mu.Unlock()
	case "ask":
		n.hear(m.Node)
		n.busy(parts, func() { n.reply(ctx, m) })
	case "answer":
		n.hear(m.Node)
		n.mu.Lock()
		waiting := n.asked[m.ID]
		n.mu.Unlock()
		select {
		case waiting <- Answer{Node: m.Node, Body: m.Body, Fault: m.Fault}:
		default: // nobody waits any more
		}
	}
	return false
}

func (n *Nodes) hear(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.heard[node]; known || len(n.heard) < maxNodes {
		n.heard[node] = time.Now()
	}
}

// busy runs f beside the reader, unless too much is being done already: who asked
// then sees this node as silent.
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
	n.say(ctx, n.channelOf(m.Node), answer)
}

func (n *Nodes) answer(ctx context.Context, handler Handler, question json.RawMessage) (body json.RawMessage, err error) {
	if handler == nil {
		return nil, errors.New("this node does not know such a question")
	}
	defer func() {
		if v := recover(); v != nil {
			n.log.Error("nodes: an answer panicked", "panic", v)
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
		return nil, fmt.Errorf("an answer of %d bytes, and at most %d may be sent", len(body), maxAnswer)
	}
	return body, nil
}
