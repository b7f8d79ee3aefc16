package e2e

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/tickfile"
	"github.com/fxcast/fxcast/internal/redistest"
)

// recordedFiles are recorded ticks of three vendors, and how many each file has.
var recordedFiles = []struct {
	name   string
	symbol feed.Symbol
	ticks  uint64
}{
	{"dukascopy_GBPJPY_2012-12-03_ticks.csv", "GBP/JPY", 58_953},
	{"histdata_DAT_ASCII_EURUSD_T_202001_head.csv", "EUR/USD", 9_500},
	{"truefx_USDJPY_2013-01.csv", "USD/JPY", 1_000},
}

// A plantedQuote is a recorded quote, or a wrong one in its place.
type plantedQuote struct {
	feed.Quote
	fault string // "" as it was recorded
}

// fault makes a wrong quote of a right one. before are those of the symbol until then.
type fault struct {
	name  string
	plant func(r *rand.Rand, q feed.Quote, before []feed.Quote) (bid, ask *big.Rat)
}

func rational(price string) *big.Rat {
	r, ok := new(big.Rat).SetString(price)
	if !ok {
		panic("not a price: " + price)
	}
	return r
}

func times(price string, numerator, denominator int64) *big.Rat {
	return new(big.Rat).Mul(rational(price), big.NewRat(numerator, denominator))
}

var faultKinds = []fault{
	{"ten times", func(_ *rand.Rand, q feed.Quote, _ []feed.Quote) (bid, ask *big.Rat) {
		return times(q.Bid, 10, 1), times(q.Ask, 10, 1)
	}},
	{"a tenth", func(_ *rand.Rand, q feed.Quote, _ []feed.Quote) (bid, ask *big.Rat) {
		return times(q.Bid, 1, 10), times(q.Ask, 1, 10)
	}},
	{"one leg stuck", func(r *rand.Rand, q feed.Quote, before []feed.Quote) (bid, ask *big.Rat) {
		old := before[len(before)-1-r.IntN(min(len(before), 3000))]
		if r.IntN(2) == 0 {
			return rational(old.Bid), rational(q.Ask)
		}
		return rational(q.Bid), rational(old.Ask)
	}},
	{"one leg of another level", func(r *rand.Rand, q feed.Quote, _ []feed.Quote) (bid, ask *big.Rat) {
		return times(q.Bid, 1000-int64(r.IntN(100)), 1000), rational(q.Ask)
	}},
	{"a spread of 50 %", func(_ *rand.Rand, q feed.Quote, _ []feed.Quote) (bid, ask *big.Rat) {
		return times(q.Bid, 3, 4), times(q.Ask, 5, 4)
	}},
	{"a spike", func(r *rand.Rand, q feed.Quote, _ []feed.Quote) (bid, ask *big.Rat) {
		by := []int64{1, 5, 10, 15, 19, 25, 50, 200, 490}[r.IntN(9)]
		if r.IntN(2) == 0 {
			by = -by
		}
		return times(q.Bid, 1000+by, 1000), times(q.Ask, 1000+by, 1000)
	}},
	{"two digits swapped", func(r *rand.Rand, q feed.Quote, _ []feed.Quote) (bid, ask *big.Rat) {
		swap := func(price string, i int) *big.Rat {
			b := []byte(price)
			if b[i+1] == '.' {
				b[i], b[i+2] = b[i+2], b[i]
			} else if b[i] != '.' {
				b[i], b[i+1] = b[i+1], b[i]
			}
			return rational(string(b))
		}
		i := r.IntN(min(len(q.Bid), len(q.Ask)) - 2)
		return swap(q.Bid, i), swap(q.Ask, i)
	}},
}

// plant puts faults in the places of quotes of one symbol: one of each kind among that
// many, but not among the first ten. Each quote has its own bid size, by which it is known
// wherever it is seen.
func plant(quotes []feed.Quote, among int, r *rand.Rand) []plantedQuote {
	planted := make([]plantedQuote, len(quotes))
	for i, q := range quotes {
		q.BidSize = strconv.Itoa(i)
		planted[i].Quote = q
	}
	for start := 0; start < len(quotes); start += among {
		for _, kind := range faultKinds {
			i := start + r.IntN(among)
			if i < 10 || i >= len(quotes) || planted[i].fault != "" {
				continue
			}
			p := &planted[i]
			bid, ask := kind.plant(r, p.Quote, quotes[:i])
			digits := len(p.Bid) - strings.IndexByte(p.Bid, '.') // one more than there are
			p.Bid, p.Ask, p.fault = bid.FloatString(digits), ask.FloatString(digits), kind.name
		}
	}
	return planted
}

