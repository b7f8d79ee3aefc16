package live_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestRefusedBeforeTheUpgrade tests that each refusal is problem+json.
func TestRefusedBeforeTheUpgrade(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Origins = []string{"https://*.good.example", "exact.example", "http://plain.example:8000"}
	})
	token, _ := n.SignIn("bob", "user")
	host := n.Public.Listener.Addr().String()
	with := func(pairs ...string) http.Header {
		h := webtest.Bearer(token)
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = []string{pairs[i+1]}
			if pairs[i+1] == "" {
				h[pairs[i]] = nil
			}
		}
		return h
	}
	for _, tc := range []struct {
		name   string
		path   string
		header http.Header
		want   int
		says   string
	}{
		{"same origin", "/ws", with("Origin", "http://"+host), 101, ""},
		{"no origin", "/ws", with(), 101, ""},
		{"same origin, default port in Host", "/ws", with("Host", "fx.example:80", "Origin", "http://fx.example"), 101, ""},
		{"same origin, default port of TLS in Host", "/ws", with("Host", "fx.example:443", "Origin", "https://fx.example"), 101, ""},
		{"port of the other scheme", "/ws", with("Host", "fx.example:443", "Origin", "http://fx.example"), 403, "ALLOWED_ORIGINS"},
		{"listed origin", "/ws", with("Origin", "https://a.good.example"), 101, ""},
		{"listed host", "/ws", with("Origin", "http://exact.example"), 101, ""},
		{"listed host, upper case", "/ws", with("Origin", "https://EXACT.example"), 101, ""},
		{"listed with port", "/ws", with("Origin", "http://plain.example:8000"), 101, ""},
		{"other port", "/ws", with("Origin", "http://plain.example:8001"), 403, "ALLOWED_ORIGINS"},
		{"other scheme", "/ws", with("Origin", "http://a.good.example"), 403, "ALLOWED_ORIGINS"},
		{"other site", "/ws", with("Origin", "https://evil.example"), 403, "ALLOWED_ORIGINS"},
		{"suffix", "/ws", with("Origin", "https://exact.example.evil.example"), 403, "ALLOWED_ORIGINS"},
		{"user info", "/ws", with("Origin", "https://exact.example@evil.example"), 403, "ALLOWED_ORIGINS"},
		{"null", "/ws", with("Origin", "null"), 403, "ALLOWED_ORIGINS"},
		{"file", "/ws", with("Origin", "file://"), 403, "ALLOWED_ORIGINS"},
		{"garbage origin", "/ws", with("Origin", "%zz"), 403, "ALLOWED_ORIGINS"},
		{"no session", "/ws", http.Header{}, 401, "sign in"},
		{"bad bearer", "/ws", webtest.Bearer("nonsense"), 401, "sign in"},
		{"unknown bearer", "/ws", webtest.Bearer(strings.Repeat("A", 43)), 401, "sign in"},
		{"bad ticket", "/ws?ticket=nonsense", http.Header{}, 401, "sign in"},
		{"bad ticket and good bearer", "/ws?ticket=nonsense", with(), 401, "sign in"},
		{"subprotocol", "/ws", with("Sec-Websocket-Protocol", "fx.v1"), 101, ""},
		{"one of the subprotocols", "/ws", with("Sec-Websocket-Protocol", "soap, fx.v1"), 101, ""},
		{"other subprotocol", "/ws", with("Sec-Websocket-Protocol", "soap"), 400, "fx.v1"},
		{"no upgrade", "/ws", with("Upgrade", ""), 426, "WebSocket"},
		{"no connection", "/ws", with("Connection", "keep-alive"), 426, "WebSocket"},
		{"other upgrade", "/ws", with("Upgrade", "h2c"), 426, "WebSocket"},
		{"old version", "/ws", with("Sec-Websocket-Version", "8"), 426, "13"},
		{"no version", "/ws", with("Sec-Websocket-Version", ""), 426, "13"},
		{"no key", "/ws", with("Sec-Websocket-Key", ""), 400, "Key"},
		{"short key", "/ws", with("Sec-Websocket-Key", "c2hvcnQ="), 400, "Key"},
	} {
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), tc.path, tc.header, nil)
		body := ""
		if tc.want != 101 {
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.LimitReader(resp.Body, 1<<16), resp.Body}
			b, _ := io.ReadAll(resp.Body)
			body = string(b)
		}
		p.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%s: %s %s, want %d", tc.name, resp.Status, body, tc.want)
			continue
		}
		switch tc.want {
		case 101:
			if offered, chosen := tc.header["Sec-Websocket-Protocol"], resp.Header.Get("Sec-Websocket-Protocol"); offered != nil && chosen != "fx.v1" || offered == nil && chosen != "" {
				t.Errorf("%s: subprotocol %q", tc.name, chosen)
			}
			continue
		case 426:
			if !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
				t.Errorf("%s: 426 without the header Upgrade", tc.name)
			}
			if strings.Contains(tc.name, "version") && resp.Header.Get("Sec-Websocket-Version") != "13" {
				t.Errorf("%s: the answer does not say which version", tc.name)
			}
		}
		a := webtest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
		if resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", tc.name, resp.StatusCode, resp.Header.Get("Content-Type"))
		} else if pr := a.Problem(t, tc.want); !strings.Contains(pr.Detail, tc.says) {
			t.Errorf("%s: detail %q does not name %q", tc.name, pr.Detail, tc.says)
		}
		if strings.Contains(body, token) {
			t.Errorf("%s: shows the token", tc.name)
		}
	}
	h := webtest.NewHTTPClient(t, n.Public)
	h.Do("GET", "/ws", "", webtest.Bearer(token)).Problem(t, 426)
	h.Do("POST", "/ws", "", webtest.Bearer(token)).Problem(t, 405)
}

