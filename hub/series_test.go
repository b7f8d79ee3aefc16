package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// candle returns the candle of a minute with a number of ticks.
func candle(minute, ticks int, open bool) protocol.Candle {
	return protocol.Candle{Start: time.Unix(int64(minute)*60, 0).UTC(), Ticks: uint64(ticks), Complete: true, Open: open}
}

func day(high int) protocol.Day {
	return protocol.Day{Since: time.Unix(0, 0).UTC(), High: fmt.Sprint(high)}
}

// notices returns the candles and day figures that a peer has received, in short: 1m EUR/USD 7:3 is
// the closed candle of minute 7 with 3 ticks, and 7:3+ the running one.
func (p *peer) notices() (short []string) {
	for _, m := range p.messages("notice") {
		decoded, err := protocol.Decode([]byte(m.Text))
		if err != nil {
			panic(err)
		}
		switch n := decoded.(type) {
		case protocol.CandleUpdate:
			text := fmt.Sprintf("%s %s %d:%d", n.Interval, n.Symbol, n.Data.Start.Unix()/60, n.Data.Ticks)
			if n.Data.Open {
				text += "+"
			}
			short = append(short, text)
		case protocol.DayUpdate:
			short = append(short, fmt.Sprintf("day %s %s", n.Symbol, n.Day.High))
		}
	}
	return short
}

func wantNotices(t *testing.T, p *peer, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := p.notices(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.check(t)
}

var watchAck = []byte(`{"type":"ack","op":"subscribe"}`)

func TestCandles(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	interest := func(topic string) { mu.Lock(); defer mu.Unlock(); asked = append(asked, topic) }
	bubble(t, hub.Config{Shards: 2, Interest: interest}, func(t *testing.T, h *hub.Hub, f *feed) {
		p, q := join(t, h, newPeer()), join(t, h, newBinaryPeer()) // in both shards
		h.Candle("EUR/USD", "1m", candle(7, 1, true))              // nobody wants it
		p.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		if !h.Wanted("EUR/USD") || !h.WantsCandles("EUR/USD", "1m") || h.WantsCandles("EUR/USD", "5m") || h.WantsDay("EUR/USD") || h.WantsCandles("GBP/USD", "1m") {
			t.Error("the hub does not want exactly what is watched")
		}
		wantNotices(t, p)
		h.Candle("EUR/USD", "1m", candle(7, 2, true))
		h.Candle("EUR/USD", "5m", candle(5, 2, true))
		h.Candle("GBP/USD", "1m", candle(7, 2, true))
		h.Day("EUR/USD", day(1))
		synctest.Wait()
		q.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		synctest.Wait()
		if got, want := fmt.Sprint(q.types()), "[welcome ack notice]"; got != want {
			t.Errorf("the second client received %s, want %s", got, want)
		}
		h.Candle("EUR/USD", "1m", candle(7, 3, false))
		wantNotices(t, p, "1m EUR/USD 7:2+", "1m EUR/USD 7:3")
		wantNotices(t, q, "1m EUR/USD 7:2+", "1m EUR/USD 7:3")

		// A closed candle is no news for a later client.
		p.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		p.client.WatchDay([]string{"EUR/USD"}, watchAck)
		h.Day("EUR/USD", day(2))
		h.Candle("EUR/USD", "1m", candle(8, 1, true))
		wantNotices(t, p, "1m EUR/USD 7:2+", "1m EUR/USD 7:3", "day EUR/USD 2", "1m EUR/USD 8:1+")

		q.client.UnwatchCandles("1m", []string{"EUR/USD"}, watchAck)
		q.client.UnwatchCandles("1m", []string{"EUR/USD"}, watchAck)
		p.client.UnwatchCandles("1m", []string{"EUR/USD"}, watchAck)
		if h.WantsCandles("EUR/USD", "1m") || !h.WantsDay("EUR/USD") || !h.Wanted("EUR/USD") {
			t.Error("the hub does not want exactly what is still watched")
		}
		p.client.UnwatchDay([]string{"EUR/USD"}, watchAck)
		if h.Wanted("EUR/USD") || h.WantsDay("EUR/USD") {
			t.Error("the topic is still wanted")
		}
		synctest.Wait()
		mu.Lock()
		if want := []string{"EUR/USD", "EUR/USD"}; len(asked) < 4 || !slices.Equal(asked[:2], want) || !slices.Equal(asked[len(asked)-2:], want) {
			t.Errorf("Interest was called for %q", asked)
		}
		mu.Unlock()

		// The newest candle of the time when the last client left is old.
		p.forget()
		p.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		p.client.WatchDay([]string{"EUR/USD"}, watchAck)
		wantNotices(t, p)
	})
}

// What a removed symbol had is sent to nobody who subscribes afterwards.
func TestDropCandles(t *testing.T) {
	bubble(t, hub.Config{Shards: 2}, func(t *testing.T, h *hub.Hub, f *feed) {
		p, q := join(t, h, newPeer()), join(t, h, newPeer())
		h.DropCandles("EUR/USD") // which the hub does not know
		p.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		p.client.WatchDay([]string{"EUR/USD"}, watchAck)
		synctest.Wait()
		h.Candle("EUR/USD", "1m", candle(7, 2, true))
		h.Day("EUR/USD", day(1))
		wantNotices(t, p, "1m EUR/USD 7:2+", "day EUR/USD 1")
		h.DropCandles("EUR/USD")
		q.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		q.client.WatchDay([]string{"EUR/USD"}, watchAck)
		wantNotices(t, q)
		h.Candle("EUR/USD", "1m", candle(7, 1, true))
		wantNotices(t, q, "1m EUR/USD 7:1+")
		wantNotices(t, p, "1m EUR/USD 7:2+", "day EUR/USD 1", "1m EUR/USD 7:1+")
	})
}

// A topic with quotes and candles is followed until both have ended.
func TestCandlesKeepTheTopic(t *testing.T) {
	bubble(t, hub.Config{Interest: func(string) {}}, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		p.client.WatchCandles("1m", []string{"EUR/USD"}, nil)
		h.Follow("EUR/USD", true)
		f.publish("EUR/USD", 2)
		f.subscribe(p, 0, "EUR/USD")
		synctest.Wait()
		f.publish("EUR/USD", 1)
		synctest.Wait()
		f.settled(t, p)
		if got, want := fmt.Sprint(p.types()), "[welcome ack snapshot update]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		f.unsubscribe(p, "EUR/USD")
		if !h.Wanted("EUR/USD") {
			t.Error("the topic is not wanted although its candles are")
		}
		p.client.UnwatchCandles("1m", []string{"EUR/USD"}, nil)
		if h.Wanted("EUR/USD") {
			t.Error("the topic is still wanted")
		}
	})
}

