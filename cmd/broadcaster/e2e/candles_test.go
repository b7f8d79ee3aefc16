package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/protocol"
)

// candleSymbols get the recorded ticks: symbols that the simulated market of the embedded mode lacks.
// quietSymbol gets one tick, so that nothing but time closes its candle.
var (
	candleSymbols = []string{"CHF/SEK", "NOK/PLN", "SEK/DKK"}
	quietSymbol   = "CZK/HUF"
)

// TestCandlesOfRecordedDays publishes recorded ticks through two nodes that are killed at seeded
// moments, once with their Redis, over the end of a minute. All candles, from Redis, over HTTP and
// over the WebSocket, are those of another fold of what was accepted: every candle, every digit. With
// FXCAST_LONG=1 it goes on for ten minutes.
func TestCandlesOfRecordedDays(t *testing.T) {
	t.Parallel()
	var recorded [][]feed.Quote
	for _, f := range recordedFiles {
		recorded = append(recorded, readRecorded(t, f.name))
	}
	settings := []string{"GUEST_SESSIONS=true", "HISTORY_TICKS=1000000"}
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		a := startProcess(t, settings...)
		addr := a.stderr.Find(`msg="embedded redis listens" addr=(\S+)`)
		b := startProcess(t, append(settings, "REDIS_URL=redis://"+addr)...)
		rdb := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
		t.Cleanup(func() { rdb.Close() })
		newCandleProof(t, rdb, 1, a, b).run(recorded)
	})
	t.Run("killed Redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, redistest.Durable...)
		own := append([]string{"REDIS_URL=" + server.URL()}, settings...)
		p := newCandleProof(t, server.Client(), 0, startProcess(t, own...), startProcess(t, own...))
		p.redis = server
		p.run(recorded)
	})
	for _, m := range modes {
		if m.name != "standalone" && m.name != "cluster" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			own, rdb := m.start(t)
			own = append(own, settings...)
			newCandleProof(t, rdb, 0, startProcess(t, own...), startProcess(t, own...)).run(recorded)
		})
	}
}

// candleWithin is how soon after its end a closed candle is promised.
const candleWithin = time.Second

// candleProof is two nodes that are killed, and what a client of theirs received.
type candleProof struct {
	t    *testing.T
	rdb  redis.UniversalClient
	dice *rand.Rand
	from int // the nodes before it are not killed, since Redis is in them

	redis *redistest.Server // is killed too; nil if not

	mu    sync.Mutex
	nodes []*processNode

	stop     chan struct{}
	client   sync.WaitGroup
	received map[string]map[time.Time]protocol.Candle // closed minutes by symbol
	arrived  map[string]time.Time                     // when the first of them came
}

func newCandleProof(t *testing.T, rdb redis.UniversalClient, from int, nodes ...*processNode) *candleProof {
	return &candleProof{t: t, rdb: rdb, dice: rand.New(rand.NewPCG(20121203, 17)), from: from, nodes: nodes,
		stop: make(chan struct{}), received: map[string]map[time.Time]protocol.Candle{}, arrived: map[string]time.Time{}}
}

func (p *candleProof) node(i int) *processNode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nodes[i]
}

func (p *candleProof) run(recorded [][]feed.Quote) {
	p.client.Go(p.listen)
	const calm = 15 * time.Second // without a kill before the end of a minute
	minute := time.Now().Add(calm + 15*time.Second).Truncate(time.Minute).Add(time.Minute)
	end := minute.Add(candleWithin + slack)
	every := 100 * time.Millisecond
	if long {
		end, every = end.Add(10*time.Minute), 20*time.Millisecond
	}
	kill := time.Now().Add(time.Duration(3+p.dice.IntN(8)) * time.Second)
	kills, next, quiet := 0, 0, false
	pace := time.NewTicker(every)
	defer pace.Stop()
	for now := range pace.C {
		if now.After(end) {
			break
		}
		batch := 1 + p.dice.IntN(8)
		p.publish(p.node(p.dice.IntN(len(p.nodes))), recorded, next, batch)
		next += batch
		if !quiet && now.After(minute.Add(-calm)) {
			quiet = true
			p.publish(p.node(0), [][]feed.Quote{nil, nil, nil, {{Bid: "15.10", Ask: "15.200"}}}, 0, 1)
		}
		if now.After(kill) && (!quiet || now.After(minute.Add(candleWithin+slack))) {
			kills++
			kill = time.Now().Add(time.Duration(3+p.dice.IntN(12)) * time.Second)
			if p.redis != nil && kills%2 == 1 {
				p.redis.Kill()
				p.redis.Restart()
				continue
			}
			victim := p.from + p.dice.IntN(len(p.nodes)-p.from)
			old := p.node(victim)
			during := make(chan struct{})
			go func() { // while quotes are on their way
				defer close(during)
				p.publish(old, recorded, next, 60)
			}()
			old.kill()
			<-during
			next += 60
			fresh := startProcess(p.t, old.environ...)
			p.mu.Lock()
			p.nodes[victim] = fresh
			p.mu.Unlock()
		}
	}
	close(p.stop)
	p.client.Wait()
	if at := p.arrived[quietSymbol]; at.IsZero() || at.After(minute.Add(candleWithin+slack)) {
		p.t.Errorf("the minute of a symbol without further ticks ended at %v, and came at %v", minute, at)
	} else {
		p.t.Logf("the minute of a symbol without further ticks came %v after its end", at.Sub(minute))
	}
	p.check(kills)
}

