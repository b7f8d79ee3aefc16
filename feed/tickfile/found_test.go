package tickfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed/tickfile"
)

// TestFoundFiles reads kinds of files that users of such programs have, and that were once read
// wrongly or refused without reason.
func TestFoundFiles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file   string
		want   string // what comes of the file, or of the error
		refuse error
	}{
		{"FXCM_EURUSD_2018_5.csv", "EUR/USD 1.24210 1.24260 2018-01-28T22:00:00.123Z\nEUR/USD 1.24211 1.24261 2018-01-28T22:00:01.123Z\n", nil},
		{"dukas_comma_EURUSD.csv", "EUR/USD 1.32141 1.32158 2012-12-03T00:00:01.883Z\n", nil},
		{"dukas_iso_EURUSD.csv", "EUR/USD 1.0690 1.0700 2023-01-02T22:00:00.123Z\n", nil},
		{"dukascopy_bars_EURUSD.csv", "bars of open, high, low and close", tickfile.ErrNotTicks},
		{"dukascopy_exp_EURUSD.csv", "EUR/USD 1.0849 1.0850 2013-03-01T00:00:00.605Z\n", nil},
		{"dukascopy_spaces_EURUSD.csv", "EUR/USD 1.0849 1.0850 2013-03-01T00:00:00.605Z\n", nil},
		{"dsstore.zip", "EUR/USD 1.08450 1.08460 2022-11-10T15:00:00.017Z\n", nil},
		{"empty_EURUSD.csv", "the file is empty", tickfile.ErrFormat},
		{"eurusd-tick-2024-02-26.csv", "EUR/USD 1.08190 1.08201 2024-02-26T00:00:00.123Z\nEUR/USD 1.08191 1.08202 2024-02-26T00:00:01.123Z\n", nil},
		{"goduka_EURUSD.csv", "EUR/USD 1.05148 1.05236 2017-01-01T22:00:20.786Z\n", nil},
		{"iso_EURUSD.csv", "EUR/USD 1.08190 1.08201 2024-02-26T00:00:00.123Z\n", nil},
		{"mt4_askfirst_EURUSD.csv", "EUR/USD 1.08682 1.08712 2022-11-10T15:00:00.017Z\n", nil},
		{"mt4_comma_EURUSD.csv", "EUR/USD 1.18450 1.18460 2022-11-10T15:00:00.017Z\nEUR/USD 1.18451 1.18461 2022-11-10T15:00:01.017Z\n", nil},
		{"mt4_comma_EURUSD_08.csv", "EUR/USD 1.08450 1.08460 2022-11-10T15:00:00.017Z\n", nil},
		{"mt4_tickvol_EURUSD.csv", "time, price and volume", tickfile.ErrNotTicks},
		{"mt5_USDCNH.csv", "USD/CNH 7.08 7.09 2022-11-10T15:00:00.017Z\n", nil},
		{"mt5_bars_hdr_EURUSD.csv", "bars of open, high, low and close", tickfile.ErrNotTicks},
		{"mt5_bars_ohlc_EURUSD.csv", "bars of open, high, low and close", tickfile.ErrNotTicks},
		{"truefx_cnh.csv", "USD/CNH 6.2270 6.2290 2013-01-01T22:02:35.907Z\nUSD/CNH 6.2271 6.2291 2013-01-01T22:02:36.907Z\n", nil},
		{"truefx_mixed.csv", "EUR/USD 1.31957 1.31992 2013-01-01T22:02:35.907Z\n" +
			"bad line 2: unknown symbol \"20130101 170236907\": give two currency codes, as in EUR/USD\n" +
			"EUR/USD 1.31958 1.31994 2013-01-01T22:02:37.907Z\n", nil},
		{"truefx_trunc.csv", "EUR/USD 1.31957 1.31992 2013-01-01T22:02:35.907Z\n" +
			"bad line 2: the last line has no end, and 1.31958/1.3 has another number of digits than the previous price: it may be cut off\n", nil},
		{"EURCZK/2025/00/15/10h_ticks.bi5", "EUR/CZK 25.2415 25.2515 2025-01-15T10:00:01Z\n", nil},
	} {
		t.Run(tc.file, func(t *testing.T) {
			r, err := tickfile.Open("testdata/" + tc.file)
			if tc.refuse != nil {
				if !errors.Is(err, tc.refuse) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.file) {
					t.Errorf("%v, want a refusal that says %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got := read(t, r); got != tc.want {
				t.Errorf("read\n%swant\n%s", got, tc.want)
			}
		})
	}
}