// A client that takes nothing gets the newest running candle, and every one that has closed.
func TestSlowClientGetsClosedCandles(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := newPeer()
		p.block()
		join(t, h, p)
		p.client.WatchCandles("1m", []string{"EUR/USD", "GBP/USD"}, watchAck)
		p.client.WatchDay([]string{"EUR/USD"}, nil)
		for minute := range 3 {
			for n := 1; n < 50; n++ {
				h.Candle("EUR/USD", "1m", candle(minute, n, true))
				h.Day("EUR/USD", day(n))
				synctest.Wait()
			}
			h.Candle("EUR/USD", "1m", candle(minute, 50, false))
			synctest.Wait()
		}
		h.Candle("GBP/USD", "1m", candle(9, 1, true))
		h.Candle("EUR/USD", "1m", candle(3, 1, true))
		h.Candle("EUR/USD", "1m", candle(3, 2, true))
		synctest.Wait()
		p.unblock()
		wantNotices(t, p, "1m EUR/USD 0:50", "1m EUR/USD 1:50", "1m EUR/USD 2:50", "day EUR/USD 49", "1m GBP/USD 9:1+", "1m EUR/USD 3:2+")
	})
}

func TestTooManyClosedCandles(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p, q := newPeer(), join(t, h, newPeer())
		p.block()
		join(t, h, p)
		for _, c := range []*peer{p, q} {
			c.client.WatchCandles("1m", []string{"EUR/USD", "*"}, nil)
			c.client.WatchCandles("5m", []string{"*"}, nil)
		}
		for n := range hub.MinFinals + 1 {
			if p.closed() != 0 {
				t.Fatalf("closed with %d after %d candles", p.closed(), n)
			}
			h.Candle("EUR/USD", "1m", candle(n, 1, false))
			synctest.Wait()
		}
		if p.closed() != protocol.CodeSlow {
			t.Errorf("closed with %d, want %d", p.closed(), protocol.CodeSlow)
		}
		p.client.Leave()
		h.Candle("EUR/USD", "1m", candle(9999, 1, false))
		synctest.Wait()
		if n := len(q.notices()); n != hub.MinFinals+2 {
			t.Errorf("the other client has %d candles", n)
		}
	})
}

