package protocol_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A sender plays a server with one connection: it sends each message both in JSON and coded. Like
// the hub, it sends a difference only if the last quote of the symbol was the one just before.
type sender struct {
	rng     *rand.Rand
	numbers map[string]int
	last    map[string]protocol.Quote // as accepted, also the quotes that were not sent
	sent    map[string]protocol.Quote
	epoch   map[string]string

	keys, differences int
}

func newSender(seed uint64) *sender {
	return &sender{rng: rand.New(rand.NewPCG(seed, 1)), numbers: map[string]int{}, last: map[string]protocol.Quote{},
		sent: map[string]protocol.Quote{}, epoch: map[string]string{}}
}

// message returns one message with some of the given quotes, which are the next ones of their
// symbols, in both forms.
func (s *sender) message(quotes ...protocol.Quote) (text, batch []byte) {
	head := protocol.UpdateHead
	if s.rng.IntN(20) == 0 {
		head = []string{protocol.SnapshotHead, protocol.ResetHead}[s.rng.IntN(2)]
	}
	text, batch = append(text, head...), protocol.AppendBatchHead(nil, head)
	for i, q := range quotes {
		x := protocol.Extra{Status: []string{"live", "live", "live", "live", "live", "stale", "closed", "unknown"}[s.rng.IntN(8)]}
		before, known := s.sent[q.Symbol]
		if s.rng.IntN(50) == 0 || !known {
			s.epoch[q.Symbol] = fmt.Sprintf("%09x", s.rng.Uint32())
			known = false
		}
		if head != protocol.UpdateHead || !known {
			x.Epoch = s.epoch[q.Symbol]
		} else {
			x.Skipped = q.Seq - before.Seq - 1
			x.Gap = x.Skipped > 0 && s.rng.IntN(3) == 0
		}
		if i > 0 {
			text = append(text, ',')
		}
		body := q.AppendBody(nil)
		text = protocol.AppendQuote(text, body, x)
		batch = s.append(batch, q, before, x, head)
		s.sent[q.Symbol] = q
	}
	return append(text, protocol.QuotesEnd...), batch
}

func (s *sender) append(batch []byte, q, before protocol.Quote, x protocol.Extra, head string) []byte {
	number, named := s.numbers[q.Symbol]
	if !named {
		number = 1 + len(s.numbers)*s.rng.IntN(300)
		for slices.Contains(slices.Collect(values(s.numbers)), number) {
			number++
		}
		s.numbers[q.Symbol] = number
	}
	if !named || x.Epoch != "" {
		batch = protocol.AppendSymbol(batch, number, q.Symbol)
	}
	coded, ok := protocol.Code(q.AppendBody(nil))
	if !ok {
		panic(string(q.AppendBody(nil)))
	}
	if base, ok := protocol.Code(before.AppendBody(nil)); ok && x.Epoch == "" && head == protocol.UpdateHead && coded.Follows(&base) && (x.Skipped == 0 || s.rng.IntN(2) == 0) {
		s.differences++
		return protocol.AppendTick(batch, coded.AppendDifference(nil, number, &base), x)
	}
	s.keys++
	return protocol.AppendTick(batch, coded.AppendKey(nil, number), x)
}

