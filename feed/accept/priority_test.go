package accept_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

var mainAndBackup = feed.Priorities{Named: []feed.Priority{{Source: "main", Silence: 5 * time.Second}, {Source: "backup", Silence: 10 * time.Second}}, Others: true}

func from(source string) feed.Quote {
	q := eurusd("1", "2")
	q.Source = source
	return q
}

func TestScriptPriorities(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx := t.Context()
		a := args()
		a.Priorities = mainAndBackup
		silent := func(source string, d time.Duration) { // as if its last quote had come d ago
			t.Helper()
			at, err := c.Time(ctx).Result()
			if err == nil {
				err = c.HSet(ctx, keys.Seq("EUR/USD"), "h:"+source, at.Add(-d).UnixMicro()).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		taken := func(what string, q feed.Quote) {
			t.Helper()
			if o := mustAccept(t, c, q, a); o.Seq == 0 {
				t.Errorf("%s: %v, want it accepted", what, o.Rejection)
			}
		}
		refused := func(what string, q feed.Quote, texts ...string) {
			t.Helper()
			before := c.Get(ctx, keys.Quote("EUR/USD")).Val() + c.HGet(ctx, keys.Seq("EUR/USD"), "seq").Val() + fmt.Sprint(c.XLen(ctx, keys.Ticks("EUR/USD")).Val())
			o := mustAccept(t, c, q, a)
			if o.Rejection == nil || o.Rejection.Reason != feed.ReasonOutranked {
				t.Errorf("%s: %+v, want outranked", what, o)
				return
			}
			for _, text := range texts {
				if !strings.Contains(o.Rejection.Message, text) {
					t.Errorf("%s: %q, want %q in it", what, o.Rejection.Message, text)
				}
			}
			if after := c.Get(ctx, keys.Quote("EUR/USD")).Val() + c.HGet(ctx, keys.Seq("EUR/USD"), "seq").Val() + fmt.Sprint(c.XLen(ctx, keys.Ticks("EUR/USD")).Val()); after != before {
				t.Errorf("%s: wrote %s over %s", what, after, before)
			}
		}
		taken("no source has sent a quote", from("other"))
		taken("a source with a higher priority", from("backup"))
		refused("a source that is not named", from("other"), "source other", "backup", "10s")
		taken("the best", from("main"))
		refused("main is active", from("backup"), "source backup", "main", "5s")
		refused("main is active", from("other"), "main")
		silent("main", 4*time.Second)
		refused("within the limit", from("backup"), "came 4")
		silent("main", 6*time.Second)
		refused("backup is active", from("other"), "backup")
		taken("main is silent", from("backup"))
		q := from("main")
		q.Time = time.Now().Add(time.Hour)
		if o := mustAccept(t, c, q, a); o.Rejection == nil || o.Rejection.Reason != feed.ReasonFuture {
			t.Errorf("an hour ahead: %+v", o)
		}
		taken("main sends only future times", from("backup"))
		q.Time = time.Now()
		taken("main is back", q)
		refused("main is back", from("backup"))
		q.Time = q.Time.Add(-time.Minute)
		silent("main", 6*time.Second)
		if o := mustAccept(t, c, q, a); o.Rejection == nil || o.Rejection.Reason != feed.ReasonOld {
			t.Errorf("a minute old: %+v", o)
		}
		taken("main sends old times", from("backup"))

		// An outranked source counts as active.
		silent("main", 0)
		silent("backup", 11*time.Second)
		refused("main is active again", from("backup"))
		silent("main", 6*time.Second)
		refused("backup was outranked but active", from("other"), "backup")
		silent("backup", 11*time.Second)
		taken("all are silent", from("other"))

		silent("main", -time.Hour)
		taken("last quote by a clock an hour ahead", from("backup"))

		o := mustAccept(t, c, feed.Quote{Symbol: "GBP/USD", Bid: "1", Ask: "1", Source: "other"}, a)
		if o.Seq == 0 {
			t.Errorf("another symbol: %v, want it accepted", o.Rejection)
		}
		// Within one call: the second is outranked by the first.
		outcomes, err := accept.AcceptAll(ctx, c, []feed.Quote{from("main"), from("backup"), from("main")}, a)
		if err != nil || outcomes[0].Seq == 0 || outcomes[1].Rejection == nil || outcomes[2].Seq != outcomes[0].Seq+1 {
			t.Errorf("in one call: %+v, %v", outcomes, err)
		}
		a.Priorities = feed.Priorities{}
		taken("without priorities", from("other"))
	})
}

func TestScriptPrioritiesOnFullServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory-policy", "noeviction")
	c, a := s.Client(), args()
	a.Priorities = mainAndBackup
	mustAccept(t, c, from("main"), a)
	c.ConfigSet(t.Context(), "maxmemory", "1")
	if _, err := accept.Accept(t.Context(), c, from("backup"), a); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("an outranked quote that cannot be remembered: %v, want OOM", err)
	}
}

