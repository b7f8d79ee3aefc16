package tickfile_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

func FuzzReader(f *testing.F) {
	for _, s := range []string{
		histdata,
		"\xef\xbb\xbfGmt time,Ask,Bid,AskVolume,BidVolume\r\n03.12.2012 00:00:01.883,132.158,132.141,1.50,1.13\r\n",
		"Local time,Ask,Bid\n03.12.2012 00:30:00.000 GMT+0100,1.3,1.2\n",
		"USD/JPY,20130101 22:00:00.295,86.655,86.728\n",
		"<DATE>\t<TIME>\t<BID>\t<ASK>\n2022.11.10\t15:00:00.017\t0.86682\t\n",
		"2022.11.10;15:00:00;0.86682;0.86712\n",
		"\xff\xfe2\x000\x002\x002\x00",
		"DateTime,Bid,Ask\n01/28/2018 22:00:00.123,1.24210,1.24260\n",
		"2022.11.10 15:00:00.017;1,18450;1,18460\n",
		"symbol,timestamp,bid,ask\nEURUSD,1708905600123,1.1,\"1.2\"\n",
		"{\"symbol\":\"EURUSD\",\"bid\":1.1,\"ask\":1.2}\n",
		string(records([3]uint32{1883, 132158, 132141})),
	} {
		f.Add([]byte(s), "EURUSD_2012-12-03_12h_ticks.bi5")
		f.Add([]byte(s), "GBPJPY/2012/11/03/12h_ticks.bi5")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		r, err := tickfile.NewReader(bytes.NewReader(data), name)
		if err != nil {
			return
		}
		defer r.Close()
		line := 0
		for range 1 << 16 { // compressed content can be long
			q, err := r.Next()
			var bad *tickfile.LineError
			switch {
			case errors.As(err, &bad):
				if bad.Line <= line || len(bad.Reason) > 400 {
					t.Fatalf("after line %d: %+v", line, bad)
				}
				line = bad.Line
				continue
			case err != nil:
				if _, again := r.Next(); again != err {
					t.Fatalf("after the end by %v came %v", err, again)
				}
				if err != io.EOF && len(err.Error()) > 600 {
					t.Fatalf("long error: %v", err)
				}
				return
			}
			if s, err := (*feed.Instruments)(nil).ParseSymbol(string(q.Symbol)); err != nil || s != q.Symbol {
				t.Fatalf("symbol %q: %v", q.Symbol, err)
			}
			var rejection *feed.Rejection
			if errors.As((*feed.Instruments)(nil).Check(q), &rejection) {
				switch rejection.Reason {
				case feed.ReasonZero, feed.ReasonCrossed, feed.ReasonTooLong, feed.ReasonNotANumber:
				default:
					t.Fatalf("%+v: %v", q, rejection)
				}
			}
			if r.Format() != "ndjson" && (q.Source != "" || q.Time.IsZero()) {
				t.Fatalf("%+v: want a time and no source", q)
			}
		}
	})
}