func values[K comparable, V any](m map[K]V) func(func(V) bool) {
	return func(yield func(V) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// next returns the next quote of a symbol, after some that conflation skips.
func (s *sender) next(symbol string) protocol.Quote {
	q := s.last[symbol]
	q.Symbol = symbol
	q.Seq++
	if s.rng.IntN(4) == 0 {
		q.Seq += s.rng.Uint64N(1 << s.rng.IntN(40))
	}
	if q.Seq > 1<<52 {
		q.Seq = 1
		delete(s.sent, symbol)
	}
	switch unit := time.Duration([]int{1, 1000, 1_000_000}[s.rng.IntN(3)]) * time.Microsecond; {
	case q.Time.IsZero() || s.rng.IntN(30) == 0:
		q.Time = protocol.At(time.UnixMicro(s.rng.Int64N(7_000_000_000_000_000)).UTC())
	default:
		q.Time = protocol.At(q.Time.Add(time.Duration(s.rng.IntN(5000)-10) * unit).Truncate(time.Microsecond))
		if q.Time.Unix() < 0 {
			q.Time = protocol.At(time.Unix(0, 0).UTC())
		}
	}
	q.Gap = s.rng.IntN(30) == 0
	q.Bid, q.Ask = s.near(q.Bid), s.near(q.Ask)
	switch s.rng.IntN(20) {
	case 0, 2, 3, 4:
		q.BidSize, q.AskSize = s.near(q.BidSize), s.near(q.AskSize)
	case 1:
		q.BidSize, q.AskSize = []string{"", "0", "1", "2.50", "1000000"}[s.rng.IntN(5)], []string{"", "0", "0.00", "2.5", "7"}[s.rng.IntN(5)]
	}
	s.last[symbol] = q
	return q
}

// near returns a decimal that differs little from another one, or a new one of any length.
func (s *sender) near(text string) string {
	digits := []byte(strings.ReplaceAll(text, ".", ""))
	point := strings.IndexByte(text, '.')
	if text == "" || s.rng.IntN(60) == 0 { // 1 to 34 significant digits, and up to 64 characters
		digits = make([]byte, 1+s.rng.IntN(34))
		if s.rng.IntN(5) > 0 {
			digits = digits[:min(len(digits), 6)]
		}
		for i := range digits {
			digits[i] = '0' + byte(s.rng.IntN(10))
		}
		digits[0] = '1' + byte(s.rng.IntN(9))
		switch point = -1; s.rng.IntN(8) {
		case 0:
		case 1:
			digits = append([]byte(strings.Repeat("0", 1+s.rng.IntN(28))), digits...)
			point = 1
		case 2:
			digits = append(digits, strings.Repeat("0", s.rng.IntN(29))...)
		default:
			point = 1 + s.rng.IntN(len(digits))
		}
	} else {
		last := len(digits) - 1
		digits[last] = '0' + byte(s.rng.IntN(10))
		if s.rng.IntN(40) == 0 && last > 1 && point > 0 && point < last { // one decimal less
			digits = digits[:last]
		} else if s.rng.IntN(40) == 0 && point > 0 && last < 40 {
			digits = append(digits, '0')
		}
	}
	if point <= 0 || point >= len(digits) {
		return string(digits)
	}
	return string(digits[:point]) + "." + string(digits[point:])
}

// messages returns n quotes in random messages of a random number of symbols.
func (s *sender) messages(n int, f func(text, batch []byte)) {
	symbols := []string{"EUR/USD", "GBP/USD", "USD/JPY", "XAU/USD", "BTC10/USDT"}[:1+s.rng.IntN(5)]
	for n > 0 {
		var quotes []protocol.Quote
		for range 1 + s.rng.IntN(1+s.rng.IntN(12)) {
			quotes = append(quotes, s.next(symbols[s.rng.IntN(len(symbols))]))
			n--
		}
		f(s.message(quotes...))
	}
}

// Decoded, a coded message is the JSON message, field for field.
func TestCodedIsTheQuote(t *testing.T) {
	ticks := 60_000
	if os.Getenv("FXCAST_LONG") != "" {
		ticks = 1_000_000
	}
	keys, differences := 0, 0
	for seed := range uint64(20) {
		s, d, scan := newSender(seed), protocol.Decoder{}, protocol.Decoder{}
		s.messages(ticks/20, func(text, batch []byte) { checkCoded(t, &d, &scan, text, batch) })
		keys, differences = keys+s.keys, differences+s.differences
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if differences < ticks/5 || keys < ticks/5 {
		t.Errorf("%d keys and %d differences", keys, differences)
	}
}

func checkCoded(t *testing.T, d, s *protocol.Decoder, text, batch []byte) {
	t.Helper()
	want, err := protocol.Decode(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	got, err := d.Decode(batch)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%x, %v:\n%+v\nwant\n%+v", batch, err, got, want)
	}
	if s != nil {
		checkScan(t, s, batch, got)
	}
	if again := got.Append(nil); !bytes.Equal(again, text) {
		t.Fatalf("as JSON\n%s\nwant\n%s", again, text)
	}
}

// checkScan compares what Scan finds in a batch with its quotes.
func checkScan(t *testing.T, d *protocol.Decoder, batch []byte, m protocol.Message) {
	t.Helper()
	var want []protocol.Quote
	switch m := m.(type) {
	case protocol.Snapshot:
		want = m.Data
	case protocol.Update:
		want = m.Data
	}
	n := 0
	err := d.Scan(batch, func(q protocol.ScannedQuote) {
		if n < len(want) {
			if w := want[n]; q.Symbol != w.Symbol || q.Micros != w.Time.UnixMicro() || q.Seq != w.Seq || q.Skipped != w.Skipped || string(q.Epoch) != w.Epoch {
				t.Fatalf("%+v, want %+v", q, w)
			}
		}
		n++
	})
	if err != nil || n != len(want) {
		t.Fatalf("%d quotes of %d, %v", n, len(want), err)
	}
}

// realTicks returns the quotes of the recorded files.
func realTicks(tb testing.TB) (files [][]protocol.Quote) {
	tb.Helper()
	dir := os.Getenv("FXCAST_DATA")
	if dir == "" {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			tb.Fatal("FXCAST_DATA is not set, and FXCAST_REQUIRE_ALL=1")
		}
		tb.Skip("FXCAST_DATA is not set")
	}
	read := func(name, symbol, layout string, quote func(f []string) (at, bid, ask, bidSize, askSize string)) {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		var quotes []protocol.Quote
		for lines := bufio.NewScanner(file); lines.Scan(); {
			q := protocol.Quote{Symbol: symbol, Seq: uint64(len(quotes) + 1)}
			var text string
			text, q.Bid, q.Ask, q.BidSize, q.AskSize = quote(strings.Split(strings.TrimRight(lines.Text(), "\r"), ","))
			at, err := time.Parse(layout, text)
			if err != nil {
				continue // the heading
			}
			q.Time = protocol.At(at)
			quotes = append(quotes, q)
		}
		if len(quotes) < 900 {
			tb.Fatalf("%s: only %d quotes", name, len(quotes))
		}
		files = append(files, quotes)
	}
	read("dukascopy_GBPJPY_2012-12-03_ticks.csv", "GBP/JPY", "02.01.2006 15:04:05.000",
		func(f []string) (string, string, string, string, string) { return f[0], f[2], f[1], f[4], f[3] })
	read("histdata_DAT_ASCII_EURUSD_T_202001_head.csv", "EUR/USD", "20060102 150405.000",
		func(f []string) (string, string, string, string, string) {
			return f[0][:len(f[0])-3] + "." + f[0][len(f[0])-3:], f[1], f[2], "", ""
		})
	read("truefx_USDJPY_2013-01.csv", "USD/JPY", "20060102 15:04:05.000",
		func(f []string) (string, string, string, string, string) { return f[1], f[2], f[3], "", "" })
	return files
}

// Real ticks survive, in random messages.
func TestCodedRealTicks(t *testing.T) {
	for _, quotes := range realTicks(t) {
		s, d := newSender(1), protocol.Decoder{}
		for len(quotes) > 0 {
			n := min(1+s.rng.IntN(4), len(quotes))
			text, batch := s.message(quotes[:n]...)
			checkCoded(t, &d, nil, text, batch)
			quotes = quotes[min(n+s.rng.IntN(2), len(quotes)):]
		}
	}
}

// wireSize returns the size of a message with the header of its WebSocket frame.
func wireSize(n int) int {
	if n < 126 {
		return n + 2
	}
	return n + 4
}

// Quotes of a real day take as few bytes as they should, alone, joined and as keys, also if their
// times have microseconds.
func TestCodedSize(t *testing.T) {
	for _, quotes := range realTicks(t) {
		for _, fine := range []bool{false, true} {
			var single, joined, key, n int
			var coded []protocol.Coded
			for _, q := range quotes {
				if fine {
					q.Time = protocol.At(q.Time.Add(time.Duration(1+q.Seq*7919%999) * time.Microsecond))
				}
				c, _ := protocol.Code(q.AppendBody(nil))
				coded = append(coded, c)
			}
			var batch []byte
			for i := 1; i < len(coded); i++ {
				if !coded[i].Follows(&coded[i-1]) {
					t.Fatalf("%v does not follow", quotes[i])
				}
				tick := coded[i].AppendDifference(nil, 28, &coded[i-1])
				n++
				single += wireSize(len(protocol.AppendTick(nil, tick, protocol.Extra{})))
				key += wireSize(len(protocol.AppendTick(nil, coded[i].AppendKey(nil, 28), protocol.Extra{})))
				if batch = protocol.AppendTick(batch, tick, protocol.Extra{}); n%10 == 0 {
					joined += wireSize(len(batch))
					batch = batch[:0]
				}
			}
			each := func(bytes int) float64 { return float64(bytes) / float64(n) }
			limit := [3]float64{14, 12, 28}
			if fine && quotes[0].BidSize != "" {
				limit = [3]float64{15, 13, 30}
			}
			t.Logf("%s, µs %v, sizes %v: single %.1f, joined %.1f, key %.1f bytes", quotes[0].Symbol, fine, quotes[0].BidSize != "", each(single), each(joined), each(key))
			if each(single) > limit[0] || each(joined) > limit[1] || each(key) > limit[2] {
				t.Errorf("%s: more than %v bytes", quotes[0].Symbol, limit)
			}
		}
	}
}

// Nothing is allocated for a client.
func TestCodedAllocations(t *testing.T) {
	q := quote
	base, _ := protocol.Code(q.AppendBody(nil))
	q.Seq++
	body, dst := q.AppendBody(nil), make([]byte, 0, 512)
	coded, _ := protocol.Code(body)
	key := coded.AppendKey(nil, 1)
	batch, d := protocol.AppendTick(protocol.AppendSymbol(nil, 1, "EUR/USD"), key, protocol.Extra{Epoch: "e"}), protocol.Decoder{}
	if err := d.Scan(batch, func(protocol.ScannedQuote) {}); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"Code":             func() { coded, _ = protocol.Code(body) },
		"AppendDifference": func() { dst = coded.AppendDifference(dst[:0], 1, &base) },
		"AppendKey":        func() { dst = coded.AppendKey(dst[:0], 1) },
		"Scan":             func() { _ = d.Scan(batch, func(protocol.ScannedQuote) {}) },
		"AppendTick": func() {
			dst = protocol.AppendTick(protocol.AppendSymbol(dst[:0], 1, "EUR/USD"), key, protocol.Extra{Epoch: "e", Gap: true, Status: "stale"})
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCoded(b *testing.B) {
	q := quote
	q.BidSize, q.AskSize = "1.50", "1.13"
	base, _ := protocol.Code(q.AppendBody(nil))
	q.Seq, q.Bid, q.AskSize, q.Time = q.Seq+1, "1.08499", "2.00", protocol.At(q.Time.Add(217*time.Millisecond))
	body, dst := q.AppendBody(nil), make([]byte, 0, 4096)
	coded, _ := protocol.Code(body)
	difference := coded.AppendDifference(nil, 28, &base)
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			coded, _ = protocol.Code(body)
		}
	})
	b.Run("difference", func(b *testing.B) {
		for b.Loop() {
			dst = coded.AppendDifference(dst[:0], 28, &base)
		}
	})
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			dst = coded.AppendKey(dst[:0], 28)
		}
	})
	b.Run("join 10", func(b *testing.B) {
		for b.Loop() {
			dst = dst[:0]
			for range 10 {
				dst = protocol.AppendTick(dst, difference, protocol.Extra{})
			}
		}
	})
	b.Run("decode 10", func(b *testing.B) {
		d := protocol.Decoder{}
		first, _ := d.Decode(protocol.AppendTick(protocol.AppendSymbol(nil, 28, "EUR/USD"), base.AppendKey(nil, 28), protocol.Extra{}))
		if first == nil {
			b.Fatal("not decoded")
		}
		q.Seq++
		after, _ := protocol.Code(q.AppendBody(nil))
		still := after.AppendDifference(nil, 28, &coded) // nothing but the number
		dst = dst[:0]
		for range 10 {
			dst = protocol.AppendTick(dst, still, protocol.Extra{})
		}
		for b.Loop() {
			if _, err := d.Decode(dst); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A Decoder refuses what is malformed, and keeps within its bounds.
func TestDecoderRefuses(t *testing.T) {
	coded, _ := protocol.Code(quote.AppendBody(nil))
	next := quote
	next.Seq++
	after, _ := protocol.Code(next.AppendBody(nil))
	named := protocol.AppendSymbol(nil, 1, "EUR/USD")
	key := protocol.AppendTick(named, coded.AppendKey(nil, 1), protocol.Extra{})
	for what, batch := range map[string][]byte{
		"an unknown symbol":       protocol.AppendTick(nil, coded.AppendKey(nil, 1), protocol.Extra{}),
		"a difference to nothing": protocol.AppendTick(named, after.AppendDifference(nil, 1, &coded), protocol.Extra{}),
		"another name":            protocol.AppendSymbol(key, 1, "GBP/USD"),
		"number 0":                protocol.AppendSymbol(nil, 0, "EUR/USD"),
		"a tick without numbers":  protocol.AppendTick(named, nil, protocol.Extra{}),
		"a long text":             protocol.AppendTick(named, coded.AppendKey(nil, 1), protocol.Extra{Status: strings.Repeat("x", 1000)}),
		"half a message":          key[:len(key)-1],
		"a group":                 {0x0b},
		"too many digits":         protocol.AppendTick(named, []byte{0x0a, 8, 2, 2, 2, 2, 2, 2, 2, 32}, protocol.Extra{}),
		"a negative price":        protocol.AppendTick(named, []byte{0x0a, 7, 2, 2, 1, 0, 0, 0, 2}, protocol.Extra{}),
		"too many ticks":          append(slices.Clone(key), bytes.Repeat([]byte{0x0a, 3, 0x0a, 1, 2}, 1<<16)...),
	} {
		if m, err := new(protocol.Decoder).Decode(batch); err == nil || !strings.Contains(err.Error(), protocol.ErrBadBatch.Error()) {
			t.Errorf("%s: %.200v, %v", what, m, err)
		}
	}
	unknown := append(slices.Clone(key), 0x78, 1, 0x7a, 2, 1, 2, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8) // of a later version
	if m, err := new(protocol.Decoder).Decode(unknown); err != nil || !reflect.DeepEqual(m, protocol.Update{Data: []protocol.Quote{quote}}) {
		t.Errorf("unknown fields: %v, %v", m, err)
	}
}

// FuzzDecoder: the input is two messages, the second of which meets the state that the first left.
func FuzzDecoder(f *testing.F) {
	s := newSender(1)
	var before []byte
	s.messages(200, func(_, batch []byte) {
		f.Add(before, batch)
		before = batch
	})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var d protocol.Decoder
		for _, batch := range [][]byte{first, second} {
			m, err := d.Decode(batch)
			if err != nil {
				continue
			}
			var quotes []protocol.Quote
			switch m := m.(type) {
			case protocol.Snapshot:
				quotes = m.Data
			case protocol.Update:
				quotes = m.Data
			}
			if len(quotes) > len(batch) {
				t.Errorf("%d quotes in %d bytes", len(quotes), len(batch))
			}
			for _, q := range quotes {
				if len(q.Symbol) == 0 || len(q.Bid) == 0 || len(q.Bid) > 256 || len(q.Ask) == 0 {
					t.Errorf("%x: %+v", batch, q)
				}
			}
			if len(quotes) > 0 && !json.Valid(m.Append(nil)) && plain(quotes) {
				t.Errorf("%x: not JSON: %s", batch, m.Append(nil))
			}
		}
	})
}

// plain reports whether the values of quotes need no escapes in JSON.
func plain(quotes []protocol.Quote) bool {
	return !slices.ContainsFunc(quotes, func(q protocol.Quote) bool {
		return strings.ContainsFunc(q.Symbol+q.Bid+q.Ask+q.BidSize+q.AskSize+q.Epoch+q.Status, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > '~' })
	})
}
