package live_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/web/internal/webtest"
	"github.com/fxcast/fxcast/web/live"
)

// ticks publishes count quotes of EUR/USD and returns the epoch and number of the last.
func ticks(n *webtest.Node, count int) (epoch string, seq uint64) {
	n.T.Helper()
	for i := range count {
		o := n.Publish([3]string{"EUR/USD", fmt.Sprintf("1.%05d", 10000+i), "2"})
		epoch, seq = o[0].Epoch, o[0].Seq
	}
	return epoch, seq
}

// everyTick reads updates of EUR/USD from one number to another, each once and in order.
func everyTick(c *webtest.Client, from, to uint64) {
	c.T.Helper()
	for next := from; next <= to; {
		for _, q := range c.Until("update").Quotes(c.T) {
			if q.Symbol != "EUR/USD" {
				continue
			}
			if q.Seq != next || q.Skipped != 0 {
				c.T.Fatalf("seq %d, skipped %d, want %d", q.Seq, q.Skipped, next)
			}
			next++
		}
	}
}

func TestEveryTick(t *testing.T) {
	n := webtest.Start(t, nil)
	c := n.User()
	epoch, seq := ticks(n, 3)
	c.Say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all"}`)
	if m := c.Want("ack"); m.Mode != "all" || m.Raw != `{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[],"max_rate":0,"mode":"all"}` {
		t.Errorf("ack %s", m.Raw)
	}
	m := c.Next()
	if m.Type == "status" { // the symbol has just become live
		m = c.Next()
	}
	if m.Type != "snapshot" {
		t.Fatalf("got %s, want snapshot", m.Raw)
	}
	q := m.Quotes(t)[0] // the newest tick that the node has received by then
	if q.Seq > seq || q.Epoch != epoch {
		t.Errorf("snapshot %+v, want %s and at most %d", q, epoch, seq)
	}
	ticks(n, 300)
	everyTick(c, q.Seq+1, 303)
}

// A wildcard also means every tick of a new symbol, even those that were accepted before the node
// knew the symbol.
func TestEveryTickOfANewSymbol(t *testing.T) {
	n := webtest.Start(t, nil)
	c := n.User()
	c.Say(`{"op":"subscribe","id":1,"symbols":["EUR/*"],"mode":"all"}`)
	c.Want("ack")
	for began := time.Now(); time.Since(began) < 700*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		ticks(n, 1) // fewer than history keeps
	}
	_, last := ticks(n, 1)
	everyTick(c, 1, last)
}

// A client that reconnects, even to another node, receives the ticks that it missed and no
// snapshot.
func TestComeBack(t *testing.T) {
	r := redistest.Start(t)
	first := webtest.Start(t, func(c *webtest.Config) { c.Redis = r })
	other := webtest.Start(t, func(c *webtest.Config) { c.Redis = r })
	epoch, _ := ticks(first, 40)
	for _, n := range []*webtest.Node{first, other} {
		c := n.User()
		c.Say(fmt.Sprintf(`{"op":"subscribe","id":1,"symbols":["EURUSD","GBP/*"],"mode":"all","since":{"eur-usd":{"epoch":%q,"seq":7}}}`, epoch))
		c.Want("ack")
		if m := c.Want("resumed"); m.Symbol != "EUR/USD" {
			t.Errorf("%s", m.Raw)
		}
		everyTick(c, 8, 40)
		c.Say(`{"op":"ping"}`)
		c.Want("pong")
		c.Close()
	}
	c := other.User()
	c.Say(fmt.Sprintf(`{"op":"subscribe","symbols":["EUR/*"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":40}}}`, epoch))
	c.Want("ack")
	c.Want("resumed")
	ticks(first, 2)
	everyTick(c, 41, 42)
}

