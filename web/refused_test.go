package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// upgrade are the headers of a request for a WebSocket.
var upgrade = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}

func with(all ...http.Header) http.Header {
	h := http.Header{}
	for _, some := range all {
		maps.Copy(h, some)
	}
	return h
}

// commands returns how many commands Redis has executed that a request may cost.
func commands(t *testing.T, n *webtest.Node) (sum int) {
	t.Helper()
	text, err := n.RDB.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^cmdstat_(?:get|getdel|set|pttl|evalsha|eval):calls=(\d+)`).FindAllStringSubmatch(text, -1) {
		k, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += k
	}
	return sum
}

// refusals is how many requests a test sends that must cost nothing.
const refusals = 1000

// checkFree sends requests over many connections. Each must get this status, and Redis must not
// notice them.
func checkFree(t *testing.T, n *webtest.Node, status int, request func(i int) (method, path string, header http.Header)) {
	t.Helper()
	before := commands(t, n)
	const clients = 20
	var asking sync.WaitGroup
	for c := range clients {
		asking.Go(func() {
			h := webtest.NewHTTPClient(t, n.Public)
			for i := c; i < refusals; i += clients {
				method, path, header := request(i)
				a := h.Do(method, path, "", header)
				if a.Status != status || status == 429 && a.Header.Get("Retry-After") == "" {
					t.Errorf("%s %s: %d %v %s", method, path, a.Status, a.Header, a.Body)
				}
			}
		})
	}
	asking.Wait()
	// What the node itself does meanwhile is counted too.
	if cost := commands(t, n) - before; cost > refusals/10 {
		t.Errorf("%d refused requests cost %d commands", refusals, cost)
	}
}

// TestRefusedRequestsCostNothing: requests over the limit read neither the session nor the windows
// from Redis, at any door.
func TestRefusedRequestsCostNothing(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Rate = session.Rate{PerDay: 3} })
	token, _ := n.SignIn("mia", "user")
	h := webtest.NewHTTPClient(t, n.Public)
	var ticket struct{ Ticket string }
	h.Do("POST", "/api/v1/ws-ticket", "", webtest.Bearer(token)).Into(t, 200, &ticket)
	for range 2 {
		if a := h.Do("GET", "/api/v1/session", "", webtest.Bearer(token)); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	h.Do("GET", "/api/v1/session", "", webtest.Bearer(token)).Problem(t, 429)
	cookie := http.Header{"Cookie": {"session_id=stale; session_id=" + token}}
	for name, r := range map[string]struct {
		method, path string
		header       http.Header
	}{
		"request":          {"GET", "/api/v1/session", webtest.Bearer(token)},
		"cookies":          {"GET", "/api/v1/session", cookie},
		"socket":           {"GET", "/ws", with(upgrade, webtest.Bearer(token))},
		"socket, ticket":   {"GET", "/ws?ticket=" + ticket.Ticket, upgrade},
		"stream":           {"GET", "/api/v1/stream", webtest.Bearer(token)},
		"stream, ticket":   {"GET", "/api/v1/stream?ticket=" + ticket.Ticket, nil},
		"token for cookie": {"POST", "/api/v1/session", webtest.Bearer(token)},
		"guest":            {"POST", "/api/v1/session/guest", cookie},
	} {
		t.Run(name, func(t *testing.T) {
			checkFree(t, n, 429, func(int) (string, string, http.Header) { return r.method, r.path, r.header })
		})
	}
	other, _ := n.SignIn("otto", "user")
	if a := h.Do("GET", "/api/v1/session", "", webtest.Bearer(other)); a.Status != 200 {
		t.Errorf("another user: %d %s", a.Status, a.Body)
	}
}

// TestBadRequestsCostNothing: what a request itself shows to be refused is refused before its session
// is looked up.
func TestBadRequestsCostNothing(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("mia", "user")
	for name, r := range map[string]struct {
		status       int
		method, path string
		header       http.Header
	}{
		"foreign origin":        {403, "GET", "/ws", with(upgrade, webtest.Bearer(token), http.Header{"Origin": {"https://evil.example"}})},
		"no upgrade":            {426, "GET", "/ws", webtest.Bearer(token)},
		"bad stream":            {400, "GET", "/api/v1/stream?max_rate=fast", webtest.Bearer(token)},
		"cookie for the cookie": {401, "POST", "/api/v1/session", http.Header{"Cookie": {"session_id=" + token}}},
	} {
		t.Run(name, func(t *testing.T) {
			checkFree(t, n, r.status, func(int) (string, string, http.Header) { return r.method, r.path, r.header })
		})
	}
}

// TestRefusedGuestsCostNothing: an address that has taken all its guests is refused from memory.
func TestRefusedGuestsCostNothing(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.GuestsPerMinute = 2 })
	for _, status := range []int{201, 201, 429} {
		if a := webtest.NewHTTPClient(t, n.Public).Do("POST", "/api/v1/session/guest", "", nil); a.Status != status {
			t.Fatalf("%d %s, want %d", a.Status, a.Body, status)
		}
	}
	checkFree(t, n, 429, func(int) (string, string, http.Header) { return "POST", "/api/v1/session/guest", nil })
}

// TestUnknownTokens: an address that sends many tokens without a session costs Redis nothing after a
// while. Its users whom the node knows are served, and so are other addresses.
func TestUnknownTokens(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	from := func(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }
	const office, home = "192.0.2.7", "198.51.100.9"
	h := webtest.NewHTTPClient(t, n.Public)
	get := func(token, address string) int {
		return h.Do("GET", "/api/v1/session", "", with(webtest.Bearer(token), from(address))).Status
	}
	mia, _ := n.SignIn("mia", "user")
	if got := get(mia, office); got != 200 {
		t.Fatal(got)
	}
	began, tried := time.Now(), 0
	for ; tried < 1000 && get(fmt.Sprintf("no-such-token-%d", tried), office) == 401; tried++ {
	}
	if most := 310 + int(300*time.Since(began).Minutes()); tried < 290 || tried > most { // some return meanwhile
		t.Errorf("refused after %d unknown tokens, want 300", tried)
	}
	checkFree(t, n, 429, func(i int) (string, string, http.Header) {
		switch i % 4 {
		case 0:
			return "GET", "/api/v1/session", with(webtest.Bearer(fmt.Sprintf("another-%d", i)), from(office))
		case 1:
			return "POST", "/api/v1/session/guest", with(http.Header{"Cookie": {fmt.Sprintf("session_id=a%d; session_id=b%[1]d", i)}}, from(office))
		case 2:
			return "GET", "/ws", with(upgrade, webtest.Bearer(fmt.Sprintf("another-%d", i)), from(office))
		default:
			return "GET", fmt.Sprintf("/api/v1/stream?ticket=another-%d", i), from(office)
		}
	})
	if got := metric(t, n, "fx_web_unknown_tokens_refused_total"); got != strconv.Itoa(refusals+1) {
		t.Errorf("%s counted", got)
	}
	if lines := n.Log.Lines("too many tokens that open no session"); strings.Count(lines, "\n") > 2 || !strings.Contains(lines, office) {
		t.Errorf("the log has %q, want a line a minute", lines)
	}

	if got := get(mia, office); got != 200 {
		t.Errorf("a user of the address: %d", got)
	}
	var ticket struct{ Ticket string }
	h.Do("POST", "/api/v1/ws-ticket", "", with(webtest.Bearer(mia), from(office))).Into(t, 200, &ticket)
	r, err := http.NewRequestWithContext(t.Context(), "GET", n.Public.URL+"/api/v1/stream?ticket="+ticket.Ticket, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = from(office)
	stream, err := h.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	stream.Body.Close()
	if stream.StatusCode != 200 {
		t.Errorf("a stream by a ticket of that user: %s", stream.Status)
	}
	if a := h.Do("POST", "/api/v1/session/guest", "", from(office)); a.Status != 201 {
		t.Errorf("a new guest of the address: %d %s", a.Status, a.Body)
	}
	// A user whom the node does not know yet looks like the flood, but not from elsewhere.
	otto, _ := n.SignIn("otto", "user")
	for _, try := range []struct {
		address string
		status  int
	}{{office, 429}, {home, 200}, {office, 200}} {
		if got := get(otto, try.address); got != try.status {
			t.Errorf("from %s: %d, want %d", try.address, got, try.status)
		}
	}
	if got := get("no-such-token", home); got != 401 {
		t.Errorf("another address: %d", got)
	}
}
