package feed_test

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/protocol"
)

func storedCandle(start int64, ticks uint64, complete bool, p [8]string) feed.Candle {
	return feed.Candle{Candle: protocol.Candle{
		Start: time.Unix(start*60, 0).UTC(), Ticks: ticks, Complete: complete,
		Bid: protocol.OHLC{Open: p[0], High: p[1], Low: p[2], Close: p[3]}, Ask: protocol.OHLC{Open: p[4], High: p[5], Low: p[6], Close: p[7]},
	}}
}

var storedPrices = [][8]string{
	{"1.08501", "1.08510", "1.08490", "1.08500", "1.08511", "1.08520", "1.08500", "1.08513"},
	{"1.1", "1.20", "1.0", "1.1", "2", "3", "2.0", "2.000"},
	{"151", "152", "150", "151", "151", "155", "151", "152"},
	{"0.0001", "0.001", "0.0001", "0.0005", "0.0010", "0.01", "0.00100", "0.001"},
	{"999999999999999", "999999999999999", "1", "2", "999999999999999", "999999999999999", "1", "2"},
	{"1000000000000000", "1000000000000000", "1", "2", "1000000000000000", "1000000000000000", "1.5", "2"},
	{"0.0000000000000000000012", "5", "0.0000000000000000000001", "2", "1", "5", "1", "2"},
}

func TestDecodeCandle(t *testing.T) {
	for _, p := range storedPrices {
		for _, complete := range []bool{true, false} {
			element := feedtest.PackCandle(29_850_000, 57, complete, p)
			want := storedCandle(29_850_000, 57, complete, p)
			got, err := feed.DecodeCandle(element)
			if err != nil || got != want {
				t.Errorf("%q: %v\ngot  %+v\nwant %+v", element, err, got, want)
			}
			if start, err := feed.StartOfStored(element); err != nil || start != want.Start {
				t.Errorf("%q starts at %v, %v", element, start, err)
			}
			for n := range element {
				if _, err := feed.DecodeCandle(element[:n]); err == nil && element[n:] != element[len(element)-1:] {
					t.Errorf("%q without its end was decoded", element[:n])
				}
			}
		}
	}
}

func FuzzDecodeCandle(f *testing.F) {
	for _, p := range storedPrices {
		f.Add(feedtest.PackCandle(29_850_000, 57, true, p))
	}
	f.Add("\x01\x03\x01" + "1 2 3 4 5 6 7 8 9")
	f.Add("\x01\x03\x01" + "01 2 3 4 5 6 7 8")
	f.Fuzz(func(t *testing.T, element string) {
		c, err := feed.DecodeCandle(element)
		if err != nil {
			return
		}
		p := [8]string{c.Bid.Open, c.Bid.High, c.Bid.Low, c.Bid.Close, c.Ask.Open, c.Ask.High, c.Ask.Low, c.Ask.Close}
		for _, price := range p {
			if plain, reason := feed.ReadPrice(price); plain != price {
				t.Fatalf("%q has the price %q: %s", element, price, reason)
			}
		}
		again, err := feed.DecodeCandle(string(append(append(binary.AppendUvarint(nil, uint64(c.Start.Unix()/60)), binary.AppendUvarint(nil, c.Ticks*2)...), 1)) + strings.Join(p[:], " "))
		c.Complete = false
		if err != nil || again != c {
			t.Fatalf("as text %+v, %v\nwant %+v", again, err, c)
		}
	})
}

// Random prices with any digits come back as they were.
func TestDecodeCandleProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 20_000 {
		var p [8]string
		for side := range 2 {
			low, open, high := 1+random.IntN(500), 0, 0
			open = low + random.IntN(500)
			high = open + random.IntN(500)
			for i, n := range []int{open, high, low, low + random.IntN(high-low+1)} {
				text := big.NewRat(int64(n+side*2000), 1000).FloatString(3)
				if strings.HasSuffix(text, "0") {
					text = text[:len(text)-random.IntN(2)]
				} else {
					text += strings.Repeat("0", random.IntN(4))
				}
				p[side*4+i] = text
			}
		}
		want := storedCandle(random.Int64N(1e8), 1+random.Uint64N(1e9), random.IntN(2) == 0, p)
		got, err := feed.DecodeCandle(feedtest.PackCandle(want.Start.Unix()/60, want.Ticks, want.Complete, p))
		if err != nil || got != want {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
	}
}

func TestParseRunningCandles(t *testing.T) {
	minute, err := feed.ParseMinute("k3f9 1841 1.1 1.21 29850000 1.2 1.0 1.30 1.2 1800 1 1.10 1.20")
	want := storedCandle(29_850_000, 41, true, [8]string{"1.10", "1.2", "1.0", "1.1", "1.20", "1.30", "1.2", "1.21"})
	want.Open, want.Last = true, protocol.Position{Epoch: "k3f9", Seq: 1841}
	if err != nil || minute != want {
		t.Fatalf("got %+v, %v\nwant %+v", minute, err, want)
	}
	part, err := feed.ParsePart("29849940 29850000 - 0 1")
	if err != nil || part.Candle.Ticks != 0 || part.PreviousClose != "" || part.End != minute.Start {
		t.Fatalf("got %+v, %v", part, err)
	}
	whole := part.With(minute)
	want.Start = part.Candle.Start
	if whole != want {
		t.Errorf("a minute alone: %+v\nwant %+v", whole, want)
	}
	part, err = feed.ParsePart("29849940 29850060 1.05 9 0 1.1 1.2 1.1 1.10 1.2 1.40 1.20 1.3")
	if err != nil || part.PreviousClose != "1.05" || part.Candle.Ticks != 9 || part.Candle.Complete {
		t.Fatalf("got %+v, %v", part, err)
	}
	want = storedCandle(29_849_940, 50, false, [8]string{"1.1", "1.2", "1.0", "1.1", "1.2", "1.40", "1.20", "1.21"})
	want.Open, want.Last = true, minute.Last
	if whole = part.With(minute); whole != want {
		t.Errorf("got %+v\nwant %+v", whole, want)
	}
	for _, bad := range []string{
		"", "k3f9", "k3f9 1841 1.1 1.21 29850000 1.2 1.0 1.30 1.2 1800 1 1.10", "k3f9 1841 1.1 1.21 29850000 1.2 1.0 1.30 1.2 1841 1 1.10 1.20",
		"k:9 1841 1.1 1.21 29850000 1.2 1.0 1.30 1.2 1800 1 1.10 1.20", "k3f9 x 1.1 1.21 29850000 1.2 1.0 1.30 1.2 1800 1 1.10 1.20",
		"k3f9 1841 -1.1 1.21 29850000 1.2 1.0 1.30 1.2 1800 1 1.10 1.20", "k3f9 1841 1.1 1.21 x 1.2 1.0 1.30 1.2 1800 1 1.10 1.20",
	} {
		if c, err := feed.ParseMinute(bad); err == nil {
			t.Errorf("ParseMinute(%q) = %+v", bad, c)
		}
	}
	for _, bad := range []string{
		"", "1 2 - 0", "2 1 - 0 1", "1 2 0 0 1", "1 2 - 1 1", "1 2 - 0 1 1 1 1 1 1 1 1 1", "1 2 - 1 1 1 1 1 1 1 1 1", "1 2 - 1 1 1 1 1 1 1 1 1 1 1",
	} {
		if p, err := feed.ParsePart(bad); err == nil {
			t.Errorf("ParsePart(%q) = %+v", bad, p)
		}
	}
}