// gateOnPaper is what the gate must do with prices of two G10 currencies, over
// rational numbers.
type gateOnPaper struct{ reference *big.Rat }

func (g *gateOnPaper) judge(q feed.Quote) (reason feed.Reason) {
	bid, ask := rational(q.Bid), rational(q.Ask)
	two := big.NewRat(2, 100)
	mid := new(big.Rat).Add(bid, ask)
	mid.Mul(mid, big.NewRat(1, 2))
	spread := new(big.Rat).Sub(ask, bid)
	switch {
	case spread.Sign() < 0:
		return feed.ReasonCrossed
	case spread.Cmp(new(big.Rat).Mul(mid, two)) > 0:
		return feed.ReasonWide
	case g.reference != nil:
		jump := new(big.Rat).Sub(mid, g.reference)
		if jump.Abs(jump).Cmp(new(big.Rat).Mul(g.reference, two)) > 0 {
			return feed.ReasonOutlier
		}
	}
	g.reference = mid
	return ""
}

// readRecorded reads a recorded file without its times, as it is replayed.
func readRecorded(t *testing.T, name string) (quotes []feed.Quote) {
	t.Helper()
	r, err := tickfile.Open(programtest.DataFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		q, err := r.Next()
		if err != nil {
			return quotes // how many there are is checked
		}
		quotes = append(quotes, feed.Quote{Symbol: q.Symbol, Bid: q.Bid, Ask: q.Ask, AskSize: q.AskSize, Source: "recorded"})
	}
}

// replayPublisher returns what `feed replay` publishes through.
func replayPublisher(t *testing.T, n *testNode) *accept.Publisher {
	t.Helper()
	p := accept.NewPublisher(accept.PublisherConfig{Redis: n.rdb, Keys: feed.Keys{Prefix: "fx:"}, QuoteTTL: n.cfg.Feed.QuoteTTL,
		HistoryTicks: n.cfg.Feed.HistoryTicks, Gate: n.cfg.Feed.Gate(), Instruments: n.cfg.Feed.Instruments, Timeout: patience})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) }) // ctx's end
	t.Cleanup(func() { cancel(); running.Wait() })
	return p
}

