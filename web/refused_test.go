package web_test

import (
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestRefusedRequestsCostNothing: requests over the limit, over many connections, read neither the
// session nor the windows from Redis.
func TestRefusedRequestsCostNothing(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Rate = session.Rate{PerDay: 3} })
	token, _ := n.SignIn("mia", "user")
	h := webtest.NewHTTPClient(t, n.Public)
	for range 3 {
		if a := h.Do("GET", "/api/v1/session", "", webtest.Bearer(token)); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	h.Do("GET", "/api/v1/session", "", webtest.Bearer(token)).Problem(t, 429)
	calls := func() (sum int) {
		text, err := n.RDB.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^cmdstat_(?:get|pttl|evalsha):calls=(\d+)`).FindAllStringSubmatch(text, -1) {
			k, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += k
		}
		return sum
	}
	const clients, each = 50, 20
	before := calls()
	var asking sync.WaitGroup
	for range clients {
		asking.Go(func() {
			h := webtest.NewHTTPClient(t, n.Public)
			for range each {
				if a := h.Do("GET", "/api/v1/session", "", webtest.Bearer(token)); a.Status != 429 || a.Header.Get("Retry-After") == "" {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
		})
	}
	asking.Wait()
	// What the node itself does meanwhile is counted too.
	if cost := calls() - before; cost > clients*each/5 {
		t.Errorf("%d refused requests cost %d commands", clients*each, cost)
	}
	other, _ := n.SignIn("otto", "user")
	if a := h.Do("GET", "/api/v1/session", "", webtest.Bearer(other)); a.Status != 200 {
		t.Errorf("another user: %d %s", a.Status, a.Body)
	}
}