// TestWaysToSignIn connects by cookie, bearer and ticket; a ticket opens once.
func TestWaysToSignIn(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Rate.PerMinute = 12 })
	token, sess := n.SignIn("carol", "user")
	welcome := func(path string, h http.Header) webtest.Message {
		t.Helper()
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), path, h, nil)
		if resp.StatusCode != 101 {
			t.Fatal(resp.Status)
		}
		t.Cleanup(func() { p.Close() })
		return webtest.NewClient(p, t).Want("welcome")
	}
	if m := welcome("/ws", http.Header{"Cookie": {"a=b; session_id=" + token}}); m.Session.ID != sess.ID {
		t.Errorf("by cookie: %s", m.Raw)
	}
	if m := welcome("/ws", webtest.Bearer(token)); m.Session.ID != sess.ID {
		t.Errorf("by bearer: %s", m.Raw)
	}
	h := webtest.NewHTTPClient(t, n.Public)
	var ticket struct {
		Ticket  string
		Expires int `json:"expires_in"`
	}
	h.Do("POST", "/api/v1/ws-ticket", "", webtest.Bearer(token)).Into(t, 200, &ticket)
	if ticket.Expires != 30 || ticket.Ticket == "" || ticket.Ticket == token {
		t.Errorf("ticket: %+v", ticket)
	}
	// Another origin does not use it up.
	p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws?ticket="+ticket.Ticket, http.Header{"Origin": {"https://evil.example"}}, nil)
	p.Close()
	if resp.StatusCode != 403 {
		t.Errorf("ticket from another origin: %s", resp.Status)
	}
	if m := welcome("/ws?ticket="+ticket.Ticket, nil); m.Session.ID != sess.ID {
		t.Errorf("by ticket: %s", m.Raw)
	}
	p, resp = webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws?ticket="+ticket.Ticket, nil, nil)
	p.Close()
	if resp.StatusCode != 401 {
		t.Errorf("a ticket used twice: %s, want 401", resp.Status)
	}
	if strings.Contains(n.Log.String(), ticket.Ticket) || strings.Contains(n.Log.String(), token) {
		t.Error("the log holds a ticket or a token")
	}
	// Connects count against the user's tier.
	limited := false
	for range 12 {
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), nil)
		if p.Close(); resp.StatusCode == 429 {
			limited = true
			if resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("429 with %v", resp.Header)
			}
			break
		}
	}
	if !limited {
		t.Error("connects were not limited")
	}
}

