package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// TestDeployment walks through the whole product as docker-compose.yml runs it,
// and wants Redis to have refused none of its users anything.
func TestDeployment(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	admin := d.nodes[0].admin
	operator := bearer(d.redis.secret("admin_token"))

	// A client comes through nginx.
	r := d.do("POST", d.url+"/api/v1/session/guest", "", nil)
	if r.status != 201 || r.header.Get("RateLimit") == "" {
		t.Fatalf("guest: %d %s %v", r.status, r.body, r.header)
	}
	cookie := (&http.Response{Header: r.header}).Cookies()[0]
	ws, err := dialWS(d.url, cookie)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ws.send(1, []byte(`{"op":"subscribe","id":1,"symbols":["EUR/USD","GBP/*"]}`))
	ws.send(1, []byte(`{"op":"subscribe","id":2,"channels":["news"]}`))
	d.read(ws, `"type":"ack","id":2.*"news"`)

	// Quotes by HTTP, by the inbox, and by the simulator.
	if r := d.do("POST", d.url+"/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513"}`, bearer(d.redis.secret("publish_token"))); !strings.Contains(r.body, `"accepted":1`) {
		t.Fatalf("publishing: %d %s", r.status, r.body)
	}
	d.read(ws, `"bid":"1.08501"`)
	if n, err := d.redis.as("producer").Publish(t.Context(), "forex_updates", `{"symbol":"GBP/USD","bid":"1.26501","ask":"1.26513"}`).Result(); err != nil || n != 1 {
		t.Fatalf("to the inbox: %d receivers, %v", n, err)
	}
	d.read(ws, `"bid":"1.26501"`)
	if err := d.redis.as("broadcaster").Publish(t.Context(), "news", `{"headline":"rates up"}`).Err(); err != nil {
		t.Fatal(err)
	}
	d.read(ws, `"channel":"news".*rates up`)
	simulated, cancel := context.WithCancel(t.Context())
	cmd := program(simulated, t, d.environ, "feed", "simulate", "--seed", "1")
	var errs programtest.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.read(ws, `"symbol":"GBP/[A-Z]{3}".*"seq":[1-9]`)
	cancel()
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != cli.Interrupted {
		t.Errorf("feed simulate: %v, want %d: %s", cmd.ProcessState, cli.Interrupted, &errs)
	}

	// Reading.
	h := http.Header{"Cookie": {cookie.String()}}
	for path, want := range map[string]string{
		"/":                              "<html",
		"/api/v1/quotes?symbols=EUR/USD": `"EUR/USD"`,
		"/api/v1/quotes/EUR/USD/history": `"1.08501"`,
		"/api/v1/session":                `"guest"`,
		"/readyz":                        "inbox",
		"/livez":                         "",
	} {
		var r answer
		programtest.Eventually(t, "GET "+path+" says "+want, func() bool { // the other node may answer, which hears of a symbol within a second
			r = d.do("GET", d.url+path, "", h)
			if r.status != 200 || strings.Contains(r.body, want) {
				return true
			}
			time.Sleep(200 * time.Millisecond) // requests are limited
			return false
		})
		if r.status != 200 {
			t.Errorf("GET %s: %d %.200s", path, r.status, r.body)
		}
	}
	// nginx may ask the node that has seen no quote: it finds new symbols by looking.
	programtest.Eventually(t, "the symbols are listed", func() bool {
		return strings.Contains(d.do("GET", d.url+"/api/v1/symbols", "", h).body, `"GBP/USD"`)
	})
	var ticket struct{ Ticket string }
	d.do("POST", d.url+"/api/v1/ws-ticket", "", h).into(t, 200, &ticket)
	if ticket.Ticket == "" {
		t.Error("no ticket")
	}

	// Sessions: by the command and the admin API, revoked on the other node.
	code, table, stderr := runCommand(t, d.environ, "session", "create", "--user", "ann", "--role", "user", "--json")
	var made madeSession
	if err := json.Unmarshal([]byte(table), &made); code != 0 || err != nil {
		t.Fatalf("session create: %d %s %v", code, stderr, err)
	}
	for i, end := range []func(){
		func() {
			if code, _, errs := runCommand(t, d.environ, "session", "revoke", made.ID); code != 0 {
				t.Errorf("session revoke: %s", errs)
			}
		},
		func() { d.do("DELETE", admin+"/api/v1/sessions?user_id=bob", "", operator) },
		// Another program deletes the key: Redis tells the nodes.
		func() { d.redis.as("broadcaster").Del(t.Context(), "session:"+made.ID) },
	} {
		if i > 0 {
			d.do("POST", admin+"/api/v1/sessions", `{"user_id":"bob","role":"user"}`, operator).into(t, 201, &made)
		}
		ws, err := dialWS(d.nodes[1].public, &http.Cookie{Name: "session_id", Value: made.Token})
		if err != nil {
			t.Fatal(err)
		}
		d.read(ws, `"welcome"`)
		end()
		asked := time.Now()
		for err == nil {
			_, err = ws.next()
		}
		if err.Error() != closeCode(4001).Error() || time.Since(asked) > slack {
			t.Errorf("%d: ended by %v after %v", i, err, time.Since(asked))
		}
		ws.Close()
	}
	if r := d.do("POST", admin+"/api/v1/redis/rate-limit/check", `{"key":"user:1","limit":5,"window_seconds":60}`, operator); r.status != 200 || !strings.Contains(r.body, `"allowed":true`) {
		t.Errorf("rate-limit/check: %d %s", r.status, r.body)
	}
	d.do("POST", d.url+"/api/v1/quotes", `{"symbol":"EUR/USD","bid":"2","ask":"1"}`, bearer(d.redis.secret("publish_token")))
	programtest.Eventually(t, "the rejected quote is listed", func() bool {
		return strings.Contains(d.do("GET", admin+"/api/v1/feed/rejected", "", operator).body, "EUR/USD")
	})
	d.useCache()
	d.tryMonitor()
	if r := d.do("POST", admin+"/api/v1/redis/pubsub/publish", `{"channel":"news","message":{"headline":"rates down"}}`, operator); r.status != 200 {
		t.Errorf("to a relayed channel: %d %s", r.status, r.body)
	}
	if r := d.do("DELETE", d.url+"/api/v1/session", "", h); r.status != 204 && r.status != 200 {
		t.Errorf("sign out: %d %s", r.status, r.body)
	}
	if refused := d.redis.refused(); refused != "" {
		t.Errorf("Redis refused its users something: %s\n%s%s", refused, d.nodes[0].stderr, d.nodes[1].stderr)
	}
	if r := d.do("POST", admin+"/api/v1/redis/pubsub/publish", `{"channel":"other","message":1}`, operator); r.status != 403 || !strings.Contains(r.body, "ACL") {
		t.Errorf("to a channel of which users.acl has no rule: %d %s", r.status, r.body)
	}
	if !d.proxied {
		t.Log("no nginx on PATH: the clients came to a node directly")
		return
	}

	// The limiter counts the client that nginx names, and believes nothing that
	// the client wrote itself.
	first, second, other := d.remaining("127.0.0.2", "203.0.113.9"), d.remaining("127.0.0.2", "203.0.113.10"), d.remaining("127.0.0.3", "")
	if second != first-1 || other != first {
		t.Errorf("%d and %d requests left for one client, %d for another", first, second, other)
	}
	// With one node gone, nginx takes the other.
	d.nodes[0].stop()
	for range 4 {
		if r := d.do("GET", d.url+"/api/v1/symbols", "", nil); r.status != 200 {
			t.Errorf("with one node: %d %.200s", r.status, r.body)
		}
	}
}

// remaining is how many requests of this minute a client at this address has
// after one that says it was forwarded.
func (d *deployment) remaining(from, forwarded string) int {
	d.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: patience}
	r, err := http.NewRequestWithContext(d.t.Context(), "GET", d.url+"/api/v1/symbols", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if forwarded != "" {
		r.Header.Set("X-Forwarded-For", forwarded)
	}
	resp, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	var left int
	if _, err := fmt.Sscanf(resp.Header.Get("RateLimit"), `"minute";r=%d`, &left); err != nil {
		d.t.Fatalf("RateLimit: %s", resp.Header.Get("RateLimit"))
	}
	return left
}

// useCache does what the program and its users do with the cache.
func (d *deployment) useCache() {
	d.t.Helper()
	c, err := cache.New(cache.Config{Redis: d.redis.as("broadcaster")})
	if err != nil {
		d.t.Fatal(err)
	}
	ns, err := c.Namespace("users", time.Hour)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx := d.t.Context()
	if err := ns.Set(ctx, "a", []byte("1")); err != nil {
		d.t.Error(err)
	}
	if _, err := ns.Get(ctx, "a"); err != nil {
		d.t.Error(err)
	}
	if _, err := ns.Invalidate(ctx, "*", nil); err != nil {
		d.t.Error(err)
	}
}

// tryMonitor runs the health check of the image as the broadcaster, and the whole
// report as user monitor.
func (d *deployment) tryMonitor() {
	d.t.Helper()
	asMonitor := append(slices.Clone(d.environ), "REDIS_USERNAME=monitor", "REDIS_PASSWORD_FILE="+d.redis.secrets+"/redis_monitor_password")
	for _, try := range []struct {
		environ []string
		args    []string
	}{{d.environ, []string{"monitor", "--health"}}, {asMonitor, []string{"monitor", "--all"}}, {asMonitor, []string{"monitor", "--monitor", "1"}}} {
		code, out, errs := runCommand(d.t, try.environ, try.args...)
		if code != 0 || strings.Contains(out+errs, "NOPERM") {
			d.t.Errorf("%q: %d\n%s%s", try.args, code, out, errs)
		}
	}
}
