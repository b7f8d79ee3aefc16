package web_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
)

// ticks publishes count quotes of EUR/USD and returns the epoch and number of the last.
func (n *testNode) ticks(count int) (epoch string, seq uint64) {
	n.t.Helper()
	for i := range count {
		o := n.publish([3]string{"EUR/USD", fmt.Sprintf("1.%05d", 10000+i), "2"})
		epoch, seq = o[0].Epoch, o[0].Seq
	}
	return epoch, seq
}

// everyTick reads updates of EUR/USD from one number to another, each once and in order.
func (c *client) everyTick(from, to uint64) {
	c.t.Helper()
	for next := from; next <= to; {
		for _, q := range c.until("update").quotes(c.t) {
			if q.Symbol != "EUR/USD" {
				continue
			}
			if q.Seq != next || q.Skipped != 0 {
				c.t.Fatalf("seq %d, skipped %d, want %d", q.Seq, q.Skipped, next)
			}
			next++
		}
	}
}

func TestEveryTick(t *testing.T) {
	n := startNode(t, nil)
	c := n.user()
	epoch, seq := n.ticks(3)
	c.say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all"}`)
	if m := c.want("ack"); m.Mode != "all" || m.raw != `{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[],"max_rate":0,"mode":"all"}` {
		t.Errorf("ack %s", m.raw)
	}
	q := c.want("snapshot").quotes(t)[0] // of what the node has received by then
	if q.Seq > seq || q.Epoch != epoch {
		t.Errorf("snapshot %+v, want %s and at most %d", q, epoch, seq)
	}
	n.ticks(300)
	c.everyTick(q.Seq+1, 303)
}

// A wildcard means every tick of a new symbol too, also those that were accepted
// before the node knew of it.
func TestEveryTickOfANewSymbol(t *testing.T) {
	n := startNode(t, nil)
	c := n.user()
	c.say(`{"op":"subscribe","id":1,"symbols":["EUR/*"],"mode":"all"}`)
	c.want("ack")
	for began := time.Now(); time.Since(began) < 700*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		n.ticks(1) // fewer than history keeps
	}
	_, last := n.ticks(1)
	c.everyTick(1, last)
}

// Who comes back, also to another node, gets what it has missed, no snapshot.
func TestComeBack(t *testing.T) {
	r := redistest.Start(t)
	first := startNode(t, func(c *nodeConfig) { c.redis = r })
	other := startNode(t, func(c *nodeConfig) { c.redis = r })
	epoch, _ := first.ticks(40)
	for _, n := range []*testNode{first, other} {
		c := n.user()
		c.say(fmt.Sprintf(`{"op":"subscribe","id":1,"symbols":["EURUSD","GBP/*"],"mode":"all","since":{"eur-usd":{"epoch":%q,"seq":7}}}`, epoch))
		c.want("ack")
		if m := c.want("resumed"); m.Symbol != "EUR/USD" {
			t.Errorf("%s", m.raw)
		}
		c.everyTick(8, 40)
		c.say(`{"op":"ping"}`)
		c.want("pong")
		c.Close()
	}
	c := other.user()
	c.say(fmt.Sprintf(`{"op":"subscribe","symbols":["EUR/*"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":40}}}`, epoch))
	c.want("ack")
	c.want("resumed")
	first.ticks(2)
	c.everyTick(41, 42)
}

// Where history does not reach back, the client is told that ticks are missing.
func TestComeBackTooLate(t *testing.T) {
	n := startNode(t, nil)
	epoch, _ := n.ticks(3)
	for name, since := range map[string]string{
		"unknown epoch": `{"EUR/USD":{"epoch":"zzz","seq":1}}`,
		"from ahead":    fmt.Sprintf(`{"EUR/USD":{"epoch":%q,"seq":99}}`, epoch),
	} {
		c := n.user()
		c.say(`{"op":"subscribe","symbols":["EUR/USD"],"mode":"all","since":` + since + `}`)
		c.want("ack")
		m := c.want("snapshot")
		if !m.Reset || len(m.quotes(t)) != 1 || m.quotes(t)[0].Seq != 3 {
			t.Errorf("%s: %s", name, m.raw)
		}
		c.Close()
	}
	n.rdb.Del(t.Context(), "fx:{EUR/USD}:ticks")
	c := n.user()
	c.say(fmt.Sprintf(`{"op":"subscribe","symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":1}}}`, epoch))
	c.want("ack")
	if m := c.want("snapshot"); !m.Reset {
		t.Errorf("%s", m.raw)
	}
	n.ticks(1)
	c.everyTick(4, 4)
}

// TestComeBackWhileRedisIsGone has history out of reach for a while: that is no
// reason to begin anew.
func TestComeBackWhileRedisIsGone(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Durable...)
	n := startNode(t, func(c *nodeConfig) { c.redis = r })
	epoch, _ := n.ticks(40)
	follows := n.user() // so that the node follows the symbol when Redis goes
	follows.say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	follows.want("ack")
	follows.want("snapshot")
	c := n.user()
	r.Kill()
	c.say(fmt.Sprintf(`{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":7}}}`, epoch))
	c.want("ack")
	time.Sleep(6 * time.Second) // in which any one reading has failed, with all its retries
	r.Restart()
	for m := c.next(); m.Type != "resumed"; m = c.next() {
		if m.Type == "snapshot" {
			t.Fatalf("%s", m.raw)
		}
	}
	c.everyTick(8, 40)
}