// publish posts ticks of each symbol. If the node is killed meanwhile they may be accepted or not.
func (p *candleProof) publish(n *processNode, recorded [][]feed.Quote, from, count int) {
	var quotes []string
	for i, ticks := range recorded {
		for k := from; k < from+count && len(ticks) > 0; k++ {
			q := ticks[k%len(ticks)]
			if k%3 == 0 && strings.Contains(q.Bid, ".") { // the same price with other digits
				q.Bid += "0"
			}
			quotes = append(quotes, fmt.Sprintf(`{"symbol":%q,"bid":%q,"ask":%q}`, append(slices.Clone(candleSymbols), quietSymbol)[i], q.Bid, q.Ask))
		}
	}
	r, err := http.NewRequestWithContext(p.t.Context(), "POST", n.public+"/api/v1/quotes", strings.NewReader("["+strings.Join(quotes, ",")+"]"))
	if err != nil {
		p.t.Error(err)
		return
	}
	r.Header = bearer(pubToken)
	r.Header.Set("Content-Type", "application/json")
	if answer, err := n.http.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

// listen is a client that follows the closed minutes, on one node after the other.
func (p *candleProof) listen() {
	symbols, _ := json.Marshal(append(slices.Clone(candleSymbols), quietSymbol))
	for i := 0; ; i++ {
		select {
		case <-p.stop:
			return
		default:
		}
		n := p.node(i % len(p.nodes))
		ws, err := dialWS(n.public, p.guest(n))
		if err != nil {
			continue // it was just killed
		}
		done := make(chan struct{})
		go func() {
			select {
			case <-p.stop:
			case <-done:
			}
			ws.Close()
		}()
		err = ws.send(1, []byte(`{"op":"subscribe","id":1,"symbols":`+string(symbols)+`,"candles":"1m"}`))
		for err == nil {
			var text []byte
			if text, err = ws.next(); err == nil {
				p.take(text)
			}
		}
		close(done)
	}
}

func (p *candleProof) guest(n *processNode) *http.Cookie {
	r, err := http.Post(n.public+"/api/v1/session/guest", "", nil)
	if err != nil {
		return &http.Cookie{}
	}
	defer r.Body.Close()
	if len(r.Cookies()) != 1 {
		return &http.Cookie{}
	}
	return r.Cookies()[0]
}

// take notes a closed minute. No node may say otherwise than another.
func (p *candleProof) take(text []byte) {
	var m struct {
		Type, Symbol, Interval string
		Data                   protocol.Candle
	}
	if !strings.HasPrefix(string(text), `{"type":"candle"`) {
		return
	}
	if err := json.Unmarshal(text, &m); err != nil {
		p.t.Errorf("%v: %s", err, text)
		return
	}
	if m.Data.Open {
		return
	}
	if p.received[m.Symbol] == nil {
		p.received[m.Symbol], p.arrived[m.Symbol] = map[time.Time]protocol.Candle{}, time.Now()
	}
	if before, ok := p.received[m.Symbol][m.Data.Start]; ok && before != m.Data {
		p.t.Errorf("%s: a closed candle was\n%+v, is\n%+v", m.Symbol, before, m.Data)
	}
	p.received[m.Symbol][m.Data.Start] = m.Data
}

// check compares all candles with what was accepted.
func (p *candleProof) check(kills int) {
	kept, err := feed.ParseKeptCandles("1m:72h,1h:60d,1d:5y")
	if err != nil {
		p.t.Fatal(err)
	}
	stored := receive.NewCandles(p.rdb, feed.Keys{Prefix: "fx:"}, nil, kept)
	days, err := stored.Days(p.t.Context(), []feed.Symbol{feed.Symbol(candleSymbols[0]), feed.Symbol(candleSymbols[1]), feed.Symbol(candleSymbols[2])})
	if err != nil {
		p.t.Fatal(err)
	}
	all, closed := 0, 0
	for _, symbol := range candleSymbols {
		accepted := p.accepted(symbol)
		today := foldAccepted(accepted, "1d")
		last := today[len(today)-1]
		figures := protocol.Day{Since: last.Start, Open: last.Bid.Open, High: last.Bid.High, Low: last.Bid.Low}
		if len(today) > 1 { // 17:00 in New York was a moment ago
			figures.PreviousClose = today[len(today)-2].Bid.Close
		}
		if got := days[feed.Symbol(symbol)]; got != figures {
			p.t.Errorf("the day of %s: %+v, want %+v", symbol, got, figures)
		}
		all += len(accepted)
		for _, interval := range feed.Intervals {
			want := foldAccepted(accepted, interval.String())
			got, err := stored.Newest(p.t.Context(), feed.Symbol(symbol), interval, 1000, time.Time{})
			if err != nil {
				p.t.Fatal(err)
			}
			shown := make([]protocol.Candle, len(got))
			for i := range got {
				shown[i] = got[i].Candle
			}
			p.compare("stored "+interval.String()+" of "+symbol, shown, want)
			for i := range p.nodes {
				n := p.node(i)
				var answered []protocol.Candle
				n.do("GET", n.public+"/api/v1/quotes/"+symbol+"/candles?limit=1000&interval="+interval.String(), "",
					http.Header{"Cookie": {n.guest().String()}}).into(p.t, 200, &answered)
				p.compare("answered "+interval.String()+" of "+symbol, answered, want)
			}
			if interval != feed.Minute {
				continue
			}
			if len(want) < 2 {
				p.t.Errorf("%s: %d minutes, want the end of one", symbol, len(want))
			}
			for start, got := range p.received[symbol] {
				closed++
				for _, c := range want {
					if c.Start.Equal(start) && c != got {
						p.t.Errorf("a client received of %s\n%+v, want\n%+v", symbol, got, c)
					}
				}
			}
		}
	}
	if closed == 0 {
		p.t.Error("the client received no closed candle")
	}
	p.t.Logf("%d ticks accepted, %d nodes killed, %d closed minutes received", all, kills, closed)
}

func (p *candleProof) compare(what string, got, want []protocol.Candle) {
	p.t.Helper()
	if len(got) != len(want) {
		p.t.Errorf("%s: %d candles, want %d", what, len(got), len(want))
		return
	}
	for i, c := range got {
		if c.Open && i < len(got)-1 {
			p.t.Errorf("%s: candle %d of %d is open", what, i, len(got))
		}
		if c.Open = false; c != want[i] {
			p.t.Errorf("%s: candle %d\ngot  %+v\nwant %+v", what, i, c, want[i])
		}
	}
}

// acceptedTick is an entry of the history, as any program may read it.
type acceptedTick struct {
	Bid, Ask, Epoch string
	Seq             uint64
	At              int64
}

// accepted reads all that was accepted of a symbol. The history has room for it.
func (p *candleProof) accepted(symbol string) []acceptedTick {
	p.t.Helper()
	entries, err := p.rdb.XRange(p.t.Context(), "fx:{"+symbol+"}:ticks", "-", "+").Result()
	if err != nil {
		p.t.Fatal(err)
	}
	ticks := make([]acceptedTick, len(entries))
	for i, e := range entries {
		text, _ := e.Values["q"].(string)
		if err := json.Unmarshal([]byte(text), &ticks[i]); err != nil {
			p.t.Fatal(err)
		}
		before, epochs := acceptedTick{}, p.redis != nil
		if i > 0 {
			before = ticks[i-1]
		}
		follows := ticks[i].Epoch == before.Epoch && ticks[i].Seq == before.Seq+1
		if begins := ticks[i].Epoch != before.Epoch && ticks[i].Seq == 1 && (epochs || i == 0); !follows && !begins {
			p.t.Fatalf("after tick %d of epoch %s of %s comes %d of %s", before.Seq, before.Epoch, symbol, ticks[i].Seq, ticks[i].Epoch)
		}
	}
	return ticks
}

// foldAccepted is another fold, over rational numbers and with bounds of its own. Only the candles in
// which an epoch begins are incomplete.
func foldAccepted(ticks []acceptedTick, interval string) []protocol.Candle {
	var candles []protocol.Candle
	var high, low [2]*big.Rat
	for n, tick := range ticks {
		start := startOf(time.UnixMicro(tick.At), interval)
		begun := n == 0 || !candles[len(candles)-1].Start.Equal(start)
		if begun {
			candles = append(candles, protocol.Candle{Start: start, Complete: true})
		}
		c := &candles[len(candles)-1]
		if n == 0 || tick.Epoch != ticks[n-1].Epoch {
			c.Complete = false
		}
		c.Ticks++
		for i, text := range []string{tick.Bid, tick.Ask} {
			side := []*protocol.OHLC{&c.Bid, &c.Ask}[i]
			price, ok := new(big.Rat).SetString(text)
			if !ok {
				panic(text)
			}
			if begun {
				side.Open = text
			}
			if begun || price.Cmp(high[i]) > 0 {
				side.High, high[i] = text, price
			}
			if begun || price.Cmp(low[i]) < 0 {
				side.Low, low[i] = text, price
			}
			side.Close = text
		}
	}
	return candles
}

var newYork = func() *time.Location {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		panic(err)
	}
	return zone
}()

func startOf(at time.Time, interval string) time.Time {
	if interval != "1d" {
		length, _ := time.ParseDuration(interval)
		return at.UTC().Truncate(length) // since the year 1, which is a multiple of them all before 1970
	}
	local := at.In(newYork)
	day := time.Date(local.Year(), local.Month(), local.Day(), 17, 0, 0, 0, newYork)
	if local.Before(day) {
		day = time.Date(local.Year(), local.Month(), local.Day()-1, 17, 0, 0, 0, newYork)
	}
	return day.UTC()
}
