package tickfile_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

func dataFile(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("FXCAST_DATA")
	if dir == "" {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("FXCAST_DATA is not set")
		}
		t.Skip("FXCAST_DATA is not set: no recorded quotes to read")
	}
	return filepath.Join(dir, name)
}

// readAll reads a recorded file, in which every line must be valid.
func readAll(t *testing.T, name string) []feed.Quote {
	t.Helper()
	r, err := tickfile.Open(dataFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var quotes []feed.Quote
	for {
		q, err := r.Next()
		if err == io.EOF {
			return quotes
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := (*feed.Instruments)(nil).Check(q); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		quotes = append(quotes, q)
	}
}

func TestRecordedFiles(t *testing.T) {
	for _, tt := range []struct {
		file string
		rows int
		want feed.Quote
	}{
		{
			file: "dukascopy_GBPJPY_2012-12-03_ticks.csv", rows: 58_953,
			want: feed.Quote{Symbol: "GBP/JPY", Bid: "132.141", Ask: "132.158", BidSize: "1.13", AskSize: "1.50", Time: time.Date(2012, 12, 3, 0, 0, 1, 883e6, time.UTC)},
		},
		{
			file: "histdata_DAT_ASCII_EURUSD_T_202001_head.csv", rows: 9_500,
			want: feed.Quote{Symbol: "EUR/USD", Bid: "1.121200", Ask: "1.121720", Time: time.Date(2020, 1, 1, 22, 0, 0, 65e6, time.UTC)},
		},
		{
			file: "truefx_USDJPY_2013-01.csv", rows: 1_000,
			want: feed.Quote{Symbol: "USD/JPY", Bid: "86.655", Ask: "86.728", Time: time.Date(2013, 1, 1, 22, 0, 0, 295e6, time.UTC)},
		},
	} {
		t.Run(tt.file, func(t *testing.T) {
			quotes := readAll(t, tt.file)
			if len(quotes) != tt.rows {
				t.Fatalf("%d quotes, want %d", len(quotes), tt.rows)
			}
			if quotes[0] != tt.want {
				t.Errorf("the first is %+v, want %+v", quotes[0], tt.want)
			}
			// Each price must be in the line it came from, to the letter.
			data, err := os.ReadFile(dataFile(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(bytes.NewReader(data))
			if strings.HasPrefix(string(data), "Gmt") {
				lines.Scan()
			}
			for i, q := range quotes {
				lines.Scan()
				text := "," + strings.TrimRight(lines.Text(), "\r") + ","
				if !strings.Contains(text, ","+q.Bid+",") || !strings.Contains(text, ","+q.Ask+",") {
					t.Fatalf("quote %d: %s/%s is not of the line %s", i, q.Bid, q.Ask, text)
				}
			}
		})
	}
}

// TestBi5EqualsCSV compares the same hour in both formats of Dukascopy. The sizes in a .bi5 file
// are floats, so they are not read.
func TestBi5EqualsCSV(t *testing.T) {
	hour := readAll(t, "dukascopy_GBPJPY_2012-12-03_12h_ticks.bi5")
	var same []feed.Quote
	for _, q := range readAll(t, "dukascopy_GBPJPY_2012-12-03_ticks.csv") {
		if q.Time.Hour() == 12 {
			same = append(same, q)
		}
	}
	if len(hour) == 0 || len(hour) != len(same) {
		t.Fatalf("%d quotes in the .bi5 file, %d in the same hour of the CSV", len(hour), len(same))
	}
	for i := range hour {
		same[i].BidSize, same[i].AskSize = "", ""
		if hour[i] != same[i] {
			t.Fatalf("quote %d: .bi5 has %+v, CSV %+v", i, hour[i], same[i])
		}
	}
	t.Logf("%d quotes are equal", len(hour))
}

func BenchmarkDukascopy(b *testing.B) {
	data, err := os.ReadFile(dataFile(b, "dukascopy_GBPJPY_2012-12-03_ticks.csv"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r, err := tickfile.NewReader(bytes.NewReader(data), "GBPJPY.csv")
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				break
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "ticks/s")
}
