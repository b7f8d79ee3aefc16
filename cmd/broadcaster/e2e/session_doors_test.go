package e2e

import (
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := dir+"/cert.pem", dir+"/key.pem"
	programtest.Certificate(t, certFile, keyFile, 1)
	n := startNode(t, redistest.Start(t), "TLS_CERT_FILE="+certFile, "TLS_KEY_FILE="+keyFile, "GUEST_SESSIONS=true")
	addr := strings.TrimPrefix(n.public, "https://")
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("certificate %d, want 1", got)
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v, want it allowed %v", tls.VersionName(version), err, ok)
		}
		if err == nil {
			c.Close()
		}
	}
	got := n.do("POST", n.public+"/api/v1/session/guest", "", nil)
	cookies := (&http.Response{Header: got.header}).Cookies()
	if got.status != 201 || len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || got.header.Get("Strict-Transport-Security") == "" {
		t.Fatalf("guest over TLS: %+v", got)
	}
	// A page that came without TLS is another site.
	cookie := cookies[0].Name + "=" + cookies[0].Value
	if _, resp, err := n.dial("/ws", http.Header{"Cookie": {cookie}, "Origin": {"http://" + addr}}); err == nil || resp.StatusCode != 403 {
		t.Errorf("a page without TLS connects: %v", err)
	}
	open, _, err := n.dial("/ws", http.Header{"Cookie": {cookie}, "Origin": {n.public}})
	if err != nil {
		t.Fatal(err)
	}
	open.want("welcome")

	// Half a change is no change.
	metric := func(name string) string { return metricOf(n, name) }
	programtest.WriteFile(t, keyFile, "rubbish")
	programtest.Eventually(t, "the broken pair is counted", func() bool { return metric("fx_tls_reload_failures_total") != "0" })
	if got := serial(); got != 1 {
		t.Errorf("certificate %d with broken files, want the old one", got)
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "the missing file is counted", func() bool { return strings.Contains(n.log.String(), "no such file") })
	if got := serial(); got != 1 {
		t.Errorf("certificate %d with a file missing, want the old one", got)
	}
	if metric("fx_tls_reloads_total") != "0" {
		t.Error("a reload was counted")
	}
	programtest.Certificate(t, certFile, keyFile, 2)
	programtest.Eventually(t, "the new certificate is served", func() bool { return serial() == 2 })
	if metric("fx_tls_reloads_total") != "1" {
		t.Errorf("reloads: %s", metric("fx_tls_reloads_total"))
	}
	open.say(`{"op":"ping"}`) // connections go on
	open.want("pong")
	if strings.Contains(n.log.String(), "PRIVATE KEY") {
		t.Error("the log shows a key")
	}
}

// metricOf reads a metric without labels from the admin listener.
func metricOf(n *testNode, name string) string {
	n.t.Helper()
	return metricIn(n.do("GET", n.admin+"/metrics", "", nil).body, name)
}