// If the history does not reach back far enough, the client receives a reset: ticks are missing.
func TestComeBackTooLate(t *testing.T) {
	n := webtest.Start(t, nil)
	epoch, _ := ticks(n, 3)
	for name, since := range map[string]string{
		"unknown epoch": `{"EUR/USD":{"epoch":"zzz","seq":1}}`,
		"from ahead":    fmt.Sprintf(`{"EUR/USD":{"epoch":%q,"seq":99}}`, epoch),
	} {
		c := n.User()
		c.Say(`{"op":"subscribe","symbols":["EUR/USD"],"mode":"all","since":` + since + `}`)
		c.Want("ack")
		m := c.Want("snapshot")
		if !m.Reset || len(m.Quotes(t)) != 1 || m.Quotes(t)[0].Seq != 3 {
			t.Errorf("%s: %s", name, m.Raw)
		}
		c.Close()
	}
	n.RDB.Del(t.Context(), "fx:{EUR/USD}:ticks")
	c := n.User()
	c.Say(fmt.Sprintf(`{"op":"subscribe","symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":1}}}`, epoch))
	c.Want("ack")
	if m := c.Want("snapshot"); !m.Reset {
		t.Errorf("%s", m.Raw)
	}
	ticks(n, 1)
	everyTick(c, 4, 4)
}

// TestComeBackWhileRedisIsGone makes the history unreachable for a while. That alone must not cause
// a reset.
func TestComeBackWhileRedisIsGone(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Durable...)
	n := webtest.Start(t, func(c *webtest.Config) { c.Redis = r })
	epoch, _ := ticks(n, 40)
	follows := n.User() // so that the node follows the symbol when Redis goes
	follows.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	follows.Want("ack")
	follows.Want("snapshot")
	c := n.User()
	r.Kill()
	c.Say(fmt.Sprintf(`{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":7}}}`, epoch))
	c.Want("ack")
	time.Sleep(6 * time.Second) // long enough for a read to fail with all its retries
	r.Restart()
	for m := c.Next(); m.Type != "resumed"; m = c.Next() {
		if m.Type == "snapshot" {
			t.Fatalf("%s", m.Raw)
		}
	}
	everyTick(c, 8, 40)
}

// TestResumeAllowance resumes more symbols than a connection may.
func TestResumeAllowance(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Symbols, c.Commands = 5, 2 })
	epoch, seq := ticks(n, 1)
	c := n.User()
	resume := func(names ...string) {
		since := ""
		for _, name := range names {
			since += fmt.Sprintf(`,%q:{"epoch":%q,"seq":%d}`, name, epoch, seq)
		}
		c.Say(`{"op":"subscribe","symbols":["EUR/USD"],"mode":"all","since":{` + since[1:] + `}}`)
	}
	resume("EUR/USD", "EUR/GBP", "EUR/CHF", "EUR/JPY", "EUR/SEK", "EUR/NOK") // never possible
	if m := c.Want("error"); m.ErrorCode() != "rate_limited" {
		t.Errorf("%s", m.Raw)
	}
	c.Say(`{"op":"list"}`)
	if m := c.Until("list"); len(m.Symbols) != 0 {
		t.Errorf("a refused subscribe took effect: %s", m.Raw)
	}
	c = n.User()
	resume("EUR/USD", "EUR/GBP", "EUR/CHF", "EUR/JPY", "EUR/SEK")
	c.Want("ack")
	c.Want("resumed")
	resume("EUR/USD", "EUR/GBP", "EUR/CHF", "EUR/JPY")
	if m := c.Until("error"); m.ErrorCode() != "rate_limited" || !strings.Contains(m.Raw, "since") {
		t.Errorf("%s", m.Raw)
	}
}

// TestResumeEndsWithItsConnection closes a connection whose resume would wait for a minute. It is
// not parallel, since it changes how long a resume waits.
func TestResumeEndsWithItsConnection(t *testing.T) {
	defer live.SetResumeStep(time.Minute)()
	n := webtest.Start(t, nil)
	epoch, _ := ticks(n, 2)
	c := n.User()
	n.Redis.Kill()
	c.Say(fmt.Sprintf(`{"op":"subscribe","symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":1}}}`, epoch))
	c.Want("ack")
	closed := time.Now()
	go n.Hub.Drain(t.Context(), 0)
	c.WantClose(1012)
	webtest.Eventually(t, "its goroutine ends", func() bool { return strings.Contains(n.Log.String(), "connection ended") })
	if d := time.Since(closed); d > 55*time.Second {
		t.Errorf("it ended after %v", d)
	}
}
