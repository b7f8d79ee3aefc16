package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
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

// Run hears other nodes and is heard by them until ctx ends, says good-bye, and
// returns nil when no question is being answered any more. It may be called once.
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
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			n.metrics.reconnects.Inc()
			pause(ctx, 100*time.Millisecond+rand.N(400*time.Millisecond))
		}
		if err := n.listen(ctx, &parts); err != nil && ctx.Err() == nil {
			n.log.Warn("nodes: channel lost", "err", err)
		}
	}
	parts.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = n.publish(last, n.channel(), notice{Type: "bye"}) // else it is missed after goneAfter
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// beat says each second that this node is there.
func (n *Nodes) beat(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(ctx, lostAfter)
		_ = n.publish(call, n.channel(), notice{Type: "here"}) // listen finds out
		cancel()
	}
}

// listen reads the channels until they break, or until this node's own beat has
// not come back for too long.
func (n *Nodes) listen(ctx context.Context, parts *sync.WaitGroup) error {
	channels := []string{n.channel(), n.channelOf(n.cfg.Node)}
	ps := n.cfg.Redis.Subscribe(ctx, channels...)
	unhook := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer func() {
		unhook()
		_ = ps.Close() // closed already when ctx has ended
	}()
	last := time.Now()
	for confirmed := 0; ; {
		left := lostAfter - time.Since(last)
		if left <= 0 {
			return errors.New("no beat came back")
		}
		message, err := ps.ReceiveTimeout(ctx, left)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *redis.Subscription:
			if confirmed++; confirmed > len(channels) {
				return errors.New("subscribed again unasked") // go-redis reconnected by itself: there was a gap
			}
			if confirmed == len(channels) {
				parts.Go(func() { n.say(ctx, n.channel(), notice{Type: "hello"}) })
			}
		case *redis.Message:
			if n.take(ctx, m.Payload, parts) {
				last = time.Now()
			}
		}
	}
}

// say publishes what nobody waits for.
func (n *Nodes) say(ctx context.Context, channel string, m notice) {
	ctx, cancel := context.WithTimeout(ctx, patience)
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
		n.metrics.bad.Inc()
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
