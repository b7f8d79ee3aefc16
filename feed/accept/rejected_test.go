package accept_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

var crossed = &feed.Rejection{Reason: feed.ReasonCrossed, Message: "ask 1 is below bid 2"}

func TestRejectedLog(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		one, two := accept.NewRejectedLog(accept.RejectedConfig{Redis: c, Keys: keys}), accept.NewRejectedLog(accept.RejectedConfig{Redis: c, Keys: keys})
		stop := start(t, one.Run)
		start(t, two.Run)
		one.Add(crossed, feed.Quote{Symbol: "EUR/USD", Source: "lmax"}, accept.ViaHTTP, []byte("first"))
		if e, err := one.Last(t.Context(), 10); err != nil || len(e) != 1 || e[0].Input != "first" || e[0].Via != accept.ViaHTTP ||
			e[0].Source != "lmax" || e[0].Symbol != "EUR/USD" || e[0].Reason != feed.ReasonCrossed || e[0].Message != crossed.Message || time.Since(e[0].Time) > time.Minute {
			t.Errorf("at once, on the same node: %+v, %v", e, err)
		}
		two.Add(crossed, feed.Quote{}, accept.ViaInbox, []byte("second"))
		e, _ := two.Last(t.Context(), 10)
		if !slices.ContainsFunc(e, func(e accept.RejectedQuote) bool { return e.Input == "second" && e.Source == feed.DefaultSource }) {
			t.Errorf("an entry without a source should have %s: %+v", feed.DefaultSource, e)
		}
		eventually(t, "both nodes see both", func() bool {
			a, _ := one.Last(t.Context(), 10)
			b, _ := two.Last(t.Context(), 10)
			return len(a) == 2 && len(b) == 2
		})
		if e, _ := two.Last(t.Context(), 1); len(e) != 1 {
			t.Errorf("Last(1) returned %d", len(e))
		}
		for i := range 300 {
			one.Add(crossed, feed.Quote{}, accept.ViaReplay, []byte(fmt.Sprint(i)))
		}
		stop() // writes once more
		e, err := two.Last(t.Context(), 1000)
		if err != nil || len(e) != 200 || e[0].Input != "299" || e[199].Input != "100" {
			t.Errorf("after 300 more: %d entries, %v", len(e), err)
		}
		if n := c.LLen(t.Context(), keys.Rejected()).Val(); n != 200 {
			t.Errorf("%d entries in Redis, want 200", n)
		}
	})
}

func TestRejectedLogWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	reg := prometheus.NewPedanticRegistry()
	l := accept.NewRejectedLog(accept.RejectedConfig{Redis: s.Client(), Keys: keys, Registerer: reg})
	start(t, l.Run)
	s.Kill()
	for i := range 250 {
		l.Add(crossed, feed.Quote{}, accept.ViaInbox, []byte(fmt.Sprint(i)))
	}
	e, err := l.Last(t.Context(), 500)
	if !errors.Is(err, redislink.ErrUnavailable) || len(e) != 200 || e[0].Input != "249" || e[199].Input != "50" {
		t.Errorf("without Redis: %d entries, %v; want the newest 200 of this node and ErrUnavailable", len(e), err)
	}
	if n := metric(t, reg, "fx_feed_rejected_log_dropped_total"); n != 50 {
		t.Errorf("%v dropped, want 50", n)
	}
	if n := metric(t, reg, "fx_feed_rejected_total", `"crossed"`); n != 250 {
		t.Errorf("%v counted, want 250", n)
	}
	if n := metric(t, reg, "fx_feed_rejected_via_total", `"crossed"`, `"inbox"`); n != 250 {
		t.Errorf("%v counted at the inbox, want 250", n)
	}
	s.Restart()
	eventually(t, "written when Redis is back", func() bool {
		e, err := l.Last(t.Context(), 500)
		return err == nil && len(e) == 200 && s.Client().LLen(t.Context(), keys.Rejected()).Val() == 200
	})
	var none *accept.RejectedLog
	none.Add(crossed, feed.Quote{}, accept.ViaInbox, nil)
	none.Accepted(feed.Quote{}, accept.ViaInbox)
	if e, err := none.Last(t.Context(), 10); e != nil || err != nil {
		t.Errorf("nil log: %v, %v", e, err)
	}
}

func FuzzRejectedInput(f *testing.F) {
	for _, s := range []string{"", "a", "\xff", "\x00\n\u202e", "ü", "\xf0\x9f", strings.Repeat("ü", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := s[:min(len(s), accept.MaxRejectedInput)]
		got := accept.Printable(in)
		if len(got) > len(in) || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x00\x1b") {
			t.Errorf("%q became %q", in, got)
		}
	})
}