// Running candles and day figures come to a client no faster than its rate. But the first after the
// ack and those that close come at once, and the last one always comes.
func TestCandlesAtARate(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := newPeer()
		p.rate = 0.5
		join(t, h, p)
		other := join(t, h, newPeer())
		other.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		h.Candle("EUR/USD", "1m", candle(0, 1, true))
		synctest.Wait()
		p.client.WatchCandles("1m", []string{"EUR/USD"}, watchAck)
		p.client.WatchDay([]string{"EUR/USD"}, nil)
		wantNotices(t, p, "1m EUR/USD 0:1+")
		for n := 2; n <= 42; n++ {
			h.Candle("EUR/USD", "1m", candle(0, n, true))
			h.Day("EUR/USD", day(n))
			time.Sleep(quarter)
		}
		time.Sleep(3 * time.Second)
		last := map[string]time.Time{}
		for i, m := range p.messages("notice")[1:] {
			series := strings.Fields(p.notices()[i+1])[0]
			if at, ok := last[series]; ok && m.at.Sub(at) < 2*time.Second {
				t.Errorf("%s: %v after the one before", p.notices()[i+1], m.at.Sub(at))
			}
			last[series] = m.at
		}
		if got := p.notices(); len(got) < 11 || !slices.Contains(got, "1m EUR/USD 0:42+") || !slices.Contains(got, "day EUR/USD 42") {
			t.Errorf("got %q", got)
		}
		if n := len(other.notices()); n != 42 {
			t.Errorf("a client without a rate received %d candles", n)
		}
		h.Candle("EUR/USD", "1m", candle(1, 1, true))
		synctest.Wait()
		p.forget()
		h.Candle("EUR/USD", "1m", candle(1, 2, true))
		wantNotices(t, p)
		h.Candle("EUR/USD", "1m", candle(1, 3, false))
		wantNotices(t, p, "1m EUR/USD 1:3")
	})
}

// Candles of many topics close at one moment: that does not make a client slow.
func TestManyCandlesCloseTogether(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		const topics = hub.MinFinals/2 + 1
		p := newPeer()
		join(t, h, p)
		for _, interval := range []string{"1m", "5m"} {
			p.client.WatchCandles(interval, []string{"*"}, nil)
		}
		name := func(n int) string { return fmt.Sprintf("A%d/USD", n) }
		for n := range topics {
			h.List(name(n), true)
		}
		synctest.Wait()
		p.block()
		p.client.Send([]byte(`{"type":"pong"}`)) // blocks the connection
		synctest.Wait()
		for _, interval := range []string{"1m", "5m"} {
			for n := range topics {
				h.Candle(name(n), interval, candle(7, 1, false))
			}
		}
		synctest.Wait()
		if p.closed() != 0 {
			t.Fatalf("closed with %d", p.closed())
		}
		p.unblock()
		synctest.Wait()
		if n := len(p.notices()); n != 2*topics {
			t.Errorf("%d candles, want %d", n, 2*topics)
		}
	})
}

func TestCandlesOfWildcards(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		h.List("EUR/USD", true)
		p.client.WatchCandles("1m", []string{"EUR/*", "*", "EUR/USD"}, watchAck)
		p.client.WatchDay([]string{"*/JPY"}, nil)
		synctest.Wait()
		if !h.WantsCandles("EUR/USD", "1m") || h.WantsCandles("EUR/GBP", "1m") || h.WantsDay("USD/JPY") {
			t.Error("the hub does not want exactly what is listed")
		}
		h.List("EUR/GBP", true)
		h.List("USD/JPY", true)
		synctest.Wait()
		if !h.WantsCandles("EUR/GBP", "1m") || !h.WantsDay("USD/JPY") || !h.Wanted("USD/JPY") || h.WantsDay("EUR/USD") {
			t.Error("wildcards do not match new topics")
		}
		h.Candle("EUR/USD", "1m", candle(1, 1, false))
		h.Day("USD/JPY", day(5))
		wantNotices(t, p, "1m EUR/USD 1:1", "day USD/JPY 5")
		p.client.UnwatchCandles("1m", []string{"EUR/*", "EUR/USD"}, watchAck)
		h.Candle("EUR/USD", "1m", candle(2, 1, false))
		wantNotices(t, p, "1m EUR/USD 1:1", "day USD/JPY 5", "1m EUR/USD 2:1")
		h.List("EUR/USD", false)
		synctest.Wait()
		if h.WantsCandles("EUR/USD", "1m") || !h.WantsCandles("EUR/GBP", "1m") {
			t.Error("a wildcard matches a topic that is not listed")
		}
		h.List("EUR/USD", true)
		synctest.Wait()
		p.client.Leave()
		for _, topic := range []string{"EUR/USD", "EUR/GBP", "USD/JPY"} {
			if h.Wanted(topic) || h.WantsCandles(topic, "1m") || h.WantsDay(topic) {
				t.Errorf("%s is wanted by nobody", topic)
			}
		}
	})
}

