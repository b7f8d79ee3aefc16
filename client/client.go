// Package client receives quotes from an fxcast server.
//
//	fx, err := client.Dial(ctx, client.Options{URL: "wss://quotes.example/ws", Token: token})
//	…
//	defer fx.Close()
//	sub, err := fx.Subscribe([]string{"EUR/USD"}, client.All)
//	…
//	for q, err := range sub.Quotes(ctx) {
//		…
//	}
//
// A Client reconnects by itself, subscribes again, and resumes subscriptions with All from the last
// quote that it received. It checks the numbers of quotes: wherever quotes are missing, the iterator
// yields a *GapError before the next quote. It stops when the server refuses it for good.
//
// The files are in the order of a connection:
//
//	client.go        Options, Dial and Close
//	state.go         the states, and reports of them
//	run.go           connects and waits, one connection after the other
//	pace.go          when the next connect may begin
//	connection.go    one connection from its welcome to its end
//	commands.go      commands, at the pace that the server allows
//	subscription.go  Subscribe, and the quotes of a subscriber
//	candles.go       Candles, and day figures
//	fault.go         what is wrong with a message
//	sequence.go      the numbers of quotes, and gaps
//	queue.go         the queue of a subscriber
//	errors.go        the errors
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Options configures a Client. URL, and Token or Ticket, are usually all that is needed.
type Options struct {
	// URL is the address of the server's WebSocket, such as "wss://quotes.example/ws". The schemes
	// http and https are read as ws and wss; without a path it is /ws.
	URL string

	// Token is the bearer token of the session.
	Token string

	// Ticket returns a ticket for one connect; it replaces Token. An error that is a *StatusError
	// is treated like the same answer to a connect, any other as a connect that failed.
	Ticket func(ctx context.Context) (string, error)

	// Header has further headers for the connect, such as a cookie.
	Header http.Header

	// HTTPClient opens connections; nil is http.DefaultClient.
	HTTPClient *http.Client

	// OnState, OnStatus, OnDay, OnError and OnMessage are called one at a time and in order, by the
	// goroutine that reads from the server. They should return soon, and must not call Close.
	//
	// OnDay receives the day figures of subscriptions whose mode is WithDay.
	//
	// OnError receives the errors that concern no single subscription: a *ProtocolError if the server
	// broke the protocol, a *CommandError, or the reason of a lost connection that is tried again.
	//
	// OnMessage receives each message as the server sent it, before the client acts on it: for logs,
	// and to see what no subscriber receives, such as a quote that repeats the last one. It must not
	// change the message.
	OnState   func(State)
	OnStatus  func(Status)
	OnDay     func(Day)
	OnError   func(error)
	OnMessage func(Message)

	scale float64 // of time, for tests; 0 is 1
}

// A Client is a connection to a server that is replaced when it is lost. Its methods are safe for
// concurrent use.
type Client struct {
	opts  Options
	url   *url.URL
	clock clock

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
	live   chan struct{} // closed by the first welcome

	mu       sync.Mutex // guards what follows
	state    State
	subs     []*Subscription // the oldest first
	conn     *connection     // nil unless welcomed
	lastFail error           // of a connect
	err      error           // why the client is closed
}

// Dial connects to a server, and returns after its welcome. It tries again until it succeeds, ctx
// ends, or the server refuses for good, with a *RefusedError. Afterwards ctx has no effect on the
// Client.
func Dial(ctx context.Context, o Options) (*Client, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.run()
	select {
	case <-c.live:
		return c, nil
	case <-c.done:
		return nil, c.closedBy()
	case <-ctx.Done():
		c.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lastFail != nil {
			return nil, fmt.Errorf("client: not connected: %w (%w)", ctx.Err(), c.lastFail)
		}
		return nil, fmt.Errorf("client: not connected: %w", ctx.Err())
	}
}

// newClient checks the options. Errors never contain the token.
func newClient(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("client: Options.URL is not a URL")
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("client: Options.URL: want a scheme of ws, wss, http or https, got %q", u.Scheme)
	}
	if u.Host == "" {
		return nil, errors.New("client: Options.URL has no host")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/ws"
	}
	if i := strings.IndexFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return nil, fmt.Errorf("client: Options.Token: character %d of %d is a space, a newline or not ASCII; was it read from a file with its newline?", i+1, len(o.Token))
	}
	if o.Token != "" && o.Ticket != nil {
		return nil, errors.New("client: want Options.Token or Options.Ticket, not both")
	}
	if o.HTTPClient == nil {
		o.HTTPClient = http.DefaultClient
	}
	if o.scale == 0 {
		o.scale = 1
	}
	return &Client{opts: o, url: u, clock: clock{scale: o.scale}, done: make(chan struct{}), live: make(chan struct{})}, nil
}

// Close closes the connection and waits until all goroutines of the Client have ended. That is
// usually at once, and 2 to 5 s if the server does not answer. Subscribers receive what they have
// not read yet, then ErrClosed.
func (c *Client) Close() {
	c.cancel()
	<-c.done
}

// closedBy returns why the client is closed.
func (c *Client) closedBy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// remove forgets a subscription. It returns false if it was unknown.
func (c *Client) remove(s *Subscription) bool {
	i := slices.Index(c.subs, s)
	if i < 0 {
		return false
	}
	c.subs = slices.Delete(c.subs, i, i+1)
	return true
}
