package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/faulttest"
)

// reported returns how many quotes were reported as dropped or of unknown outcome.
func (c *connectors) reported() (n int) {
	pattern := regexp.MustCompile(`(\d+) were dropped, unknown whether accepted (\d+)`)
	for _, log := range c.logs {
		for _, m := range pattern.FindAllStringSubmatch(log.String(), -1) {
			dropped, _ := strconv.Atoi(m[1])
			unknown, _ := strconv.Atoi(m[2])
			n += dropped + unknown
		}
	}
	return n
}

// entries returns the history of the symbols.
func (c *connectors) entries() (kept []faulttest.Entry) {
	for _, s := range vendorSymbols {
		for _, e := range c.redis.client.XRange(c.t.Context(), "fx:{"+s+"}:ticks", "-", "+").Val() {
			tick, err := feed.DecodeTick([]byte(e.Values["q"].(string)))
			if err != nil {
				c.t.Fatal(err)
			}
			kept = append(kept, faulttest.Entry{Symbol: s, Bid: tick.Bid, Epoch: tick.Epoch, Seq: tick.Seq})
		}
	}
	return kept
}

// verify accounts for every price that the vendor has sent.
func (c *connectors) verify(killed toll, stopClients func()) {
	t := c.t
	c.stop()
	c.noteRefused(t.Context())
	kept := c.entries()
	sent, connections := c.sent()
	published := c.compare(kept, sent)
	last := map[string]string{}
	for _, e := range kept {
		last[e.Symbol] = e.Bid
	}
	programtest.Eventually(t, "the clients have the last prices", func() bool {
		return !slices.ContainsFunc(c.clients, func(client *faulttest.Client) bool { return !hasLast(client, last) })
	})
	stopClients()
	var records []faulttest.Record
	for _, client := range c.clients {
		records = append(records, client.Record())
	}
	for _, v := range shortened(faulttest.Verify(published, kept, records)) {
		t.Error(v)
	}

	shown := shownIn(records)
	tail, holes, refused, forgotten := 0, 0, 0, 0
	ends := map[string]int{} // by connection and symbol: index of the last accepted price
	for i, one := range sent {
		if published[i].State == faulttest.Accepted {
			ends[fmt.Sprint(one.connection, one.symbol)] = i
		}
	}
	for i, one := range sent {
		end, some := ends[fmt.Sprint(one.connection, one.symbol)]
		switch {
		case published[i].State == faulttest.Accepted:
		case published[i].State == faulttest.Rejected:
			refused++
		case shown[one.bid]: // its epoch is over, else Verify has found a gap
			forgotten++
		case !some || i > end:
			tail++
		default:
			holes++
		}
	}
	if reported := c.reported(); holes > reported {
		t.Errorf("%d prices are missing within connections, and the logs report %d", holes, reported)
	}
	t.Logf("seed %d: %s; %d prices on %d connections: %d accepted, %d refused and listed, %d at the end of a connection, %d of an outage (%d reported), %d shown and forgotten by Redis, under an epoch that ended",
		c.seed, killed, len(sent), connections, len(kept), refused, tail, holes, c.reported(), forgotten)
}

// shownIn returns the bids that a client of mode all received. One that Redis has no more was accepted
// and forgotten: a server that is killed may lose up to two seconds (appendfsync everysec).
func shownIn(records []faulttest.Record) map[string]bool {
	shown := map[string]bool{}
	for _, r := range records {
		for _, e := range r.Events {
			if r.Mode == faulttest.All && e.Bid != "" {
				shown[e.Bid] = true
			}
		}
	}
	return shown
}

// sentPrice is a price that the vendor has sent.
type sentPrice struct {
	connection  int
	symbol, bid string
}

func (c *connectors) sent() (sent []sentPrice, connections int) {
	pattern := regexp.MustCompile(`"symbol":"([A-Z/]+)","bid":([0-9.]+)`)
	for _, one := range c.vendor.Sent() {
		m := pattern.FindStringSubmatch(one.Message)
		sent = append(sent, sentPrice{one.Connection, m[1], m[2]})
		connections = max(connections, one.Connection)
	}
	return sent, connections
}

// compare returns what became of each price. Those that were accepted must have been accepted once,
// and in the order in which they were sent.
func (c *connectors) compare(kept []faulttest.Entry, sent []sentPrice) (published []faulttest.Tick) {
	at := map[sentPrice]int{} // without connection
	for i, one := range sent {
		at[sentPrice{0, one.symbol, one.bid}] = i
		tick := faulttest.Tick{Symbol: one.symbol, Bid: one.bid, Answered: time.Unix(0, int64(i))}
		if c.refused[one.bid] {
			tick.State = faulttest.Rejected
		}
		published = append(published, tick)
	}
	newest, numbers := map[string]int{}, map[string]bool{}
	for _, e := range kept {
		i, ok := at[sentPrice{0, e.Symbol, e.Bid}]
		number := fmt.Sprint(e.Symbol, e.Epoch, e.Seq)
		before, some := newest[e.Symbol]
		if !ok || some && i <= before || numbers[number] || published[i].State != faulttest.Unknown {
			c.t.Fatalf("%+v was not sent, was refused, is accepted twice, or is out of order", e)
		}
		newest[e.Symbol], numbers[number] = i, true
		published[i].State, published[i].Epoch, published[i].Seq = faulttest.Accepted, e.Epoch, e.Seq
	}
	return published
}

// hasLast reports whether the last price of each symbol that a client received is this one.
func hasLast(client *faulttest.Client, last map[string]string) bool {
	got := map[string]string{}
	for _, e := range client.Record().Events {
		if e.Symbol != "" && e.Bid != "" {
			got[e.Symbol] = e.Bid
		}
	}
	for s, bid := range last {
		if got[s] != bid {
			return false
		}
	}
	return true
}
