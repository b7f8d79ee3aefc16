package protocol_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

func TestCandleJSON(t *testing.T) {
	start := time.Date(2026, 11, 25, 10, 15, 0, 0, time.UTC)
	bid, ask := protocol.OHLC{Open: "1.1", High: "1.20", Low: "1.0", Close: "1.1"}, protocol.OHLC{Open: "2", High: "3", Low: "1", Close: "2.0"}
	for _, c := range []struct {
		candle protocol.Candle
		want   string
	}{
		{protocol.Candle{Start: start, Bid: bid, Ask: ask, Ticks: 57, Complete: true},
			`{"t":"2026-11-25T10:15:00Z","bid":["1.1","1.20","1.0","1.1"],"ask":["2","3","1","2.0"],"ticks":57,"complete":true}`},
		{protocol.Candle{Start: start, Bid: bid, Ask: ask, Ticks: 1, Open: true},
			`{"t":"2026-11-25T10:15:00Z","bid":["1.1","1.20","1.0","1.1"],"ask":["2","3","1","2.0"],"ticks":1,"complete":false,"open":true}`},
	} {
		text, err := json.Marshal(c.candle)
		if err != nil || string(text) != c.want {
			t.Errorf("got %s, %v\nwant %s", text, err, c.want)
		}
		var back protocol.Candle
		if err := json.Unmarshal([]byte(c.want), &back); err != nil || back != c.candle {
			t.Errorf("decoded %+v, %v\nwant %+v", back, err, c.candle)
		}
	}
	c := protocol.Candle{Start: start.In(time.FixedZone("", 3600)), Ticks: 1}
	if text := string(c.Append(nil)); text[:27] != `{"t":"2026-11-25T10:15:00Z"` {
		t.Errorf("in another zone: %s", text)
	}
	for _, bad := range []string{`{"bid":["1","2"]}`, `{"bid":"1"}`, `{"bid":[1,2,3,4]}`, `{"t":5}`} {
		if err := json.Unmarshal([]byte(bad), new(protocol.Candle)); err == nil {
			t.Errorf("%s was decoded", bad)
		}
	}
}

func TestDayJSON(t *testing.T) {
	since := time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		day  protocol.Day
		want string
	}{
		{protocol.Day{Since: since, Open: "1.1", High: "1.30", Low: "1", PreviousClose: "1.10"},
			`{"since":"2026-11-24T22:00:00Z","open":"1.1","high":"1.30","low":"1","previous_close":"1.10"}`},
		{protocol.Day{Since: since, Open: "1.1", High: "1.30", Low: "1"},
			`{"since":"2026-11-24T22:00:00Z","open":"1.1","high":"1.30","low":"1","previous_close":null}`},
	} {
		text, err := json.Marshal(c.day)
		if err != nil || string(text) != c.want {
			t.Errorf("got %s, %v\nwant %s", text, err, c.want)
		}
		var back protocol.Day
		if err := json.Unmarshal([]byte(c.want), &back); err != nil || back != c.day {
			t.Errorf("decoded %+v, %v\nwant %+v", back, err, c.day)
		}
	}
}
