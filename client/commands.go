package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

const (
	commandsPerSecond = 10  // if the welcome does not say
	maxNames          = 200 // of a command, so that it stays below the server's bound
	writeTime         = 10 * time.Second
)

// A command is waiting to be sent: it subscribes sub to names, or unsubscribes them.
type command struct {
	sub      *Subscription // nil: unsubscribe
	names    []string
	since    map[string]Position // with All: what was received of sub before
	interval string              // of the candles of names; empty: quotes
}

// An entry is what a server has granted: quotes of a name, or its candles of an interval.
type entry struct{ name, interval string }

// A route leads quotes to a subscription.
type route struct {
	sub    *Subscription
	number int // of its ack
}

// An outbox holds the commands of one connection, in order. A subscription that is closed before its
// command was sent is taken out again, so its length is bounded by the subscriptions.
type outbox struct {
	limits   protocol.Limits
	waiting  []command
	inFlight map[string]command // subscribes without an answer, by id
	routes   map[entry]route    // granted
	resend   time.Time          // not before
	ids      int
	acks     int
	wake     chan struct{} // has room for one
}

func newOutbox() outbox {
	return outbox{inFlight: map[string]command{}, routes: map[entry]route{}, wake: make(chan struct{}, 1)}
}

// push adds a command. The caller holds Client.mu.
func (o *outbox) push(c command) {
	if last := len(o.waiting) - 1; c.sub == nil && last >= 0 && o.waiting[last].sub == nil && o.waiting[last].interval == c.interval && len(o.waiting[last].names)+len(c.names) <= maxNames {
		o.waiting[last].names = append(o.waiting[last].names, c.names...)
	} else {
		o.waiting = append(o.waiting, c)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// subscribe adds the commands of a subscription, of which nothing is received yet on this connection.
// The caller holds Client.mu.
func (o *outbox) subscribe(s *Subscription) {
	var since map[string]Position
	if s.mode.all {
		since = maps.Clone(s.last) // which changes when the first command is answered
	}
	for names := range slices.Chunk(slices.Clone(s.names), maxNames) {
		o.push(command{sub: s, names: names, since: since})
	}
}

// drop forgets a subscription that was closed, and unsubscribes what was sent of it. The caller
// holds Client.mu.
func (o *outbox) drop(s *Subscription) {
	maps.DeleteFunc(o.routes, func(_ entry, r route) bool { return r.sub == s })
	maps.DeleteFunc(o.inFlight, func(_ string, c command) bool { return c.sub == s })
	sent := s.names
	o.waiting = slices.DeleteFunc(o.waiting, func(c command) bool {
		if c.sub == s {
			sent = without(sent, c.names)
		}
		return c.sub == s
	})
	for names := range slices.Chunk(slices.Clone(sent), maxNames) {
		o.push(command{names: names, interval: s.interval})
	}
}

// without returns the names that are not among others.
func without(names, others []string) []string {
	found := setOf(others)
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return found[name] })
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// send sends commands at the pace that the server allows, until the connection ends.
func (x *connection) send(closing context.Context, over <-chan struct{}) {
	c := x.client
	c.mu.Lock()
	perSecond := x.limits.CommandsPerSecond
	c.mu.Unlock()
	if perSecond <= 0 {
		perSecond = commandsPerSecond
	}
	// A little slower than allowed, because the network may bring commands closer together.
	each := time.Second * 11 / 10 / time.Duration(perSecond)
	tokens, filled := float64(perSecond), time.Now()
	for {
		tokens = min(float64(perSecond), tokens+float64(time.Since(filled))/float64(c.clock.scaled(each)))
		filled = time.Now()
		pause := time.Duration((1 - tokens) * float64(c.clock.scaled(each)))
		var text []byte
		c.mu.Lock()
		pause = max(pause, time.Until(x.resend))
		empty := len(x.waiting) == 0
		if !empty && pause <= 0 {
			text = x.next()
		}
		c.mu.Unlock()
		if text != nil {
			tokens--
			ctx, cancel := context.WithTimeout(context.WithoutCancel(closing), writeTime)
			err := x.ws.Write(ctx, websocket.MessageText, text)
			cancel()
			if err != nil {
				return // the reader finds out why
			}
			continue
		}
		if empty {
			pause = time.Hour
		}
		t := time.NewTimer(pause)
		select {
		case <-x.wake:
		case <-t.C:
		case <-closing.Done():
			t.Stop()
			return
		case <-over:
			t.Stop()
			return
		}
		t.Stop()
	}
}

// next takes the next command and returns its text. The caller holds Client.mu.
func (x *connection) next() []byte {
	next := x.waiting[0]
	x.waiting = x.waiting[1:]
	x.ids++
	id := strconv.Itoa(x.ids)
	if next.sub == nil {
		return protocol.Command{Op: protocol.OpUnsubscribe, ID: json.RawMessage(id), Symbols: next.names, Candles: next.interval}.Append(nil)
	}
	x.inFlight[id] = next
	return next.sub.command(id, next, x.limits)
}

// acked routes quotes of the granted names to their subscription.
func (x *connection) acked(m protocol.Ack) error {
	c := x.client
	c.mu.Lock()
	sent := x.inFlight[string(m.ID)]
	s := sent.sub
	if s == nil { // of an unsubscribe, or closed meanwhile
		c.mu.Unlock()
		return nil
	}
	if answered := len(m.OK) + len(m.Failed); answered == 0 || answered > len(sent.names) { // aliases may be fewer
		c.mu.Unlock()
		return &ProtocolError{What: "an ack with no names, or with more than were subscribed"}
	}
	delete(x.inFlight, string(m.ID))
	x.acks++
	s.names = append(without(s.names, sent.names), m.OK...)
	taken := map[*Subscription][]string{}
	for _, name := range m.OK {
		at := entry{name, s.interval}
		if old, ok := x.routes[at]; ok && old.sub != s { // under another form of its name
			taken[old.sub] = append(taken[old.sub], name)
			old.sub.names = slices.DeleteFunc(slices.Clone(old.sub.names), func(n string) bool { return n == name })
		}
		x.routes[at] = route{s, x.acks}
	}
	ended := len(s.names) == 0
	if ended {
		c.remove(s)
	}
	c.mu.Unlock()
	for other, names := range taken {
		for _, name := range names {
			other.queue.fail(&CommandError{Code: "replaced", Symbol: name, Message: "a later subscription of this client has the same symbol"})
		}
	}
	for _, f := range m.Failed {
		s.queue.fail(&CommandError{Code: f.Code, Symbol: f.Symbol, Message: f.Message})
	}
	if ended {
		s.queue.finish(fmt.Errorf("%w: all symbols were refused", ErrClosed))
	}
	return nil
}

// failed handles a refused command. A subscribe that was only too early is sent again.
func (x *connection) failed(m protocol.Error) {
	c := x.client
	c.mu.Lock()
	sent := x.inFlight[string(m.ID)]
	s := sent.sub
	delete(x.inFlight, string(m.ID))
	again := s != nil && m.Code == protocol.ErrorRateLimited
	if again {
		after := time.Duration(min(max(m.RetryAfterMS, 1), maxAdvice.Milliseconds())) * time.Millisecond
		x.resend = time.Now().Add(c.clock.scaled(after))
		x.waiting = slices.Insert(x.waiting, 0, sent)
		select {
		case x.wake <- struct{}{}:
		default:
		}
	} else if s != nil && c.remove(s) {
		s.names = without(s.names, sent.names)
		x.drop(s)
	}
	c.mu.Unlock()
	err := &CommandError{Code: m.Code, Message: m.Message}
	switch {
	case again:
	case s != nil:
		s.queue.fail(err)
		s.queue.finish(ErrClosed)
	case m.Code != protocol.ErrorNotSubscribed: // of an unsubscribe that crossed a refusal
		c.reportError(err)
	}
}
