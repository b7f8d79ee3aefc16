package client

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

func parsed(t *testing.T, text []byte) protocol.Command {
	t.Helper()
	var c protocol.Command
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSinceFits checks that the command which resumes keeps within the limits of the connection.
func TestSinceFits(t *testing.T) {
	s := &Subscription{mode: All, names: []string{"*/USD"}, last: map[string]Position{"EUR/JPY": {Epoch: "e", Seq: 1}}}
	for i := range 300 {
		s.last[fmt.Sprintf("A%d/USD", i)] = Position{Epoch: "0mwxi5bhbbyps", Seq: 1 << 60}
	}
	for _, tc := range []struct {
		limits      protocol.Limits
		bytes       int
		least, most int
	}{
		{protocol.Limits{}, protocol.MaxMessageBytes, 300, 300},
		{protocol.Limits{MaxSymbols: 200}, protocol.MaxMessageBytes, 200, 200},
		{protocol.Limits{MaxSymbols: 200, MaxMessageBytes: 2000}, 2000, 20, 40},
		{protocol.Limits{MaxMessageBytes: 80}, 80, 0, 0},
	} {
		text := s.command("1", command{names: s.names, since: s.last}, tc.limits)
		c := parsed(t, text)
		if len(text) > tc.bytes || len(c.Since) < tc.least || len(c.Since) > tc.most {
			t.Errorf("%+v: %d bytes with %d positions, want at most %d with %d to %d", tc.limits, len(text), len(c.Since), tc.bytes, tc.least, tc.most)
		}
		if _, other := c.Since["EUR/JPY"]; other {
			t.Error("a position of a symbol that the subscription does not include")
		}
	}
	s.mode = MaxRate(4)
	if c := parsed(t, s.command("1", command{names: s.names, since: s.last}, protocol.Limits{})); c.Since != nil || c.Mode != protocol.ModeLatest || c.MaxRate != 4 {
		t.Errorf("latest: %+v", c)
	}
}

// TestOutboxIsBounded checks that subscriptions which are closed before they were sent leave nothing,
// and that unsubscribes are sent together.
func TestOutboxIsBounded(t *testing.T) {
	c := &Client{}
	x := &connection{client: c, outbox: newOutbox()}
	var sent []*Subscription
	for i := range 1000 {
		s := &Subscription{names: []string{"A" + strconv.Itoa(i) + "/USD"}}
		x.subscribe(s)
		if i < 10 {
			x.next()
			sent = append(sent, s)
		} else {
			x.drop(s)
		}
	}
	for _, s := range sent {
		x.drop(s)
	}
	if len(x.inFlight) > 0 || len(x.waiting) != 1 {
		t.Fatalf("%d in flight, %d waiting, want one unsubscribe", len(x.inFlight), len(x.waiting))
	}
	names := map[string]bool{}
	for _, name := range parsed(t, x.next()).Symbols {
		names[name] = true
	}
	if len(names) != 10 {
		t.Errorf("unsubscribed %d names, want the 10 that were sent", len(names))
	}
}

// TestManyNames checks that a subscription of more names than a command takes is sent in several, and
// counts as one.
func TestManyNames(t *testing.T) {
	fx := &Client{state: Live, ctx: t.Context()}
	x := &connection{client: fx, outbox: newOutbox()}
	fx.conn = x
	var names []string
	for i := range 1000 {
		names = append(names, "A"+strconv.Itoa(i)+"/USD")
	}
	s, err := fx.Subscribe(names, All)
	if err != nil {
		t.Fatal(err)
	}
	for want := 1000; want > 0; want -= maxNames {
		if len(x.waiting) != want/maxNames {
			t.Fatalf("%d commands wait, want %d", len(x.waiting), want/maxNames)
		}
		c := parsed(t, x.next())
		if want == 1000 { // one name is refused
			err = x.acked(protocol.Ack{ID: c.ID, OK: c.Symbols[1:], Failed: []protocol.Refusal{{Symbol: c.Symbols[0], Code: "unknown_symbol"}}})
		} else {
			err = x.acked(protocol.Ack{ID: c.ID, OK: c.Symbols})
		}
		if err != nil || len(c.Symbols) != maxNames {
			t.Fatalf("%d names, %v", len(c.Symbols), err)
		}
	}
	if len(x.routes) != 999 || len(s.names) != 999 {
		t.Errorf("%d routes, %d names, want 999", len(x.routes), len(s.names))
	}
	s.Close()
	left := 0
	for len(x.waiting) > 0 {
		left += len(parsed(t, x.next()).Symbols)
	}
	if left != 999 || len(x.routes) > 0 {
		t.Errorf("unsubscribed %d names, want 999; %d routes are left", left, len(x.routes))
	}
	for _, rate := range []float64{-1, math.NaN(), math.Inf(1)} {
		if _, err := fx.Subscribe([]string{"EUR/USD"}, MaxRate(rate)); err == nil {
			t.Errorf("took a rate of %v", rate)
		}
	}
}
