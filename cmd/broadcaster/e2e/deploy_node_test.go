package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// A deployment is what docker-compose.yml starts, as processes of this machine:
// the same files, users, secrets and environments.
type deployment struct {
	t       *testing.T
	redis   *deployedRedis
	environ []string // of a broadcaster
	nodes   []*processNode
	url     string // of nginx, or of the first node where there is no nginx
	proxied bool
}

func startDeployment(t *testing.T) *deployment {
	t.Helper()
	given := map[string]string{"FEED_CHANNELS": "news"}
	d := &deployment{t: t, redis: startDeployed(t, "FEED_CHANNELS=news")}
	for _, name := range composeNodes {
		environ := slices.Concat(readCompose(t).Services[name].environ(d.redis.secrets, given), []string{
			"REDIS_HOST=127.0.0.1", "REDIS_PORT=" + d.redis.port, "ADMIN_ADDR=127.0.0.1:0", "TRUSTED_PROXIES=127.0.0.1/32",
			"REDIS_CONF=" + root + "/redis.conf", "DRAIN_TIMEOUT=2s", "LOG_LEVEL=info"})
		d.environ = environ
		d.nodes = append(d.nodes, serveProgram(t, environ...))
	}
	d.url = d.nodes[0].public
	if bin, err := exec.LookPath("nginx"); err == nil {
		d.startNginx(bin)
	}
	return d
}

// startNginx runs deploy/nginx.conf with other addresses.
func (d *deployment) startNginx(bin string) {
	d.t.Helper()
	dir, port := d.t.TempDir(), programtest.FreePort(d.t)
	text := readRoot(d.t, "deploy/nginx.conf")
	for i, name := range composeNodes {
		text = strings.Replace(text, name+":8080", strings.TrimPrefix(d.nodes[i].public, "http://"), 1)
	}
	text = strings.Replace(text, "listen 8080;", "listen 127.0.0.1:"+port+";", 1)
	text = strings.ReplaceAll(text, "/tmp/", dir+"/")
	text = strings.Replace(text, "include mime.types;", "", 1)
	text = strings.Replace(text, "worker_processes auto;", "worker_processes 1;", 1)
	conf := filepath.Join(dir, "nginx.conf")
	programtest.WriteFile(d.t, conf, text)
	// The workers of root would become somebody who may not read the directory.
	var args []string
	if out, _ := exec.Command("id", "-u").Output(); strings.TrimSpace(string(out)) == "0" {
		args = []string{"-g", "user root;"}
	}
	args = append(args, "-c", conf)
	if out, err := exec.Command(bin, append(args, "-t")...).CombinedOutput(); err != nil || bytes.Contains(out, []byte("[warn]")) {
		d.t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	if len(args) == 4 {
		args[1] += " daemon off;"
	} else {
		args = append(args, "-g", "daemon off;")
	}
	log := &programtest.Buffer{}
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() { cmd.Wait() })
	d.t.Cleanup(func() {
		// SIGTERM, so that the workers end with it.
		cmd.Process.Signal(syscall.SIGTERM)
		ended.Wait()
	})
	d.url, d.proxied = "http://127.0.0.1:"+port, true
	programtest.Eventually(d.t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// do sends a request and returns the answer's status, header and body.
func (d *deployment) do(method, url, body string, header http.Header) answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// read reads messages until one matches.
func (d *deployment) read(ws *wsClient, want string) string {
	d.t.Helper()
	re := regexp.MustCompile(want)
	for {
		m, err := ws.next()
		if err != nil {
			d.t.Fatalf("before %s: %v", want, err)
		}
		if re.Match(m) {
			return string(m)
		}
	}
}

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
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 0 { // it is interrupted, and ends well
		t.Errorf("feed simulate: %v %s", cmd.ProcessState, &errs)
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
	d.tryAlerts()
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

// elsewhere are metrics of alerts.yml that this deployment does not have.
var elsewhere = []string{"fx_tls_certificate_expires_seconds"} // nginx ends TLS

// tryAlerts wants every metric of deploy/alerts.yml to be one the nodes have.
func (d *deployment) tryAlerts() {
	d.t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	readYAML(d.t, "deploy/alerts.yml", &rules)
	metrics := ""
	for _, n := range d.nodes {
		metrics += d.do("GET", n.admin+"/metrics", "", nil).body
	}
	manual := readRoot(d.t, "docs/troubleshooting.md")
	count := 0
	for _, r := range rules.Groups[0].Rules {
		names := regexp.MustCompile(`\bfx_\w+`).FindAllString(r.Expr, -1)
		for _, name := range names {
			if !slices.Contains(elsewhere, name) && !regexp.MustCompile(`(?m)^`+name+`[ {]`).MatchString(metrics) {
				d.t.Errorf("%s: no node has %s", r.Alert, name)
			}
		}
		// Values of labels too: an alert on a value that never comes is silent.
		for _, m := range regexp.MustCompile(`(fx_\w+)\{(\w+)=~?"([^"]+)"\}`).FindAllStringSubmatch(r.Expr, -1) {
			for value := range strings.SplitSeq(m[3], "|") {
				if !regexp.MustCompile(fmt.Sprintf(`(?m)^%s\{.*%s="%s"`, m[1], m[2], value)).MatchString(metrics) {
					d.t.Errorf("%s: no %s has %s=%q", r.Alert, m[1], m[2], value)
				}
			}
		}
		if len(names) == 0 && !strings.Contains(r.Expr, `up{job="fxcast"}`) || r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
			d.t.Errorf("%s lacks something: %+v", r.Alert, r)
		}
		if !strings.Contains(manual, "`"+r.Alert+"`") {
			d.t.Errorf("docs/troubleshooting.md says nothing of the alert %s", r.Alert)
		}
		count++
	}
	if count < 10 {
		d.t.Errorf("%d alerts only", count)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		d.t.Log("no promtool on PATH: the rules were only read")
		return
	}
	if out, err := exec.Command(promtool, "check", "config", root+"/deploy/prometheus.yml").CombinedOutput(); err != nil {
		d.t.Errorf("%v\n%s", err, out)
	}
}
