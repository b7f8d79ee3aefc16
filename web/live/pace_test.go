package live_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// awaitMinute returns early in a minute, so that no beat of a pace of a minute comes meanwhile.
func awaitMinute() {
	if left := time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)); left < 10*time.Second {
		time.Sleep(left + time.Second)
	}
}

// Quotes wait for the end of the interval, whatever else is sent. The end of the pace sends them.
func TestPace(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	n.Publish([3]string{"EUR/USD", "1.08500", "1.08510"}, [3]string{"GBP/USD", "1.27000", "1.27010"})
	webtest.Eventually(t, "both symbols are here", func() bool { return n.LastQuotes() == 2 })
	token, _ := n.SignIn("alice", "user")
	c, _ := n.Connect(token)
	other, _ := n.Connect(token)
	other.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	other.Until("snapshot")
	awaitMinute()
	for _, align := range []bool{true, false} {
		c.Say(fmt.Sprintf(`{"op":"pace","id":1,"every_ms":60000,"align":%t}`, align))
		if got, want := c.Until("ack").Raw, fmt.Sprintf(`{"type":"ack","id":1,"op":"pace","every_ms":60000,"align":%t}`, align); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		c.Say(`{"op":"subscribe","symbols":["*"]}`)
		c.Want("ack")
		seq := map[string]uint64{}
		for len(seq) < 2 {
			for _, q := range c.Want("snapshot").Quotes(t) {
				seq[q.Symbol] = q.Seq
			}
		}
		n.Publish([3]string{"GBP/USD", "1.27001", "1.27011"}, [3]string{"EUR/USD", "1.08501", "1.08511"}, [3]string{"EUR/USD", "1.08502", "1.08512"})
		for last := uint64(0); last < seq["EUR/USD"]+2; {
			last = other.Until("update").Quotes(t)[0].Seq
		}
		c.Say(`{"op":"pace","id":2,"every_ms":5}`)
		if got := c.Want("error"); got.ErrorCode() != "bad_field" || string(got.ID) != "2" {
			t.Errorf("%s, want bad_field", got.Raw)
		}
		c.Say(`{"op":"pace","id":3,"every_ms":0}`)
		if got, want := c.Want("ack").Raw, `{"type":"ack","id":3,"op":"pace","every_ms":0,"align":false}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		for want := map[string]uint64{"EUR/USD": seq["EUR/USD"] + 2, "GBP/USD": seq["GBP/USD"] + 1}; len(want) > 0; {
			for _, q := range c.Want("update").Quotes(t) {
				if q.Seq != want[q.Symbol] || q.Seq != seq[q.Symbol]+q.Skipped+1 {
					t.Fatalf("%+v after %d, want %d", q, seq[q.Symbol], want[q.Symbol])
				}
				delete(want, q.Symbol)
			}
		}
	}
}

// A stream takes its pace from the query.
func TestPaceOfStream(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	n.Publish([3]string{"EUR/USD", "1.08500", "1.08510"})
	webtest.Eventually(t, "the symbol is here", func() bool { return n.LastQuotes() == 1 })
	token, sess := n.SignIn("alice", "user")
	awaitMinute()
	slow, fast := openStream(n, token, "pace_ms=60000", ""), openStream(n, token, "pace_ms=10", "")
	for _, s := range []*streamReader{slow, fast} {
		s.want("welcome")
		s.want("ack")
		s.want("snapshot")
	}
	n.Publish([3]string{"EUR/USD", "1.08501", "1.08511"})
	if q := fast.want("update").Quotes(t)[0]; q.Seq != 2 {
		t.Errorf("%+v, want the second tick", q)
	}
	if err := n.Sessions.Revoke(t.Context(), sess.ID); err != nil {
		t.Fatal(err)
	}
	slow.want("closing")
}
