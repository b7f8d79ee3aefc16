package client

import (
	"slices"

	"github.com/fxcast/fxcast/protocol"
)

// A State is the state of a Client.
type State string

// The states of a Client.
const (
	Connecting State = "connecting" // a connect is under way
	Live       State = "live"       // connected
	Degraded   State = "degraded"   // connected, but the server has lost the source of quotes
	Waiting    State = "waiting"    // not connected; a later connect is planned
	Closed     State = "closed"     // for good: by Close, or because the server has refused
)

type (
	// A Quote is one quote. Prices are decimal text with the producer's digits. Epoch is always set.
	Quote = protocol.Quote

	// A Position is a place in the sequence of a symbol.
	Position = protocol.Position

	// A Status is the status of a symbol: live, stale, closed or unknown.
	Status = protocol.Status

	// A Message is a message of the server: a type of package protocol, such as protocol.Update.
	Message = protocol.Message
)

// State returns the present state.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// setState changes the state, and reports it if it is another one.
func (c *Client) setState(s State) {
	c.mu.Lock()
	same := c.state == s
	c.state = s
	c.mu.Unlock()
	if !same && c.opts.OnState != nil {
		c.opts.OnState(s)
	}
}

func (c *Client) reportStatus(s Status) {
	if c.opts.OnStatus != nil {
		c.opts.OnStatus(s)
	}
}

func (c *Client) reportMessage(m Message) {
	if c.opts.OnMessage != nil {
		c.opts.OnMessage(m)
	}
}

func (c *Client) reportError(err error) {
	if c.opts.OnError != nil {
		c.opts.OnError(err)
	}
}

// finish ends all subscriptions and reports the last state.
func (c *Client) finish(err error) {
	c.mu.Lock()
	c.err = err
	subs := slices.Clone(c.subs)
	c.subs = nil
	c.mu.Unlock()
	for _, s := range subs {
		s.queue.finish(err)
	}
	c.setState(Closed)
}