// Whatever clients and the feed do: a client receives each closed candle of what it watches once and in
// order, no running candle of an earlier minute after it, and in the end the newest running one.
func TestCandlesInAnyInterleaving(t *testing.T) {
	topics := []string{"EUR/USD", "EUR/GBP", "USD/JPY"}
	patterns := []string{"EUR/USD", "USD/JPY", "EUR/*", "*"}
	rapid.Check(t, func(t *rapid.T) {
		h, stop := startStop(t, hub.Config{Shards: 2, Heartbeat: time.Minute})
		defer stop()
		for _, topic := range topics {
			h.List(topic, true)
		}
		peers := []*peer{join(t, h, newPeer()), join(t, h, newPeer()), join(t, h, newBinaryPeer())}
		watched := make([]map[string]bool, len(peers))
		closed := make([]map[string][]string, len(peers)) // by topic, since the watch began
		for i := range peers {
			watched[i], closed[i] = map[string]bool{}, map[string][]string{}
		}
		watches := func(i int, topic string) bool {
			return slices.ContainsFunc(patterns, func(p string) bool { return watched[i][p] && matches(p, topic) })
		}
		minute, ticks := map[string]int{}, map[string]int{}
		newest := map[string]string{} // the running candle, if it was published for any client
		anyone := func(topic string) bool { return watches(0, topic) || watches(1, topic) || watches(2, topic) }
		settle := func() {
			for _, p := range peers { // a command runs after all that was published before it
				p.client.WatchCandles("1h", nil, nil)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(peers)-1).Draw(t, "peer")
			topic := rapid.SampledFrom(topics).Draw(t, "topic")
			pattern := rapid.SampledFrom(patterns).Draw(t, "pattern")
			switch rapid.SampledFrom([]string{"watch", "unwatch", "run", "run", "run", "close", "block", "unblock"}).Draw(t, "step") {
			case "watch":
				settle() // a candle that closes meanwhile may come or not
				watched[i][pattern] = true
				peers[i].client.WatchCandles("1m", []string{pattern}, watchAck)
			case "unwatch":
				settle()
				before := map[string]bool{}
				for _, topic := range topics {
					before[topic] = watches(i, topic)
				}
				delete(watched[i], pattern)
				peers[i].client.UnwatchCandles("1m", []string{pattern}, watchAck)
				for _, topic := range topics {
					if before[topic] && !watches(i, topic) {
						peers[i].unblock() // what it has by now does not count any more
						delete(closed[i], topic)
						peers[i].mu.Lock()
						peers[i].log = slices.DeleteFunc(peers[i].log, func(m message) bool { return strings.Contains(m.Text, topic) })
						peers[i].mu.Unlock()
					}
					if !anyone(topic) {
						delete(newest, topic)
					}
				}
			case "run":
				ticks[topic]++
				h.Candle(topic, "1m", candle(minute[topic], ticks[topic], true))
				if anyone(topic) {
					newest[topic] = fmt.Sprintf("1m %s %d:%d+", topic, minute[topic], ticks[topic])
				}
			case "close":
				if ticks[topic] == 0 {
					continue
				}
				h.Candle(topic, "1m", candle(minute[topic], ticks[topic], false))
				for i := range peers {
					if watches(i, topic) {
						closed[i][topic] = append(closed[i][topic], fmt.Sprintf("1m %s %d:%d", topic, minute[topic], ticks[topic]))
					}
				}
				minute[topic], ticks[topic] = minute[topic]+1, 0
				delete(newest, topic)
			case "block":
				peers[i].block()
			case "unblock":
				peers[i].unblock()
			}
		}
		for _, p := range peers {
			p.unblock()
		}
		settle()
		settle() // once Ready has been called
		for i, p := range peers {
			p.check(t)
			for _, topic := range topics {
				var got []string
				last, begun := "", -1
				for _, n := range p.notices() {
					if !strings.Contains(n, topic) {
						continue
					}
					var m, k int
					if _, err := fmt.Sscanf(n[len("1m "+topic+" "):], "%d:%d", &m, &k); err != nil {
						t.Fatal(err)
					}
					if m < begun {
						t.Errorf("client %d: %s after minute %d", i, n, begun)
					}
					if last, begun = n, m; !strings.HasSuffix(n, "+") {
						got, begun = append(got, n), m+1
					}
				}
				if !slices.Equal(got, closed[i][topic]) {
					t.Errorf("client %d: closed %q, want %q", i, got, closed[i][topic])
				}
				if want := newest[topic]; want != "" && watches(i, topic) && last != want {
					t.Errorf("client %d: the last candle is %q, want %q", i, last, want)
				}
			}
		}
	})
}
