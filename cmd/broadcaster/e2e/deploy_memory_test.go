package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/session"
)

// TestFullMemory fills Redis, with the policy of redis.conf, with quotes and
// windows until it evicts: no session goes, publishing goes on, and what was
// evicted of the quotes is back with the next tick.
func TestFullMemory(t *testing.T) {
	t.Parallel()
	var args []string
	for _, m := range regexp.MustCompile(`(?m)^(maxmemory-\w+|lazyfree-[\w-]+|hz|dynamic-hz) (\S+)$`).FindAllStringSubmatch(readRoot(t, "redis.conf"), -1) {
		args = append(args, "--"+m[1], m[2])
	}
	r := redistest.Start(t, args...)
	n := startNode(t, r)
	ctx := t.Context()
	const idle = 300
	sessions := n.sessions()
	ids := make([]string, idle) // nobody uses these after they were made
	for i := range ids {
		s, _, err := sessions.Create(ctx, session.Draft{UserID: fmt.Sprint("idle-", i), Role: "user"})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = s.ID
	}
	watcher, _ := n.connect(n.signIn("ann", "user").Token)
	watcher.say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"]}`)
	watcher.until("ack")
	publish := func(bid int) {
		t.Helper()
		body := fmt.Sprintf(`{"symbol":"EUR/USD","bid":"1.%05d","ask":"1.%05d"}`, bid, bid)
		if a := n.do("POST", n.public+"/api/v1/quotes", body, bearer(pubToken)); a.status != 200 || !strings.Contains(a.body, `"accepted":1`) {
			t.Fatalf("publishing with full memory: %d %s", a.status, a.body)
		}
	}
	publish(0)

	info := func(name string) int64 {
		t.Helper()
		text, err := n.rdb.Info(ctx, "memory", "stats").Result()
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^` + name + `:(\d+)`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("INFO has no %s", name)
		}
		v, _ := strconv.ParseInt(m[1], 10, 64)
		return v
	}
	// Room for 2 MB more.
	if err := n.rdb.ConfigSet(ctx, "maxmemory", fmt.Sprint(info("used_memory")+2<<20)).Err(); err != nil {
		t.Fatal(err)
	}
	const fillers, enough = 4, 3000
	limits := limiter.New(limiter.Config{Redis: n.rdb, OnRedisDown: limiter.Policy(n.cfg.Rate.OnRedisDown)})
	var filling sync.WaitGroup
	failed := make(chan error, fillers)
	stop := make(chan struct{})
	for f := range fillers {
		filling.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				// A window per address, and last quotes as the publish script writes them.
				if _, err := limits.Check(ctx, fmt.Sprintf("ip:10.%d.%d.%d", f, i>>8, i&255), 60, 60, 1, false); err != nil {
					failed <- err
					return
				}
				key := fmt.Sprintf("fx:{%03d/%06d}:quote", f, i)
				if err := n.rdb.Set(ctx, key, strings.Repeat("q", 130), n.cfg.Feed.QuoteTTL).Err(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	bid := 0
	for deadline := time.Now().Add(patience); info("evicted_keys") < enough; {
		if time.Now().After(deadline) {
			t.Fatalf("only %d keys evicted", info("evicted_keys"))
		}
		select {
		case err := <-failed:
			t.Fatalf("writing with full memory: %v", err)
		default:
		}
		bid++
		publish(bid)
	}
	if used := float64(info("used_memory")) / float64(info("maxmemory")); used < 0.9 || used > 1.1 {
		t.Errorf("memory is full and used by %v", used)
	}
	close(stop)
	filling.Wait()

	for _, id := range ids {
		if left, err := n.rdb.TTL(ctx, "session:"+id).Result(); err != nil || left <= 0 {
			t.Fatalf("a session was evicted: %v, %v", left, err)
		}
	}
	// The last quote may be gone; the next tick brings it back, with the sequence
	// going on where it was.
	gone, err := n.rdb.Unlink(ctx, "fx:{EUR/USD}:quote").Result()
	if err != nil {
		t.Fatal(err)
	}
	bid++
	publish(bid)
	if v, err := n.rdb.Get(ctx, "fx:{EUR/USD}:quote").Result(); err != nil || !strings.Contains(v, fmt.Sprintf(`"bid":"1.%05d"`, bid)) || !strings.Contains(v, fmt.Sprintf(`"seq":%d,`, bid+1)) {
		t.Errorf("the last quote after eviction: %s, %v", v, err)
	}
	for m := watcher.until("update"); !strings.Contains(m.raw, fmt.Sprintf(`"bid":"1.%05d"`, bid)); {
		m = watcher.until("update")
	}
	t.Logf("%d keys evicted, %d sessions kept, %d ticks published meanwhile; the last quote was there: %v", info("evicted_keys"), idle+1, bid, gone == 1)
}
