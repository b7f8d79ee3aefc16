package limiter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fxcast/fxcast/limiter"
)

func TestTopOffenders(t *testing.T) {
	l := limiter.New(limiter.Config{})
	tier := limiter.Limit{Max: 1, Window: time.Hour}
	for i := range 3000 {
		allow(t, l, "worst", 1, tier)
		if i%2 == 0 {
			allow(t, l, "second", 1, tier)
		}
		s := fmt.Sprint("other", i%500)
		allow(t, l, s, 1, tier)
	}
	top := l.TopOffenders(1000)
	if len(top) != limiter.MaxOffenders || top[0].Subject != "worst" || top[1].Subject != "second" {
		t.Fatalf("%d offenders, first %v", len(top), top[:min(2, len(top))])
	}
	for i, want := range []int64{2999, 1499} {
		if o := top[i]; o.Refused < want || o.Refused-o.AtMostOver > want {
			t.Errorf("%+v, want %d within its bound", o, want)
		}
	}
	if n := len(l.TopOffenders(3)); n != 3 {
		t.Errorf("TopOffenders(3) has %d", n)
	}
	if n := len(l.TopOffenders(-1)); n != 0 {
		t.Errorf("TopOffenders(-1) has %d", n)
	}
}
