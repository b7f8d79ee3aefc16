package faulttest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/protocol"
)

// Modes of a subscription.
const (
	Latest = protocol.ModeLatest
	All    = protocol.ModeAll
)

// ClientConfig configures NewClient.
type ClientConfig struct {
	Name    string
	Address func() string // the base URL of a node, asked for before each connect
	Token   string        // of the session
	Symbols []string      // exact
	Mode    string        // Latest or All
	MaxRate float64       // updates per second and symbol, in Latest; 0 = any
	Stream  bool          // Server-Sent Events, by a client of this package
	Binary  bool          // quotes may come in binary, as protocol.NameBinary

	// Transport opens the connections; nil = http.DefaultTransport.
	Transport http.RoundTripper

	// Silence is the time without an event, even a heartbeat, after which a stream is replaced;
	// 0 = 10 s. Other clients leave after three heartbeats.
	Silence time.Duration

	// Slow is how long it takes to read a message.
	Slow time.Duration

	// Tamper may change what is recorded, to test the checker; nil changes nothing. It is called by
	// one goroutine.
	Tamper func(Event) []Event
}

// Client is a client that records everything it receives. It is one of package client, which
// reconnects and resumes in mode All, and whose deliveries are recorded too. A client of a stream
// does the same by itself.
type Client struct {
	cfg    ClientConfig
	lastID string // of a stream; owned by Run

	mu         sync.Mutex // guards what follows
	events     []Event
	deliveries []Delivery
	newest     map[string]map[int]uint64 // by symbol and publisher: highest number delivered
	up, bad    bool                      // connected; the last status was degraded
	revoked    time.Time
	within     time.Duration
}

// NewClient returns a client that works once Run is called.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Silence <= 0 {
		cfg.Silence = 10 * time.Second
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	return &Client{cfg: cfg, newest: map[string]map[int]uint64{}}
}

// Name returns the name of the client.
func (c *Client) Name() string { return c.cfg.Name }

// Run connects and reads until ctx ends, or until the server refuses the client for good.
func (c *Client) Run(ctx context.Context) {
	if c.cfg.Stream {
		c.streams(ctx)
		return
	}
	fx, err := client.Dial(ctx, client.Options{
		URL: "ws://node", Token: c.cfg.Token, HTTPClient: &http.Client{Transport: c},
		OnMessage: c.take, OnError: c.failed,
	})
	if err != nil {
		return // OnError has recorded why
	}
	defer fx.Close()
	mode := client.MaxRate(c.cfg.MaxRate)
	if c.cfg.Mode == All {
		mode = client.All
	}
	sub, err := fx.Subscribe(c.cfg.Symbols, mode)
	if err != nil {
		return // refused meanwhile
	}
	gap := false
	for q, err := range sub.Quotes(ctx) {
		refused, is := errors.AsType[*client.CommandError](err)
		switch {
		case is:
			c.failed(refused)
		case err != nil:
			gap = true // or the end
		default:
			c.deliver(q, gap)
			gap = false
		}
	}
}

// RoundTrip connects to the node whose turn it is, and offers only the subprotocol that the client
// is to get. It implements http.RoundTripper for package client.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	node, err := url.Parse(c.cfg.Address())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = node.Host, node.Host
	if !c.cfg.Binary {
		r.Header.Set("Sec-WebSocket-Protocol", protocol.Name)
	}
	return c.cfg.Transport.RoundTrip(r)
}

// failed records why package client lost a connection, or did not get one.
func (c *Client) failed(err error) {
	e := Event{At: time.Now(), Kind: Closed}
	refused, isRefused := errors.AsType[*client.RefusedError](err)
	lied, isLie := errors.AsType[*client.ProtocolError](err)
	command, isCommand := errors.AsType[*client.CommandError](err)
	closed, isClosed := errors.AsType[websocket.CloseError](err)
	switch {
	case isRefused && refused.Code == http.StatusUnauthorized:
		e.Code = protocol.CodeSession
	case isRefused:
		e.Code = refused.Code
	case isLie:
		e.Code, e.Detail = unreadable, lied.What
	case isCommand:
		e.Code, e.Detail = unreadable, command.Error()
	case isClosed:
		e.Code = int(closed.Code)
	}
	c.add(e)
}