// TestPlantedFaultsAreSeenAtNoDoor publishes recorded ticks with wrong ones among
// them. A quote beyond a limit is refused and seen nowhere; all others are accepted, and
// seen everywhere as it was. It takes the first ticks of each file and more faults among
// them, or whole files with FXCAST_LONG=1.
func TestPlantedFaultsAreSeenAtNoDoor(t *testing.T) {
	t.Parallel()
	programtest.DataFile(t, "")
	const batch = 250
	first, among := 5000, 200
	if long {
		first, among = 60_000, 1000
	}
	r := redistest.Start(t)
	one, two := startNode(t, r, "HISTORY_TICKS=60000"), startNode(t, r, "HISTORY_TICKS=60000")
	doors := openDoors(t, one, two, "GBP/JPY", "EUR/USD", "USD/JPY")
	publisher := replayPublisher(t, one)
	count := map[string]map[string]int{} // by kind of fault, then by what became of it
	right := map[string][]plantedQuote{} // accepted ones by symbol
	dice := rand.New(rand.NewPCG(13, 20150115))
	for _, file := range recordedFiles {
		recorded := readRecorded(t, file.name)
		if uint64(len(recorded)) != file.ticks {
			t.Fatalf("%s: %d ticks, want %d", file.name, len(recorded), file.ticks)
		}
		planted := plant(recorded[:min(first, len(recorded))], among, dice)
		gate := &gateOnPaper{}
		symbol := string(file.symbol)
		for start := 0; start < len(planted); start += batch {
			part := planted[start:min(start+batch, len(planted))]
			quotes := make([]feed.Quote, len(part))
			for i, p := range part {
				quotes[i] = p.Quote
			}
			outcomes, err := publisher.Publish(t.Context(), quotes)
			if err != nil {
				t.Fatal(err)
			}
			before := len(right[symbol])
			for i, o := range outcomes {
				p, got := part[i], ""
				if o.Rejection != nil {
					got = string(o.Rejection.Reason)
				} else {
					right[symbol] = append(right[symbol], p)
				}
				if want := string(gate.judge(p.Quote)); got != want || o.Gap {
					t.Fatalf("%s %s/%s (%s): %q, gap %v, want %q: %v", symbol, p.Bid, p.Ask, p.fault, got, o.Gap, want, o.Rejection)
				}
				if p.fault == "" && got != "" {
					t.Errorf("a recorded tick of %s is refused: %v", symbol, o.Rejection)
				} else if p.fault != "" {
					if count[p.fault] == nil {
						count[p.fault] = map[string]int{}
					}
					count[p.fault][got]++
				}
			}
			accepted := right[symbol]
			doors.await(symbol, uint64(len(accepted)))
			wantShown(t, "GET quotes", doors.last(symbol), accepted, len(accepted)-1)
			wantShown(t, "GET history", doors.history(symbol, len(accepted)-before), accepted, before)
		}
		wantShown(t, "stream of ticks", doors.ticks(symbol), right[symbol], 0)
		last := programtest.Last(t, one.rdb, feed.Symbol(symbol))
		wantShown(t, "last quote", []shownQuote{{Symbol: symbol, Bid: last.Bid, Ask: last.Ask, BidSize: last.BidSize, AskSize: last.AskSize, Seq: last.Seq}}, right[symbol], len(right[symbol])-1)
	}
	for _, door := range doors.streaming {
		door.check(t, right)
	}
	for _, kind := range faultKinds {
		t.Logf("%s: %s", kind.name, countText(count[kind.name]))
	}
}

func countText(outcomes map[string]int) string {
	text, all := "", 0
	for _, reason := range []feed.Reason{feed.ReasonCrossed, feed.ReasonWide, feed.ReasonOutlier} {
		all += outcomes[string(reason)]
		text += fmt.Sprintf(", %s %d", reason, outcomes[string(reason)])
	}
	return fmt.Sprintf("%d planted, %d refused%s; %d within the limits", all+outcomes[""], all, text, outcomes[""])
}

// wantShown compares what a door has shown with accepted quotes from one of them on.
func wantShown(t *testing.T, door string, shown []shownQuote, accepted []plantedQuote, from int) {
	t.Helper()
	if len(shown) != len(accepted)-from {
		t.Errorf("%s: %d quotes, want %d", door, len(shown), len(accepted)-from)
		return
	}
	for i, q := range shown {
		q.sameAs(t, door, accepted[from+i], uint64(from+i+1))
	}
}

func (q shownQuote) sameAs(t *testing.T, door string, want plantedQuote, seq uint64) {
	t.Helper()
	if q.Bid != want.Bid || q.Ask != want.Ask || q.BidSize != want.BidSize || q.AskSize != want.AskSize || q.Seq != seq || q.Gap {
		t.Errorf("%s shows %+v, want number %d to be %+v", door, q, seq, want.Quote)
	}
}

// check compares all that a streaming door has shown with the accepted quotes.
func (d *priceDoor) check(t *testing.T, accepted map[string][]plantedQuote) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	before := map[string]uint64{}
	for _, q := range d.seen {
		all := accepted[q.Symbol]
		if q.Seq == 0 || q.Seq > uint64(len(all)) {
			t.Errorf("%s shows %+v, which was not accepted", d.name, q)
			return
		}
		q.sameAs(t, d.name, all[q.Seq-1], q.Seq)
		if last := before[q.Symbol]; q.update && (q.Seq != last+q.Skipped+1 || d.every && q.Skipped > 0) && last > 0 {
			t.Errorf("%s shows %+v after number %d", d.name, q, last)
		}
		before[q.Symbol] = q.Seq
	}
	for symbol, all := range accepted {
		if before[symbol] != uint64(len(all)) {
			t.Errorf("%s ends with number %d of %s, want %d", d.name, before[symbol], symbol, len(all))
		}
	}
	t.Logf("%s: %d quotes", d.name, len(d.seen))
}
