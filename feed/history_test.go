package feed_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestHistoryNewest(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	keys := feed.Keys{Prefix: "fx:"}
	for _, q := range []string{
		`{"symbol":"EUR/USD","bid":"1.1","ask":"1.2","ts":"2026-11-22T10:15:00.000000Z","seq":1,"epoch":"e","at":1795342500000000,"source":"a"}`,
		`not a quote`,
		`{"symbol":"EUR/USD","bid":"1.3","ask":"1.4","ts":"2026-11-22T10:15:01.000000Z","seq":2,"epoch":"e","at":1795342501000000,"source":"a"}`,
	} {
		if err := client.Do(t.Context(), "XADD", keys.Ticks("EUR/USD"), "*", "q", q).Err(); err != nil {
			t.Fatal(err)
		}
	}
	h := feed.NewHistory(client, keys)
	for _, c := range []struct {
		limit int
		since time.Time
		want  []string
	}{
		{10, time.Time{}, []string{"1.1", "1.3"}},
		{1, time.Time{}, []string{"1.3"}},
		{10, time.UnixMicro(1795342501000000), []string{"1.3"}},
		{10, time.Now().Add(time.Hour), nil},
	} {
		got, err := h.Newest(t.Context(), "EUR/USD", c.limit, c.since)
		if err != nil {
			t.Fatal(err)
		}
		var bids []string
		for _, a := range got {
			bids = append(bids, a.Bid)
		}
		if len(bids) != len(c.want) || len(bids) > 0 && bids[0] != c.want[0] {
			t.Errorf("limit %d since %v: %v, want %v", c.limit, c.since, bids, c.want)
		}
	}
	if got, err := h.Newest(t.Context(), "GBP/USD", 5, time.Time{}); err != nil || len(got) != 0 {
		t.Errorf("a symbol without history: %v, %v", got, err)
	}
	server.Kill()
	if _, err := h.Newest(t.Context(), "EUR/USD", 5, time.Time{}); !errors.Is(err, feed.ErrUnavailable) {
		t.Errorf("without Redis: %v, want ErrUnavailable", err)
	}
}