// take records one message.
func (c *Client) take(message protocol.Message) {
	now := time.Now()
	time.Sleep(c.cfg.Slow)
	switch m := message.(type) {
	case protocol.Welcome:
		c.add(Event{At: now, Kind: Connected})
	case protocol.Closing:
		c.add(Event{At: now, Kind: Closing, Advice: time.Duration(m.ReconnectAfterMS) * time.Millisecond})
	case protocol.Status:
		switch {
		case m.Symbol == "" && m.Status == protocol.StatusDegraded:
			c.add(Event{At: now, Kind: Degraded})
		case m.Symbol == "" && m.Status == protocol.StatusOK:
			c.add(Event{At: now, Kind: OK})
		case m.Status == protocol.StatusStale:
			c.add(Event{At: now, Kind: Stale, Symbol: m.Symbol})
		}
	case protocol.Resumed:
		c.add(Event{At: now, Kind: Resumed, Symbol: m.Symbol})
	case protocol.Snapshot:
		kind := Snapshot
		if m.Reset {
			kind = Reset
		}
		c.addQuotes(now, kind, m.Data)
	case protocol.Update:
		c.addQuotes(now, Update, m.Data)
	}
}

func (c *Client) addQuotes(now time.Time, kind Kind, quotes []protocol.Quote) {
	for _, q := range quotes {
		c.add(Event{At: now, Kind: kind, Symbol: q.Symbol, Bid: q.Bid, Epoch: q.Epoch, Seq: q.Seq, Skipped: q.Skipped})
		if c.cfg.Stream {
			c.deliver(q, false)
		}
	}
}

func (c *Client) add(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Kind {
	case Connected:
		c.up, c.bad = true, false
	case Closed:
		c.up = false
	case Degraded:
		c.bad = true
	case OK:
		c.bad = false
	}
	if c.cfg.Tamper != nil {
		c.events = append(c.events, c.cfg.Tamper(e)...)
		return
	}
	c.events = append(c.events, e)
}

// deliver records a quote that reached the subscriber.
func (c *Client) deliver(q protocol.Quote, gap bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cfg.Stream {
		c.deliveries = append(c.deliveries, Delivery{q.Symbol, q.Epoch, q.Seq, gap})
	}
	if p, n, ok := tickOf(q.Bid); ok {
		if c.newest[q.Symbol] == nil {
			c.newest[q.Symbol] = map[int]uint64{}
		}
		c.newest[q.Symbol][p] = max(n, c.newest[q.Symbol][p])
	}
}

// Revoked records that the client's session ends now, and that its socket must be closed within
// this time.
func (c *Client) Revoked(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked, c.within = time.Now(), within
}

// Record returns a copy of what the client received.
func (c *Client) Record() Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Record{Client: c.cfg.Name, Mode: c.cfg.Mode, Symbols: c.cfg.Symbols, Events: slices.Clone(c.events), Deliveries: slices.Clone(c.deliveries),
		Revoked: c.revoked, Within: c.within}
}

// Connected reports whether the client is connected and has a value of each symbol.
func (c *Client) Connected() bool {
	return c.heard(nil) && len(c.Record().Events) > len(c.cfg.Symbols)
}

// heard reports whether the client is connected and not degraded, and has for each symbol a tick of
// one of these publishers that is at least as new as its mark.
func (c *Client) heard(marks map[int]map[string]uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.revoked.IsZero() {
		return true
	}
	if !c.up || c.bad {
		return false
	}
	for _, s := range c.cfg.Symbols {
		published, heard := false, false
		for publisher, mark := range marks {
			n, of := mark[s]
			published = published || of
			heard = heard || of && c.newest[s][publisher] >= n
		}
		if published && !heard {
			return false
		}
	}
	return true
}

// noticed returns the time of the first sign of trouble that the client received at or after a
// time.
func (c *Client) noticed(from time.Time) (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.events) - 1; i >= 0 && !c.events[i].At.Before(from); i-- {
		switch c.events[i].Kind {
		case Degraded, Stale, Closed:
			at, ok = c.events[i].At, true
		}
	}
	return at, ok
}
