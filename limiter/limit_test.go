package limiter_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/limiter"
)

func TestBadInput(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, _ limiter.Source) {
		ok := limiter.Limit{Max: 10, Window: time.Minute}
		for _, tc := range []struct {
			subject string
			cost    int64
			tiers   []limiter.Limit
			want    string
		}{
			{"", 1, []limiter.Limit{ok}, "subject"},
			{"s", 0, []limiter.Limit{ok}, "cost 0"},
			{"s", -1, []limiter.Limit{ok}, "cost -1"},
			{"s", 1, nil, "without tiers"},
			{"s", 1, []limiter.Limit{{Max: 0, Window: time.Minute}}, "limit 0"},
			{"s", 1, []limiter.Limit{ok, {Max: -5, Window: time.Minute}}, "limit -5"},
			{"s", 1, []limiter.Limit{{Max: 1}}, "window 0s"},
			{"s", 1, []limiter.Limit{{Max: 1, Window: -time.Hour}}, "window -1h"},
			{"s", 1, []limiter.Limit{{Max: 1, Window: time.Millisecond}}, "window 1ms"},
			{"s", 1, []limiter.Limit{{Max: 1, Window: 367 * 24 * time.Hour}}, "366 days"},
			{"s", 1, []limiter.Limit{{Max: 1, Window: time.Second + 1}}, "whole milliseconds"},
			{"s", 1, []limiter.Limit{{Name: "a\r\nb", Max: 1, Window: time.Second}}, "printable"},
			{"s", 1, []limiter.Limit{{Name: strings.Repeat("x", 65), Max: 1, Window: time.Second}}, "65 bytes"},
			{"s", 1, make([]limiter.Limit, 65), "65 tiers"},
		} {
			_, err := l.Allow(t.Context(), tc.subject, tc.cost, tc.tiers...)
			if !errors.Is(err, limiter.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Allow(%q, %d, %v) = %v, want ErrInvalid with %q", tc.subject, tc.cost, tc.tiers, err, tc.want)
			}
		}
		huge := limiter.Limit{Max: math.MaxInt64, Window: limiter.MaxWindow}
		if d := allow(t, l, "huge", math.MaxInt64, huge); d.Allowed || !d.Tiers[0].Never {
			t.Errorf("a cost above MaxLimit: %+v, want never", d)
		}
		if d := allow(t, l, "huge", limiter.MaxLimit, huge); !d.Allowed || d.Tiers[0].Remaining != 0 {
			t.Errorf("all of the greatest limit: %+v", d)
		}
		if d := allow(t, l, "huge", 1, huge); d.Allowed {
			t.Errorf("one more than the greatest limit: %+v", d)
		}
		// Odd subjects are subjects like others, and each has its own window.
		one := limiter.Limit{Max: 1, Window: time.Hour}
		for _, s := range []string{" ", "a b", "{", "}{", "{x}", "a\nb", "\x00", "\xff\xfe", "*", strings.Repeat("x", 128), strings.Repeat("x", 129),
			strings.Repeat("x", 10<<10), "sha256:" + strings.Repeat("0", 64), "ö", "../..", "ip:2001:db8::/64"} {
			if d := allow(t, l, s, 1, one); !d.Allowed {
				t.Errorf("the first call of %.20q: %+v", s, d)
			}
			if d := allow(t, l, s, 1, one); d.Allowed {
				t.Errorf("the second call of %.20q: %+v", s, d)
			}
		}
	})
}

func TestCheck(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, source limiter.Source) {
		for i, tc := range []struct {
			limit, window, cost int64
			peek                bool
			want                string
		}{
			{100, 3600, 1, true, `{"allowed":true,"limit":100,"remaining":100,"reset_seconds":0,"retry_after_seconds":0,`},
			{100, 3600, 100, false, `{"allowed":true,"limit":100,"remaining":0,"reset_seconds":3600,"retry_after_seconds":0,`},
			{100, 3600, 101, false, `{"allowed":false,"limit":100,"remaining":0,"reset_seconds":3`},
			{100, 3600, 1, true, `{"allowed":false,"limit":100,"remaining":0,"reset_seconds":3`},
			{5, 31622400, 6, false, `{"allowed":false,"limit":5,"remaining":5,"reset_seconds":0,"retry_after_seconds":null,`},
		} {
			r, err := l.Check(t.Context(), "user:123", tc.limit, tc.window, tc.cost, tc.peek)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(r)
			if err != nil || !strings.HasPrefix(string(got), tc.want) || !strings.HasSuffix(string(got), `"source":"`+string(source)+`"}`) {
				t.Errorf("%d: %s, %v, want %s…", i, got, err, tc.want)
			}
		}
		for _, tc := range []struct {
			key                 string
			limit, window, cost int64
		}{{"", 1, 1, 1}, {"k", 0, 1, 1}, {"k", 1, 0, 1}, {"k", 1, 31622401, 1}, {"k", 1, math.MaxInt64, 1}, {"k", 1, 1, 0}, {"k", -1, -1, -1}} {
			if _, err := l.Check(t.Context(), tc.key, tc.limit, tc.window, tc.cost, false); !errors.Is(err, limiter.ErrInvalid) {
				t.Errorf("%+v: %v, want ErrInvalid", tc, err)
			}
		}
	})
}