// TestSymbolsNotKnown checks that unknown symbols are reported and do not hide the other symbols of
// a file, however many come first.
func TestSymbolsNotKnown(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/truefx_25cnh_then_eur.csv")
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{"CNH": "USD/CNH 7.05531 7.05560 2026-01-01T22:02:24.907Z\n",
		"QQQ": "bad line 25: unknown symbol \"USD/QQQ\": \"QQQ\" is not a current ISO 4217 currency or one of XAU, XAG, XPT, XPD, CNH, nor listed in INSTRUMENTS\n"} {
		r, err := tickfile.NewReader(strings.NewReader(strings.ReplaceAll(string(data), "CNH", code)), "x.csv")
		if err != nil {
			t.Errorf("%s: %v", code, err)
			continue
		}
		got := read(t, r)
		if !strings.HasSuffix(got, want+"EUR/USD 1.05531 1.05560 2026-01-01T22:03:36.907Z\n") || strings.Count(got, "\n") != 26 || r.Format() != "truefx" {
			t.Errorf("%s is read as %s\n%s", code, r.Format(), got)
		}
	}
	_, err = tickfile.NewReader(strings.NewReader("<DATE>\t<TIME>\t<BID>\t<ASK>\n2022.11.10\t15:00:00.017\t7.08\t7.09\n"), "mt5_USDQQQ.csv")
	if !errors.Is(err, tickfile.ErrNoSymbol) || !strings.Contains(err.Error(), "USDQQQ in the name") || !strings.Contains(err.Error(), "metatrader5") {
		t.Errorf("a name with a symbol that is not known: %v", err)
	}
}

