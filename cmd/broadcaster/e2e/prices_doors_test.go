package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
)

// A shownQuote is a quote that a door has shown.
type shownQuote struct {
	Symbol, Bid, Ask string
	BidSize          string `json:"bid_size"`
	AskSize          string `json:"ask_size"`
	Seq, Skipped     uint64
	Gap              bool
	update           bool // no snapshot
}

// A priceDoor is a way on which prices go out as they are accepted, and all that was
// seen there.
type priceDoor struct {
	name  string
	every bool // it shows every tick, not only the newest

	mu     sync.Mutex // guards the fields below
	seen   []shownQuote
	newest map[string]uint64 // by symbol
	broken error
}

// take notes a message as clients get it.
func (d *priceDoor) take(text []byte) {
	var m struct {
		Type string
		Data []shownQuote
	}
	err := json.Unmarshal(text, &m)
	if m.Type != "update" && m.Type != "snapshot" {
		m.Data = nil // of another kind of message
	}
	for i := range m.Data {
		m.Data[i].update = m.Type == "update"
	}
	d.add(m.Data, err)
}

func (d *priceDoor) add(quotes []shownQuote, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, quotes...)
	for _, q := range quotes {
		d.newest[q.Symbol] = max(d.newest[q.Symbol], q.Seq)
	}
	if d.broken == nil {
		d.broken = err
	}
}

// priceDoors are all ways out: two sockets of one node, two event streams of
// another, and the channels in Redis; beside them the answers to requests.
type priceDoors struct {
	t         *testing.T
	one, two  *testNode
	token     string
	streaming []*priceDoor
}

// openDoors opens them all and waits until nothing published afterwards is missed.
func openDoors(t *testing.T, one, two *testNode, symbols ...string) *priceDoors {
	t.Helper()
	d := &priceDoors{t: t, one: one, two: two, token: one.signIn("ann", "user").Token}
	for _, mode := range []string{"all", "latest"} {
		d.openSocket(mode, symbols)
		d.openStream(mode, symbols)
	}
	d.openChannels(symbols)
	return d
}

func (d *priceDoors) door(name string, every bool) *priceDoor {
	door := &priceDoor{name: name, every: every, newest: map[string]uint64{}}
	d.streaming = append(d.streaming, door)
	return door
}

func (d *priceDoors) openSocket(mode string, symbols []string) {
	d.t.Helper()
	door := d.door("WebSocket, mode "+mode, mode == "all")
	ws, _, err := websocket.Dial(d.t.Context(), "ws"+strings.TrimPrefix(d.one.public, "http")+"/ws",
		&websocket.DialOptions{HTTPClient: d.one.http, HTTPHeader: bearer(d.token)})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(-1)
	names, _ := json.Marshal(symbols)
	if err := ws.Write(d.t.Context(), websocket.MessageText, fmt.Appendf(nil, `{"op":"subscribe","symbols":%s,"mode":"%s"}`, names, mode)); err != nil {
		d.t.Fatal(err)
	}
	acked := make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(acked) })
		defer once()
		for {
			_, text, err := ws.Read(context.Background())
			if err != nil {
				door.add(nil, err)
				return
			}
			if strings.HasPrefix(string(text), `{"type":"ack"`) {
				once()
			}
			door.take(text)
		}
	}()
	<-acked
}

func (d *priceDoors) openStream(mode string, symbols []string) {
	d.t.Helper()
	door := d.door("event stream, mode "+mode, mode == "all")
	r, err := http.NewRequestWithContext(d.t.Context(), "GET", d.two.public+"/api/v1/stream?mode="+mode+"&symbols="+url.QueryEscape(strings.Join(symbols, ",")), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header = bearer(d.token)
	resp, err := (&http.Client{Transport: d.two.http.Transport}).Do(r) // it may last longer than another answer
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		d.t.Fatalf("the event stream: %s", resp.Status)
	}
	acked := make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(acked) })
		defer once()
		in := bufio.NewScanner(resp.Body)
		in.Buffer(nil, 16<<20)
		for in.Scan() {
			data, ok := strings.CutPrefix(in.Text(), "data: ")
			if !ok {
				continue
			}
			if strings.HasPrefix(data, `{"type":"ack"`) {
				once()
			}
			door.take([]byte(data))
		}
		door.add(nil, fmt.Errorf("the stream ended: %v", in.Err()))
	}()
	<-acked
}

func (d *priceDoors) openChannels(symbols []string) {
	d.t.Helper()
	door := d.door("Redis channel", true)
	channels := make([]string, len(symbols))
	for i, s := range symbols {
		channels[i] = feed.Keys{Prefix: "fx:"}.Channel(feed.Symbol(s))
	}
	sub := d.one.rdb.Subscribe(d.t.Context(), channels...)
	d.t.Cleanup(func() { sub.Close() })
	for range channels {
		if _, err := sub.Receive(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
	}
	go func() {
		for {
			m, err := sub.ReceiveMessage(context.Background())
			if err != nil {
				door.add(nil, err)
				return
			}
			var q shownQuote
			err = json.Unmarshal([]byte(m.Payload), &q)
			q.update = true
			door.add([]shownQuote{q}, err)
		}
	}()
}

// await waits until each door has shown this number of a symbol.
func (d *priceDoors) await(symbol string, seq uint64) {
	d.t.Helper()
	for _, door := range d.streaming {
		programtest.Eventually(d.t, fmt.Sprintf("%s shows number %d of %s", door.name, seq, symbol), func() bool {
			door.mu.Lock()
			defer door.mu.Unlock()
			if door.broken != nil {
				d.t.Fatalf("%s: %v", door.name, door.broken)
			}
			return door.newest[symbol] >= seq
		})
	}
}

// last asks for the last quote of a symbol, history for its newest ones.
func (d *priceDoors) last(symbol string) (q []shownQuote) {
	d.t.Helper()
	d.two.do("GET", d.two.public+"/api/v1/quotes?symbols="+symbol, "", bearer(d.token)).into(d.t, 200, &q)
	return q
}

func (d *priceDoors) history(symbol string, limit int) (q []shownQuote) {
	d.t.Helper()
	d.two.do("GET", fmt.Sprintf("%s/api/v1/quotes/%s/history?limit=%d", d.two.public, symbol, limit), "", bearer(d.token)).into(d.t, 200, &q)
	return q
}

// ticks reads the whole stream of a symbol in Redis.
func (d *priceDoors) ticks(symbol string) (all []shownQuote) {
	d.t.Helper()
	const chunk = 5000
	for from := "-"; ; {
		entries, err := d.one.rdb.XRangeN(d.t.Context(), feed.Keys{Prefix: "fx:"}.Ticks(feed.Symbol(symbol)), from, "+", chunk).Result()
		if err != nil && err != redis.Nil {
			d.t.Fatal(err)
		}
		for _, e := range entries {
			var q shownQuote
			if err := json.Unmarshal([]byte(e.Values["q"].(string)), &q); err != nil {
				d.t.Fatal(err)
			}
			all = append(all, q)
		}
		if len(entries) < chunk {
			return all
		}
		from = "(" + entries[len(entries)-1].ID
	}
}
