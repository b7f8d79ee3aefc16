package receive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/protocol"
)

func TestHistoryNewest(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	for _, q := range []string{
		`{"symbol":"EUR/USD","bid":"1.1","ask":"1.2","ts":"2026-11-22T10:15:00.000000Z","seq":1,"epoch":"e","at":1795342500000000,"source":"a"}`,
		`not a quote`,
		`{"symbol":"EUR/USD","bid":"1.3","ask":"1.4","ts":"2026-11-22T10:15:01.000000Z","seq":2,"epoch":"e","at":1795342501000000,"source":"a"}`,
	} {
		if err := client.Do(t.Context(), "XADD", keys.Ticks("EUR/USD"), "*", "q", q).Err(); err != nil {
			t.Fatal(err)
		}
	}
	h := receive.NewHistory(client, keys)
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
	if _, err := h.Newest(t.Context(), "EUR/USD", 5, time.Time{}); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("without Redis: %v, want ErrUnavailable", err)
	}
}

// countingReads counts the stream entries that a client reads.
type countingReads struct{ entries int }

func (*countingReads) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*countingReads) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (c *countingReads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if read, ok := cmd.(*redis.XMessageSliceCmd); ok {
				c.entries += len(read.Val())
			}
		}
		return err
	}
}

// The answer for a position equals a plain search in all quotes that were written, whatever was
// trimmed and however many chunks it takes.
func TestHistoryAfter(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	h := receive.NewHistory(client, keys)
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		client.Del(ctx, keys.Ticks("EUR/USD"))
		var all []feed.Tick
		pipe := client.Pipeline()
		for e, n := range rapid.SliceOfN(rapid.IntRange(1, 300), 1, 2).Draw(t, "ticks of each epoch") {
			for seq := range n {
				a := acceptedQuote("EUR/USD", fmt.Sprintf("e%d", e), uint64(seq+1))
				all = append(all, a)
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: keys.Ticks("EUR/USD"), Values: []any{"q", a.AppendJSON(nil)}})
			}
		}
		kept := rapid.IntRange(0, len(all)).Draw(t, "kept")
		pipe.XTrimMaxLen(ctx, keys.Ticks("EUR/USD"), int64(kept))
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(all)-1).Draw(t, "position")
		limit := rapid.IntRange(1, 2*len(all)).Draw(t, "limit")
		follow := all[at+1:]
		// The old epoch may have had an end that history does not show, so
		// the position itself, or its successor in the same epoch, must be there.
		want := max(len(follow)-kept, len(follow)-limit, 0)
		complete := want == 0 && (kept >= len(follow)+1 || len(follow) > 0 && follow[0].Epoch == all[at].Epoch)
		ticks, got, err := h.After(ctx, "EUR/USD", all[at].Epoch, all[at].Seq, limit, func() {})
		if err != nil {
			t.Fatal(err)
		}
		if got != complete {
			t.Fatalf("complete = %v, want %v", got, complete)
		}
		if !complete {
			want = len(follow)
		}
		if !slices.EqualFunc(ticks, follow[want:], func(a, b feed.Tick) bool { return a.Epoch == b.Epoch && a.Seq == b.Seq }) {
			t.Fatalf("%d ticks, want %d", len(ticks), len(follow)-want)
		}
	})

	client.Del(t.Context(), keys.Ticks("EUR/USD"))
	for seq := range uint64(1000) {
		q := acceptedQuote("EUR/USD", "e0", 1001+seq).AppendJSON(nil)
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: keys.Ticks("EUR/USD"), Values: []any{"q", q}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, vain := range []protocol.Position{{Epoch: "other", Seq: 1500}, {Epoch: "e0", Seq: 999}, {Epoch: "e0", Seq: 2001}, {Epoch: "e0", Seq: 1001}} {
		read := &countingReads{}
		counted := server.Client()
		counted.AddHook(read)
		ticks, complete, err := receive.NewHistory(counted, keys).After(t.Context(), "EUR/USD", vain.Epoch, vain.Seq, 900, func() {})
		if err != nil || complete || len(ticks) != 0 || read.entries != 2 {
			t.Errorf("%v: %d ticks, %v, %v, %d entries read, want 2", vain, len(ticks), complete, err, read.entries)
		}
	}
	if ticks, complete, err := h.After(t.Context(), "EUR/USD", "e0", 1000, 1000, func() {}); err != nil || !complete || len(ticks) != 1000 {
		t.Errorf("just before the oldest: %d ticks, %v, %v", len(ticks), complete, err)
	}
	next := acceptedQuote("EUR/USD", "e1", 1).AppendJSON(nil)
	if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: keys.Ticks("EUR/USD"), Values: []any{"q", next}}).Err(); err != nil {
		t.Fatal(err)
	}
	if ticks, complete, err := h.After(t.Context(), "EUR/USD", "e0", 1000, 1001, func() {}); err != nil || !complete || len(ticks) != 1001 {
		t.Errorf("just before the oldest, in an older epoch: %d ticks, %v, %v", len(ticks), complete, err)
	}

	if ticks, complete, err := h.After(t.Context(), "EUR/USD", "other", 3, 5, func() {}); err != nil || complete || len(ticks) > 5 {
		t.Errorf("an unknown epoch: %d ticks, %v, %v", len(ticks), complete, err)
	}
	if ticks, complete, err := h.After(t.Context(), "GBP/USD", "e0", 3, 5, func() {}); err != nil || complete || len(ticks) != 0 {
		t.Errorf("a symbol without history: %d ticks, %v, %v", len(ticks), complete, err)
	}
	server.Kill()
	if _, _, err := h.After(t.Context(), "EUR/USD", "e0", 1, 5, func() {}); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("without Redis: %v, want ErrUnavailable", err)
	}
}