// A request that is refused for its rate does not use up its ticket.
func TestLimitedConnectKeepsItsTicket(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Rate.PerMinute = 3 })
	token, sess := n.SignIn("carol", "user")
	connect := func(path string, h http.Header) int {
		t.Helper()
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), path, h, nil)
		p.Close()
		return resp.StatusCode
	}
	ticket, _, err := n.Sessions.IssueTicket(t.Context(), sess.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := connect("/ws?ticket="+ticket, nil); got != 101 {
		t.Fatalf("by ticket: %d", got)
	}
	if got := connect("/ws?ticket="+ticket, nil); got != 401 { // counted by address: the ticket is used up, so it has no user
		t.Errorf("by a used ticket: %d, want 401", got)
	}
	ticket, _, _ = n.Sessions.IssueTicket(t.Context(), sess.ID)
	for i := range 3 {
		if got, want := connect("/ws", webtest.Bearer(token)), []int{101, 101, 429}[i]; got != want {
			t.Fatalf("connect %d: %d, want %d", i, got, want)
		}
	}
	if got := connect("/ws?ticket="+ticket, nil); got != 429 {
		t.Errorf("by the ticket of a limited user: %d, want 429", got)
	}
	if s, err := n.Sessions.RedeemTicket(t.Context(), ticket); err != nil || s.ID != sess.ID {
		t.Errorf("the ticket afterwards: %v %v, want it unused", s.ID, err)
	}
}

// TestListedOrigins connects from the pages of listed origins: each is what its entry says, of the
// scheme by which the server is reached if the entry names none, and without its cookie.
func TestListedOrigins(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Origins = []string{"capacitor://localhost", "chrome-extension://abcdef", "null", "https://port.example:443", "http://plain.example:80",
			"bare.example", "*.wild.example", "http://[::1]:3000"}
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	token, sess := n.SignIn("dora", "user")
	own := "http://" + n.Public.Listener.Addr().String()
	connect := func(path, origin, proto string, h http.Header) int {
		t.Helper()
		h = h.Clone()
		h.Set("Origin", origin)
		h.Set("X-Forwarded-Proto", proto)
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), path, h, nil)
		p.Close()
		return resp.StatusCode
	}
	cookie := http.Header{"Cookie": {"session_id=" + token}}
	for _, tc := range []struct {
		origin, proto string
		want          int
	}{
		{"capacitor://localhost", "http", 101}, {"capacitor://localhost", "https", 101}, {"capacitor://other", "http", 403},
		{"chrome-extension://abcdef", "https", 101}, {"chrome-extension://abcdeg", "https", 403},
		{"null", "http", 101}, {"https://port.example", "http", 101}, {"http://plain.example", "http", 101},
		{"https://plain.example", "http", 403}, {"http://[::1]:3000", "http", 101}, {"http://[::1]:3001", "http", 403},
		{"http://bare.example", "http", 101}, {"http://bare.example", "https", 403}, {"https://bare.example", "https", 101},
		{"capacitor://bare.example", "http", 403}, {"http://a.wild.example", "https", 403}, {"https://a.wild.example", "https", 101},
	} {
		if got := connect("/ws", tc.origin, tc.proto, webtest.Bearer(token)); got != tc.want {
			t.Errorf("%s to %s: %d, want %d", tc.origin, tc.proto, got, tc.want)
		}
		if got, want := connect("/ws", tc.origin, tc.proto, cookie), max(tc.want, 401); got != want {
			t.Errorf("%s to %s by cookie: %d, want %d", tc.origin, tc.proto, got, want)
		}
	}
	if got := connect("/ws", own, "http", cookie); got != 101 {
		t.Errorf("the own origin by cookie: %d", got)
	}
	ticket, _, err := n.Sessions.IssueTicket(t.Context(), sess.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := connect("/ws?ticket="+ticket, "capacitor://localhost", "http", http.Header{}); got != 101 {
		t.Errorf("a listed origin by ticket: %d", got)
	}
}