// TestTwoReadings checks that files are refused if they can be read in two ways or hold no ticks.
func TestTwoReadings(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, content string
		want          error
	}{
		{"commas within numbers and between fields", "time,bid,ask\n2024-02-26T00:00:00Z,1,18450,1,18460\n", tickfile.ErrAmbiguous},
		{"the same without a heading", "2022.11.10 15:00:00.017,1,18450,1,18460\n", tickfile.ErrNotTicks},
		{"the same with as many columns as the heading", "time,bid,ask,bidVolume,askVolume\n2024-02-26T00:00:00Z,1,18450,1,18460\n", tickfile.ErrAmbiguous},
		{"quoted decimal commas", "2022.11.10 15:00:00.017,\"1,18450\",\"1,18460\"\n", tickfile.ErrAmbiguous},
		{"a date with the month or the day first", "time,bid,ask\n01/02/2018 22:00:00,1.1,1.2\n", tickfile.ErrAmbiguous},
		{"dates of both kinds with the heading of FXCM", "DateTime,Bid,Ask\n13/02/2018 22:00:00,1.1,1.2\n02/14/2018 22:00:00,1.1,1.2\n", tickfile.ErrAmbiguous},
		{"dates of both kinds", "time,bid,ask\n13/02/2018 22:00:00,1.1,1.2\n02/14/2018 22:00:00,1.1,1.2\n", tickfile.ErrAmbiguous},
		{"bid and ask change places", "2022.11.10 15:00:00,1.1,1.2\n2022.11.10 15:00:01,1.2,1.1\n", tickfile.ErrAmbiguous},
		{"bid, ask and last", "2022.11.10 15:00:00,1.10000,1.10010,1.10005\n", tickfile.ErrAmbiguous},
		{"a price and lots of one", "2022.11.10 15:00:00,1.08470,1\n2022.11.10 15:01:00,1.08480,1\n", tickfile.ErrAmbiguous},
		{"a price and lots near to it", "2022.11.10 15:00:00;1.08470;1.5\n2022.11.10 15:01:00;1.08480;1.25\n", tickfile.ErrAmbiguous},
		{"a price and fractions of a lot", "2022.11.10 15:00:00;1.08470;1.50000\n2022.11.10 15:01:00;1.08480;0.25000\n", tickfile.ErrNotTicks},
		{"a price without a fraction beside one with", "1708905600123,150.123,150\n", tickfile.ErrAmbiguous},
		{"an unknown layout of times without a heading", "26-Feb-2024 00:00:00,1.1,1.2\n", tickfile.ErrFormat},
		{"an unknown layout of times that is a number", "20200101170000065,1.1,1.2\n", tickfile.ErrFormat},
		{"an unknown layout of times, a Unix time of another age", "time,bid,ask\n20200101170000065,1.1,1.2\n", tickfile.ErrFormat},
		{"lines that end with a carriage return", "time,bid,ask\r2024-02-26T00:00:00Z,1.1,1.11\r", tickfile.ErrFormat},
		{"bars by the minute", "20200101 170000;1.12120;1.12130;1.12110;1.12125;0\n", tickfile.ErrNotTicks},
		{"bars of MetaTrader 4", "2024.02.26,00:00,1.08450,1.08490,1.08400,1.08470,55\n2024.02.26,00:01,1.08470,1.08470,1.08470,1.08470,1\n", tickfile.ErrNotTicks},
		{"bars by the day", "2024.02.26,1.08450,1.08490,1.08400,1.08470,55\n", tickfile.ErrNotTicks},
		{"bars by the day, ISO", "2024-02-26;1,08450;1,08490;1,08400;1,08470\n", tickfile.ErrNotTicks},
		{"trades by the minute", "2024.02.26,00:00,1.08450,120\n", tickfile.ErrNotTicks},
		{"bars with a heading", "Date,Open,High,Low,Close\n2024-02-26 00:00:00,1.1,1.2,1.0,1.1\n", tickfile.ErrNotTicks},
		{"trades with a heading", "time,price,volume\n2024-02-26T00:00:00Z,1.1,5\n", tickfile.ErrNotTicks},
		{"no ask", "time,bid\n2024-02-26T00:00:00Z,1.1\n", tickfile.ErrFormat},
		{"two bids", "time,bid,bid,ask\n2024-02-26T00:00:00Z,1.1,1.1,1.2\n", tickfile.ErrFormat},
		{"an unknown layout of times", "time,bid,ask\n26-Feb-2024 00:00:00,1.1,1.2\n", tickfile.ErrFormat},
		{"a .bi5 file of an instrument without a scale", string(records([3]uint32{1000, 252415, 252410})), tickfile.ErrAmbiguous},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := "EURUSD.csv"
			if tc.content[0] == 0 {
				name = "USDARS/2025/00/15/10h_ticks.bi5"
			}
			r, err := tickfile.NewReader(strings.NewReader(tc.content), name)
			if err == nil {
				t.Fatalf("taken as %s: %s", r.Format(), read(t, r))
			}
			if !errors.Is(err, tc.want) || strings.Contains(tc.name, "layout of times") != strings.Contains(err.Error(), "the times have an unknown layout") {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

// TestOnlyLineCutOff checks that the digits of a single line without its end show whether it may be
// cut off.
func TestOnlyLineCutOff(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"20200101 170000065,1.121200,1.12137":  "bad line 1: the last line has no end, and 1.121200/1.12137 has another number of digits than the previous price: it may be cut off\n",
		"20200101 170000065,1.121200,1.121372": "EUR/USD 1.121200 1.121372 2020-01-01T22:00:00.065Z\n",
	} {
		r, err := tickfile.NewReader(strings.NewReader(content), "EURUSD.csv")
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, r); got != want {
			t.Errorf("%s\nread %swant %s", content, got, want)
		}
	}
}