func metricIn(metrics, name string) string {
	for line := range strings.Lines(metrics) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// TestSeveralTokens: each of the listed tokens opens, so that one can be replaced.
func TestSeveralTokens(t *testing.T) {
	t.Parallel()
	n := startNode(t, redistest.Start(t))
	for token, want := range map[string]int{adminToken: 200, otherAdmin: 200, pubToken: 401, adminToken[1:]: 401, adminToken + "x": 401, "": 401, adminToken + "," + otherAdmin: 401} {
		if got := n.do("GET", n.admin+"/api/v1/sessions?user_id=u", "", bearer(token)); got.status != want {
			t.Errorf("admin token %q: %d, want %d", token, got.status, want)
		}
	}
	for token, want := range map[string]int{pubToken: 200, otherPub: 200, adminToken: 401, namedSource + ":" + otherPub: 401, "": 401} {
		if got := n.do("POST", n.public+"/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1","ask":"2"}`, bearer(token)); got.status != want {
			t.Errorf("publish token %q: %d %s, want %d", token, got.status, got.body, want)
		}
	}
	if log := n.log.String(); strings.Contains(log, adminToken) || strings.Contains(log, otherPub) {
		t.Error("the log shows a token")
	}
}

// TestBadTokens tries what no session has, at each door.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := startNode(t, r, "GUEST_SESSIONS=true")
	good := n.signIn("ann", "user")
	k, _ := n.connect(good.Token)
	for name, token := range map[string]string{
		"one character": "x", "the public id": good.ID, "its upper case": strings.ToUpper(good.ID), "not base64": "%%%", "huge": strings.Repeat("A", 8000),
		"someone's guess": strings.Repeat("A", 43), "cut short": good.Token[:42], "too long": good.Token + "A", "other case": strings.ToLower(good.Token) + "-",
		"a key": "session:" + good.ID, "a path": root + "/etc/passwd", "JSON": `{"user_id":"1","role":"admin"}`, "wildcard": "*", "not ASCII": "tökén", "admin": adminToken,
	} {
		for door, h := range map[string]http.Header{"bearer": bearer(token), "cookie": {"Cookie": {"session_id=" + token}}} {
			if got := n.do("GET", n.public+"/api/v1/session", "", h); got.status != 401 || strings.Contains(got.body, token) && len(token) > 1 {
				t.Errorf("%s as %s: %d %s", name, door, got.status, got.body)
			}
			if _, resp, err := n.dial("/ws", h); err == nil || resp.StatusCode != 401 {
				t.Errorf("%s as %s opens a socket: %v", name, door, err)
			}
		}
	}
	// A token the client chose is never taken over.
	for _, chosen := range []string{"chosen-by-the-client-0123456789-0123456789", strings.Repeat("A", 43)} {
		got := n.do("POST", n.public+"/api/v1/session/guest", "", http.Header{"Cookie": {"session_id=" + chosen}})
		cookies := (&http.Response{Header: got.header}).Cookies()
		if got.status != 201 || len(cookies) != 1 || cookies[0].Value == chosen || len(cookies[0].Value) < 43 {
			t.Errorf("guest with a chosen token: %+v", got)
		}
		if n.rdb.Exists(t.Context(), "session:"+session.ID(chosen)).Val() != 0 {
			t.Error("the chosen token has a session")
		}
	}
	if got := n.do("POST", n.admin+"/api/v1/sessions", `{"user_id":"1","role":"user","token":"chosen-by-the-client-0123456789-0123456789"}`, bearer(adminToken)); got.status != 400 || !strings.Contains(got.body, "token") {
		t.Errorf("a chosen token for the admin API: %+v", got)
	}
	// Nothing holds a token: neither Redis nor the log.
	for _, key := range n.rdb.Keys(t.Context(), "session:*").Val() {
		value, _ := n.rdb.Get(t.Context(), key).Result()
		if strings.Contains(key+value, good.Token) {
			t.Errorf("Redis holds the token at %s", key)
		}
	}
	if strings.Contains(n.log.String(), good.Token) {
		t.Error("the log holds the token")
	}
	// Broken by hand: not a crash, not a session, and counted.
	for _, value := range []string{"", "null", "[]", "{", `{"user_id":1}`, `{"user_id":{},"role":"admin"}`, `{"user_id":"1","role":7}`, "\x00\xff", strings.Repeat("[", 60000), `{"tombstone":"x"}`} {
		s := n.signIn("bob", "user")
		if err := n.rdb.Set(t.Context(), "session:"+s.ID, value, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if got := n.do("GET", n.public+"/api/v1/session", "", bearer(s.Token)); got.status != 401 {
			t.Errorf("session %.20q: %d %s", value, got.status, got.body)
		}
		if got := n.do("GET", n.admin+"/api/v1/redis/session/"+s.ID, "", bearer(adminToken)); got.status/100 != 4 {
			t.Errorf("session %.20q for the admin: %d %s", value, got.status, got.body)
		}
	}
	s := n.signIn("bob", "user")
	n.rdb.Del(t.Context(), "session:"+s.ID)
	n.rdb.LPush(t.Context(), "session:"+s.ID, "a list")
	if got := n.do("GET", n.public+"/api/v1/session", "", bearer(s.Token)); got.status != 401 {
		t.Errorf("a session that is a list: %d", got.status)
	}
	if count := metricOf(n, `fx_session_loads_total{result="corrupt"}`); count == "0" || count == "" {
		t.Errorf("corrupt sessions counted: %q", count)
	}
	k.say(`{"op":"ping"}`)
	k.want("pong")
}

// TestTicketRacedOverTwoNodes lets 100 clients use one ticket at once.
func TestTicketRacedOverTwoNodes(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	a, b := startNode(t, r), startNode(t, r)
	s := a.signIn("ann", "user")
	var ticket struct{ Ticket string }
	a.do("POST", a.public+"/api/v1/ws-ticket", "", bearer(s.Token)).into(t, 200, &ticket)
	var won, refused atomic.Int32
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 100 {
		n := []*testNode{a, b}[i%2]
		wg.Go(func() {
			<-start
			k, resp, err := n.dial("/ws?ticket="+ticket.Ticket, nil)
			switch {
			case err == nil:
				won.Add(1)
				k.want("welcome")
			case resp != nil && resp.StatusCode == 401:
				refused.Add(1)
			default:
				t.Errorf("neither in nor refused: %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	if won.Load() != 1 || refused.Load() != 99 {
		t.Errorf("%d won and %d were refused, want 1 and 99", won.Load(), refused.Load())
	}
	// A ticket opens no other door, and dies with its session.
	a.do("POST", a.public+"/api/v1/ws-ticket", "", bearer(s.Token)).into(t, 200, &ticket)
	if got := a.do("GET", a.public+"/api/v1/session?ticket="+ticket.Ticket, "", bearer(ticket.Ticket)); got.status != 401 {
		t.Errorf("a ticket as a token: %d", got.status)
	}
	if got := b.do("DELETE", b.public+"/api/v1/session", "", bearer(s.Token)); got.status != 204 {
		t.Errorf("sign-out: %+v", got)
	}
	if _, resp, err := a.dial("/ws?ticket="+ticket.Ticket, nil); err == nil || resp.StatusCode != 401 {
		t.Errorf("a ticket of an ended session: %v", err)
	}
}
