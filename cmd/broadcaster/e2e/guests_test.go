package e2e

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// TestGuestsAreEvictedFirst fills a Redis with the policy of redis.conf with guests, until most of
// them are evicted: all sessions of users stay. With FXCAST_LONG=1 it makes 100,000 guests.
func TestGuestsAreEvictedFirst(t *testing.T) {
	t.Parallel()
	guests, users := 5000, 200
	if os.Getenv("FXCAST_LONG") == "1" {
		guests = 100_000
	}
	var args []string
	for _, m := range regexp.MustCompile(`(?m)^(maxmemory-\w+|lazyfree-[\w-]+) (\S+)$`).FindAllStringSubmatch(readRoot(t, "redis.conf"), -1) {
		args = append(args, "--"+m[1], m[2])
	}
	r := redistest.Start(t, args...)
	rdb, ctx := r.Client(), t.Context()
	sessions := session.New(session.Config{Redis: rdb})
	ids := make([]string, users)
	for i := range ids {
		s, _, err := sessions.Create(ctx, session.Draft{UserID: fmt.Sprint("user-", i), Role: "user"})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = s.ID
	}
	info := func(name string) int {
		text, err := rdb.Info(ctx, "memory", "stats").Result()
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(regexp.MustCompile(`(?m)^` + name + `:(\d+)`).FindStringSubmatch(text)[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// Room for a third of the guests.
	if err := rdb.ConfigSet(ctx, "maxmemory", fmt.Sprint(info("used_memory")+guests*300)).Err(); err != nil {
		t.Fatal(err)
	}
	const makers = 8
	var making sync.WaitGroup
	for k := range makers {
		making.Go(func() {
			for i := k; i < guests; i += makers {
				draft := session.Draft{UserID: fmt.Sprint("guest-", i), Role: session.GuestRole, Address: "2001:db8:1234:5678::1", Agent: strings.Repeat("Mozilla/5.0 ", 10)}
				if _, _, err := sessions.Create(ctx, draft); err != nil {
					t.Errorf("guest %d: %v", i, err)
					return
				}
			}
		})
	}
	making.Wait()
	if evicted := info("evicted_keys"); evicted < guests/2 {
		t.Errorf("%d keys evicted: Redis was not full", evicted)
	}
	alive := 0
	for _, id := range ids {
		if _, err := sessions.LoadID(ctx, id); err == nil {
			alive++
		}
	}
	if alive != users {
		t.Errorf("%d of %d users' sessions are alive", alive, users)
	}
	for i := range users {
		if n := rdb.SCard(ctx, fmt.Sprint("session:user:user-", i)).Val(); n != 1 {
			t.Errorf("the index of user %d has %d sessions", i, n)
		}
	}
	t.Logf("%d guests, %d keys evicted, %d of %d users' sessions alive", guests, info("evicted_keys"), alive, users)
}

// TestGuestLimits: new guests of one address, and guests in all, are limited over all nodes; visitors
// with a session and exempt addresses are not.
func TestGuestLimits(t *testing.T) {
	t.Parallel()
	for range 5 {
		if guestLimits(t) {
			return
		}
	}
	t.Error("in each of 5 attempts a node decided without Redis")
}

// guestLimits returns false, and has shown nothing, if a node decided without Redis.
func guestLimits(t *testing.T) (shown bool) {
	r := redistest.Start(t)
	settings := []string{"GUEST_SESSIONS=true", "GUEST_RATE_PER_MINUTE=3", "GUEST_MAX=6", "TRUSTED_PROXIES=127.0.0.1", "RATE_EXEMPT=203.0.113.0/24"}
	a, b := startNode(t, r, settings...), startNode(t, r, settings...)
	ask := func(n *testNode, address, cookie string) answer {
		header := http.Header{"X-Forwarded-For": {address}}
		if cookie != "" {
			header.Set("Cookie", cookie)
		}
		return n.do("POST", n.public+"/api/v1/session/guest", "", header)
	}
	cookie := ""
	for i := range 3 {
		got := ask([]*testNode{a, b}[i%2], "192.0.2.1", "")
		if got.status != http.StatusCreated {
			t.Fatalf("guest %d: %d %s", i, got.status, got.body)
		}
		cookie, _, _ = strings.Cut(got.header.Get("Set-Cookie"), ";")
	}
	fourth := ask(a, "192.0.2.1", "")
	if a.alone()+b.alone() != "" {
		return false
	}
	if got := fourth; got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, `"guest"`) {
		t.Errorf("a fourth guest of one address: %d %s", got.status, got.body)
	}
	if got := ask(b, "192.0.2.1", cookie); got.status != http.StatusOK {
		t.Errorf("a guest asks again: %d %s", got.status, got.body)
	}
	for range 3 {
		if got := ask(a, "203.0.113.5", ""); got.status != http.StatusCreated {
			t.Errorf("a guest of an exempt address: %d %s", got.status, got.body)
		}
	}
	for _, n := range []*testNode{a, b} {
		if got := ask(n, "198.51.100.1", ""); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "GUEST_MAX") {
			t.Errorf("a seventh guest: %d %s", got.status, got.body)
		}
	}
	if s := a.signIn("mia", "user"); s.Token == "" {
		t.Error("a user cannot sign in")
	}
	return true
}
