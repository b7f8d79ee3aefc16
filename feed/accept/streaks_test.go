package accept_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// TestSourceRefusedAllTheTime checks that a source without any accepted quote is logged once a
// minute. A source with some bad quotes is not logged, nor one that only waits for its turn.
func TestSourceRefusedAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := accept.NewRejectedLog(accept.RejectedConfig{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		lines := func(text string) int { return strings.Count(out.String(), text) }
		bad, mixed, second := feed.Quote{Source: "bad"}, feed.Quote{Source: "mixed"}, feed.Quote{Source: "second"}
		outranked := &feed.Rejection{Reason: feed.ReasonOutranked, Message: "main was heard"}
		for range 1800 { // 15 minutes
			l.Add(crossed, bad, accept.ViaHTTP, nil)
			for range 5 {
				l.Add(crossed, mixed, accept.ViaInbox, nil)
			}
			l.Accepted(mixed, accept.ViaInbox)
			l.Accepted(bad, accept.ViaInbox) // another door is another producer
			l.Add(outranked, second, accept.ViaInbox, nil)
			time.Sleep(500 * time.Millisecond)
		}
		if n := lines("every quote of a source is refused"); n != 15 || lines("source=bad via=http") != 15 ||
			lines("reason=crossed") != 15 || lines(crossed.Message) != 15 {
			t.Errorf("%d lines in 15 minutes, want one a minute about bad:\n%.2000s", n, &out)
		}
		l.Accepted(bad, accept.ViaHTTP)
		if lines("accepted again") != 1 {
			t.Errorf("nothing says that it is accepted again:\n%.2000s", &out)
		}
		out.Reset()
		for range 20 { // rarely, so never in a row
			l.Add(crossed, bad, accept.ViaHTTP, nil)
			time.Sleep(2 * time.Minute)
		}
		if out.Len() > 0 {
			t.Errorf("one quote every two minutes: %s", &out)
		}
		for i := range 100_000 { // names without end
			l.Add(crossed, feed.Quote{Source: fmt.Sprint(i)}, accept.ViaHTTP, nil)
		}
		if n := l.Streaks(); n > 256 {
			t.Errorf("%d sources are remembered, want at most 256", n)
		}
	})
}
