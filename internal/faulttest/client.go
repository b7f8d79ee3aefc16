package faulttest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

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
	Address func() string // the ws:// URL, asked for before each connection
	Header  http.Header   // with the session
	Symbols []string      // exact
	Mode    string        // Latest or All
	MaxRate float64       // updates per second and symbol, in Latest; 0 = any
	Stream  bool          // Server-Sent Events; Address is then the http:// URL of the stream
	Binary  bool          // quotes come in binary, as protocol.NameBinary

	// HTTP opens the connections; nil = http.DefaultClient.
	HTTP *http.Client

	// Silence is the time without a message, even a heartbeat, after which the client reconnects;
	// 0 = 10 s.
	Silence time.Duration

	// Tamper may change what the client receives, to test the checker; nil changes nothing. It is
	// called by one goroutine.
	Tamper func(Frame) []Frame
}

// Frame is one message from the server, or the end of the connection.
type Frame struct {
	Text  []byte
	Close int // close code; with Text nil
}

// Client is a client that records everything it receives. It reconnects as the protocol requires,
// after the advised delay, and resumes in mode All.
type Client struct {
	cfg    ClientConfig
	lastID string // of a stream; owned by Run

	mu      sync.Mutex // guards what follows
	events  []Event
	last    map[string]Event          // newest data event by symbol, with its epoch
	newest  map[string]map[int]uint64 // by symbol and publisher: highest number received
	up, bad bool                      // connected; the last status was degraded
	revoked time.Time
	within  time.Duration
}

// NewClient returns a client that works once Run is called.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Silence <= 0 {
		cfg.Silence = 10 * time.Second
	}
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultClient
	}
	return &Client{cfg: cfg, last: map[string]Event{}, newest: map[string]map[int]uint64{}}
}

// Name returns the name of the client.
func (c *Client) Name() string { return c.cfg.Name }

// Run connects and reads until ctx ends, or until a close code forbids a reconnect.
func (c *Client) Run(ctx context.Context) {
	for ctx.Err() == nil {
		connection := c.connection
		if c.cfg.Stream {
			connection = c.stream
		}
		code, after := connection(ctx)
		if ctx.Err() != nil {
			return
		}
		c.add(Event{At: time.Now(), Kind: Closed, Code: code})
		if protocol.ReconnectAfter(code) == protocol.ReconnectNo {
			return
		}
		if after <= 0 {
			after = 50*time.Millisecond + rand.N(200*time.Millisecond)
		}
		wait(ctx, after)
	}
}

// connection is one WebSocket from its beginning to its end.
func (c *Client) connection(ctx context.Context) (code int, after time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialing, done := context.WithTimeout(ctx, c.cfg.Silence)
	defer done()
	subprotocol := protocol.Name
	if c.cfg.Binary {
		subprotocol = protocol.NameBinary
	}
	ws, resp, err := websocket.Dial(dialing, c.cfg.Address(), &websocket.DialOptions{HTTPClient: c.cfg.HTTP, HTTPHeader: c.cfg.Header, Subprotocols: []string{subprotocol}})
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusUnauthorized {
			return protocol.CodeSession, 0
		}
		return 0, 0
	}
	defer ws.CloseNow()
	ws.SetReadLimit(16 << 20)
	c.add(Event{At: time.Now(), Kind: Connected})
	if err := ws.Write(dialing, websocket.MessageText, c.subscription()); err != nil {
		return 0, 0
	}
	var decoder protocol.Decoder
	for {
		read, done := context.WithTimeout(ctx, c.cfg.Silence)
		kind, text, err := ws.Read(read)
		done()
		if err == nil && kind == websocket.MessageBinary {
			if quotes, bad := decoder.Decode(text); bad == nil {
				text = quotes.Append(nil)
			} // else take finds that it cannot be read
		}
		frame := Frame{Text: text}
		if err != nil {
			frame = Frame{}
			if closed, ok := errors.AsType[websocket.CloseError](err); ok {
				frame.Close = int(closed.Code)
			}
		}
		frames := []Frame{frame}
		if c.cfg.Tamper != nil && ctx.Err() == nil {
			frames = c.cfg.Tamper(frame)
		}
		for _, f := range frames {
			if f.Text == nil {
				return f.Close, after
			}
			if d := c.take(f.Text); d > 0 {
				after = d
			}
		}
		if err != nil { // Tamper hid the end from the client
			<-ctx.Done()
			return 0, 0
		}
	}
}

// subscription returns the command that subscribes, or resumes.
func (c *Client) subscription() []byte {
	command := protocol.Command{Op: protocol.OpSubscribe, ID: []byte("1"), Symbols: c.cfg.Symbols, Mode: c.cfg.Mode, MaxRate: c.cfg.MaxRate}
	if c.cfg.Mode == All {
		c.mu.Lock()
		command.Since = make(map[string]protocol.Position, len(c.last))
		for s, e := range c.last {
			command.Since[s] = protocol.Position{Epoch: e.Epoch, Seq: e.Seq}
		}
		c.mu.Unlock()
	}
	return command.Append(nil)
}

// take records one message. It returns the delay before a reconnect if the message has one.
func (c *Client) take(text []byte) (reconnect time.Duration) {
	now := time.Now()
	message, err := protocol.Decode(text)
	switch {
	case errors.Is(err, protocol.ErrUnknownType):
		return 0
	case err != nil:
		c.add(Event{At: now, Kind: Closed, Code: unreadable})
		return 0
	}
	switch m := message.(type) {
	case protocol.Closing:
		return time.Duration(m.ReconnectAfterMS) * time.Millisecond
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
	return 0
}

func (c *Client) addQuotes(now time.Time, kind Kind, quotes []protocol.Quote) {
	for _, q := range quotes {
		c.add(Event{At: now, Kind: kind, Symbol: q.Symbol, Bid: q.Bid, Epoch: q.Epoch, Seq: q.Seq, Skipped: q.Skipped})
	}
}

func (c *Client) add(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
	switch e.Kind {
	case Connected:
		c.up, c.bad = true, false
	case Closed:
		c.up = false
	case Degraded:
		c.bad = true
	case OK:
		c.bad = false
	case Snapshot, Reset, Update:
		if e.Epoch == "" {
			e.Epoch = c.last[e.Symbol].Epoch
		}
		c.last[e.Symbol] = e
		if p, n, ok := tickOf(e.Bid); ok {
			if c.newest[e.Symbol] == nil {
				c.newest[e.Symbol] = map[int]uint64{}
			}
			c.newest[e.Symbol][p] = max(n, c.newest[e.Symbol][p])
		}
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
	return Record{Client: c.cfg.Name, Mode: c.cfg.Mode, Symbols: c.cfg.Symbols, Events: append([]Event(nil), c.events...), Revoked: c.revoked, Within: c.within}
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
