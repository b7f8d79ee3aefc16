package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

var pacedSymbols = []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY", "USD/CHF", "AUD/USD", "NZD/USD", "USD/CAD", "EUR/GBP"}

// A pacedClient collects the numbers in each message of quotes by symbol.
type pacedClient struct {
	*socket
	have   map[feed.Symbol]uint64
	frames []map[feed.Symbol]uint64
}

func (n *testNode) pacedClient(token, command string) *pacedClient {
	n.t.Helper()
	k, _ := n.connect(token)
	if command != "" {
		k.say(command)
		if ack := k.want("ack").raw; !strings.Contains(ack, `"every_ms":250,"align":true`) {
			n.t.Fatalf("answer %s", ack)
		}
	}
	k.say(`{"op":"subscribe","symbols":["*"]}`)
	k.want("ack")
	c := &pacedClient{socket: k, have: map[feed.Symbol]uint64{}}
	for len(c.have) < len(pacedSymbols) { // a symbol that the node did not list yet comes as an update
		if m, ok := k.next(); !ok {
			n.t.Fatalf("ended: %v", k.err)
		} else if m.Type == "snapshot" || m.Type == "update" {
			c.take(m)
		}
	}
	c.frames = nil
	return c
}

func (c *pacedClient) take(m wireMessage) {
	var quotes struct {
		Data []struct {
			Symbol feed.Symbol
			Seq    uint64
		}
	}
	if err := json.Unmarshal([]byte(m.raw), &quotes); err != nil {
		c.t.Fatal(err)
	}
	frame := map[feed.Symbol]uint64{}
	for _, q := range quotes.Data {
		frame[q.Symbol] = q.Seq
	}
	maps.Copy(c.have, frame)
	c.frames = append(c.frames, frame)
}

// Clients of two nodes with an aligned pace receive the same messages: of each symbol the newest
// quote that Redis accepted before a multiple of the interval.
func TestAlignedPaceOnTwoNodes(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	nodes := []*testNode{startNode(t, r), startNode(t, r)}
	seqs := map[feed.Symbol]uint64{}
	publish := func(n *testNode, symbols ...feed.Symbol) {
		var quotes []string
		for _, s := range symbols {
			seqs[s]++
			quotes = append(quotes, fmt.Sprintf(`{"symbol":%q,"bid":"1.0850%d","ask":"1.0851%d"}`, s, rand.IntN(10), rand.IntN(10)))
		}
		var answer struct{ Accepted int }
		n.do("POST", n.public+"/api/v1/quotes", "["+strings.Join(quotes, ",")+"]", bearer(pubToken)).into(t, 200, &answer)
		if answer.Accepted != len(symbols) {
			t.Fatalf("%d of %d quotes accepted", answer.Accepted, len(symbols))
		}
	}
	publish(nodes[0], pacedSymbols...)
	var paced, meters []*pacedClient
	for _, n := range nodes {
		token := n.signIn("alice", "user").Token
		paced = append(paced, n.pacedClient(token, `{"op":"pace","every_ms":250,"align":true}`))
		meters = append(meters, n.pacedClient(token, ""))
	}
	const every = 250 * time.Millisecond
	for round := range 20 { // one without a late tick decides
		before := maps.Clone(seqs)
		arrivals := make([]map[feed.Symbol]map[uint64]time.Time, len(meters))
		done := make(chan int, len(meters))
		stop := make(chan struct{})
		for i, m := range meters {
			arrivals[i] = map[feed.Symbol]map[uint64]time.Time{}
			for _, s := range pacedSymbols {
				arrivals[i][s] = map[uint64]time.Time{}
			}
			go func() {
				defer func() { done <- i }()
				for {
					select {
					case message, ok := <-m.messages:
						if !ok {
							return
						}
						now := time.Now()
						m.take(message)
						for s, seq := range m.frames[len(m.frames)-1] {
							arrivals[i][s][seq] = now
						}
					case <-stop:
						return
					}
				}
			}()
		}
		for until := time.Now().Add(5 * every); time.Now().Before(until); {
			some := slices.Clone(pacedSymbols)
			rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			publish(nodes[rand.IntN(2)], some[:1+rand.IntN(4)]...)
		}
		for _, c := range paced {
			for !maps.Equal(c.have, seqs) {
				c.take(c.until("update"))
			}
		}
		close(stop)
		for range meters {
			<-done
		}
		slowest := time.Duration(0)
		at := acceptances(t, nodes[0])
		for i := range meters {
			least, most := time.Hour, -time.Hour
			for s, seen := range arrivals[i] {
				for seq, when := range seen {
					d := when.Sub(at[s][seq])
					least, most = min(least, d), max(most, d)
				}
			}
			slowest = max(slowest, most-least)
		}
		frames := [2][]map[feed.Symbol]uint64{paced[0].frames, paced[1].frames}
		paced[0].frames, paced[1].frames = nil, nil
		if slowest > 25*time.Millisecond {
			t.Logf("round %d: a tick took %v more than the fastest, so both nodes need not agree", round, slowest)
			continue
		}
		if len(frames[0]) < 4 || !slices.EqualFunc(frames[0], frames[1], maps.Equal[map[feed.Symbol]uint64]) {
			t.Fatalf("the nodes sent\n%v\n%v", frames[0], frames[1])
		}
		have := before
		for _, frame := range frames[0] {
			var newest time.Time
			for s, seq := range frame {
				if when := at[s][seq]; when.After(newest) {
					newest = when
				}
			}
			instant := newest.Truncate(every).Add(every)
			for _, s := range pacedSymbols {
				want := have[s]
				for seq, when := range at[s] {
					if when.Before(instant) {
						want = max(want, seq)
					}
				}
				if seq, ok := frame[s]; ok != (want > have[s]) || ok && seq != want {
					t.Errorf("%s in the message of %v: %d, want %d after %d", s, instant, seq, want, have[s])
				}
				have[s] = want
			}
		}
		return
	}
	t.Log("this machine was never fast enough to decide it; the hub's own test has a clock of its own")
}

// acceptances returns when Redis accepted the ticks of the paced symbols.
func acceptances(t *testing.T, n *testNode) map[feed.Symbol]map[uint64]time.Time {
	t.Helper()
	at := map[feed.Symbol]map[uint64]time.Time{}
	for _, s := range pacedSymbols {
		at[s] = map[uint64]time.Time{}
		entries, err := n.rdb.XRange(t.Context(), "fx:{"+string(s)+"}:ticks", "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			var q struct {
				Seq uint64
				At  json.Number
			}
			if err := json.Unmarshal([]byte(e.Values["q"].(string)), &q); err != nil {
				t.Fatal(err)
			}
			µs, err := q.At.Int64()
			if err != nil {
				t.Fatal(err)
			}
			at[s][q.Seq] = time.UnixMicro(µs)
		}
	}
	return at
}