func TestPublishUnlisted(t *testing.T) {
	t.Parallel()
	c, _ := redistest.Embedded(t)
	p := startPublisher(t, c, func(cfg *accept.PublisherConfig) {
		cfg.Priorities = feed.Priorities{Named: mainAndBackup.Named}
	})
	o, err := p.Publish(t.Context(), []feed.Quote{from("other"), from("main"), eurusd("1", "2"), from("backup")})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2} {
		if r := o[i].Rejection; r == nil || r.Reason != feed.ReasonUnlisted || !strings.Contains(r.Message, "main, backup") {
			t.Errorf("quote %d: %+v, want it rejected as unlisted, with the list", i, o[i])
		}
	}
	if o[1].Seq != 1 || o[3].Rejection == nil || o[3].Rejection.Reason != feed.ReasonOutranked {
		t.Errorf("named sources: %+v, %+v", o[1], o[3])
	}
}

// recorder receives the quotes of a symbol like any subscriber of Redis.
type recorder struct {
	mu   sync.Mutex
	seen []string // number and source
}

func record(t *testing.T, c *redis.Client, s feed.Symbol) *recorder {
	t.Helper()
	ps := c.Subscribe(context.Background(), keys.Channel(s))
	if _, err := ps.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			m, err := ps.ReceiveMessage(context.Background())
			if err != nil {
				return
			}
			a, err := feed.DecodeTick([]byte(m.Payload))
			if err != nil {
				t.Errorf("DecodeTick(%s): %v", m.Payload, err)
			}
			r.mu.Lock()
			r.seen = append(r.seen, fmt.Sprint(a.Seq, " ", a.Source))
			r.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		ps.Close()
		wg.Wait()
	})
	return r
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// TestBackupTakesOver gives each of two nodes a producer of the same symbol. The preferred one falls
// silent and comes back.
func TestBackupTakesOver(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const limit = 300 * time.Millisecond
	ranked := func(cfg *accept.PublisherConfig) {
		cfg.Priorities = feed.Priorities{Named: []feed.Priority{{Source: "main", Silence: limit}, {Source: "backup", Silence: limit}}}
	}
	first, second := startPublisher(t, s.Client(), ranked), startPublisher(t, s.Client(), ranked)
	one, two := record(t, s.Client(), "EUR/USD"), record(t, s.Client(), "EUR/USD")

	publishOne(t, first, from("main"))
	last := publishOne(t, first, from("main"))
	var took accept.Outcome
	outranked := 0
	eventually(t, "the backup is taken", func() bool {
		took = publishOne(t, second, from("backup"))
		if took.Rejection != nil && took.Rejection.Reason == feed.ReasonOutranked {
			outranked++
		}
		return took.Seq > 0
	})
	if d := time.Duration(took.At-last.At) * time.Microsecond; d <= limit || outranked == 0 {
		t.Errorf("the backup was taken %v after main, %d times not: the limit is %v", d, outranked, limit)
	}
	if o := publishOne(t, second, from("backup")); o.Seq != took.Seq+1 {
		t.Errorf("the backup's next: %+v", o)
	}
	back := publishOne(t, first, from("main"))
	if back.Seq != took.Seq+2 || back.Epoch != last.Epoch {
		t.Errorf("main's first tick: %+v, want the number after the backup's", back)
	}
	if d := time.Duration(publishOne(t, second, from("backup")).At-back.At) * time.Microsecond; d > 0 && d <= limit {
		t.Errorf("the backup was taken %v after main came back", d)
	}
	want := []string{"1 main", "2 main", "3 backup", "4 backup", "5 main"}
	for _, r := range []*recorder{one, two} {
		eventually(t, "all quotes arrive", func() bool { return len(r.all()) >= len(want) })
		if got := r.all(); !slices.Equal(got[:len(want)], want) {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

func TestProducersInterleaveInOneOrder(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	one, two := record(t, s.Client(), "EUR/USD"), record(t, s.Client(), "EUR/USD")
	const each = 2000
	var wg sync.WaitGroup
	for _, source := range []string{"a", "b"} {
		p := startPublisher(t, s.Client())
		wg.Go(func() {
			for n := range each / 10 {
				var quotes []feed.Quote
				for range 1 + n%19 {
					quotes = append(quotes, from(source))
				}
				if _, err := p.Publish(context.Background(), quotes); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for n := range each / 10 {
		total += 2 * (1 + n%19)
	}
	for _, r := range []*recorder{one, two} {
		eventually(t, "all quotes arrive", func() bool { return len(r.all()) == total })
	}
	got := one.all()
	changes := 0
	for i, text := range got {
		if !strings.HasPrefix(text, fmt.Sprint(i+1, " ")) {
			t.Fatalf("quote %d is %s", i+1, text)
		}
		if i > 0 && text[len(text)-1] != got[i-1][len(got[i-1])-1] {
			changes++
		}
	}
	if !slices.Equal(got, two.all()) || changes < 2 {
		t.Errorf("two subscribers saw different orders, or no interleaving: %d changes", changes)
	}
}