// TestHeadings checks that columns are found by name, in any order.
func TestHeadings(t *testing.T) {
	t.Parallel()
	const want = "EUR/USD 1.08190 1.08201 2024-02-26T00:00:00.123Z\n"
	for _, content := range []string{
		"ask,bid,time\n1.08201,1.08190,2024-02-26T00:00:00.123Z\n",
		"Symbol;Timestamp;Bid Price;Ask Price\nEURUSD;1708905600123;1.08190;1.08201\n",
		"\"time\",\"bid\",\"ask\"\n\"2024-02-26 00:00:00.123\",\"1.08190\",\"1.08201\"\n",
		"t\tbid\task\n1708905600.123\t1,08190\t1,08201\n",
		"pair,datetime,bid,ask,bid_size\neur_usd,20240226-00:00:00.123,1.08190,1.08201,5\n",
		"Date,Time,Bid,Ask\n2024.02.26,00:00:00.123,1.08190,1.08201\n",
		"time,bid,ask\n26.02.2024 00:00:00.123,1.08190,1.08201\n",
		"datetime,bid,ask\n2024-02-26T00:00:00.123Z,1.08190,1.08201\n", // the heading of FXCM
		"DateTime,Bid,Ask\n20240226-00:00:00.123,1.08190,1.08201\n",
		"DateTime,Bid,Ask\n26/02/2024 00:00:00.123,1.08190,1.08201\n",
		"DateTime,Bid,Ask\n02/26/2024 00:00:00.123,1.08190,1.08201\n",
		"time,bid,ask\n26/02/2024 00:00:00.123,1.08190,1.08201\n",
		`{"symbol":"EURUSD","bid":"1.08190","ask":1.08201,"ts":"2024-02-26T00:00:00.123Z"}` + "\n",
		"1708905600123,1.08201,1.08190,0.75,0.9\n",
		"2024-02-26T00:00:00.123Z,1.08190,1.08201\n",
	} {
		r, err := tickfile.NewReader(strings.NewReader(content), "EURUSD.csv")
		if err != nil {
			t.Errorf("%s\n%v", content, err)
			continue
		}
		if got := read(t, r); got != want {
			t.Errorf("%s\nread %s", content, got)
		}
	}
}

// TestZone checks that WithZone applies to times without a zone, with daylight saving time, and not
// to times that have one.
func TestZone(t *testing.T) {
	t.Parallel()
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{
		"2022.01.10 15:00:00,1.1,1.2\n2022.07.10 15:00:00,1.1,1.2\n": "EUR/USD 1.1 1.2 2022-01-10T20:00:00Z\nEUR/USD 1.1 1.2 2022-07-10T19:00:00Z\n",
		"time,bid,ask\n2022-01-10T15:00:00+01:00,1.1,1.2\n":          "EUR/USD 1.1 1.2 2022-01-10T14:00:00Z\n",
		"Local time,Ask,Bid\n03.12.2012 00:30:00.000,1.3,1.2\n":      "EUR/USD 1.2 1.3 2012-12-03T05:30:00Z\n",
		"20200101 170000065,1.1,1.2,0\n":                             "EUR/USD 1.1 1.2 2020-01-01T22:00:00.065Z\n",
	} {
		r, err := tickfile.NewReader(strings.NewReader(content), "EURUSD.csv", tickfile.WithZone(newYork))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, r); got != want {
			t.Errorf("%s\nread %swant %s", content, got, want)
		}
	}
}

// TestNoTicks checks that reading ends in a file that continues without a tick.
func TestNoTicks(t *testing.T) {
	t.Parallel()
	endless := io.MultiReader(strings.NewReader("time,bid,ask\n2024-02-26T00:00:00Z,1.1,1.2\n"), io.LimitReader(blankLines{}, 64<<20))
	r, err := tickfile.NewReader(endless, "EURUSD.csv")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, r); !strings.Contains(got, "end after line") || !strings.Contains(got, "no tick in 1000000 lines") {
		t.Errorf("read %.200s", got)
	}
}

type blankLines struct{}

func (blankLines) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("\n"), len(p))), nil
}

func Example() {
	r, err := tickfile.Open("testdata/mt4_comma_EURUSD.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for {
		q, err := r.Next()
		if err != nil {
			break // io.EOF; a *LineError would be one bad line
		}
		fmt.Println(q.Symbol, q.Bid, q.Ask)
	}
	// Output:
	// EUR/USD 1.18450 1.18460
	// EUR/USD 1.18451 1.18461
}
