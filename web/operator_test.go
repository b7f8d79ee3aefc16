package web_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestOperatorPage(t *testing.T) {
	browser := browser(t)
	for name, test := range map[string]func(*testing.T, context.Context){
		"sign in":     testOperatorSignIn,
		"off":         testOperatorOff,
		"numbers":     testOperatorNumbers,
		"kick":        testOperatorKick,
		"revoke":      testOperatorRevoke,
		"redis lost":  testOperatorRedisLost,
		"node lost":   testOperatorNodeLost,
		"hidden":      testOperatorHidden,
		"metrics":     testOperatorMetrics,
		"not told":    testOperatorNotTold,
		"phone":       testOperatorPhone,
		"other nodes": testOperatorOtherNodes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, browser)
		})
	}
}

// openOperator opens the operator's page and waits until it asks for the token.
func openOperator(t *testing.T, browser context.Context, url string, steps ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := openTab(t, browser, append(steps, chromedp.Navigate(url+"/"))...)
	p.wait("the question for the token", gate)
	return p
}

// operate opens the operator's page and signs in.
func operate(t *testing.T, browser context.Context, url string, steps ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := openOperator(t, browser, url, steps...)
	p.enterToken(adminToken)
	p.wait("live numbers", live)
	p.wait("health", "/^(healthy|degraded)$/.test(document.documentElement.dataset.redis)")
	return p
}

const (
	gate = `document.activeElement?.id === 'token'`
	live = `document.documentElement?.dataset.link === 'live'`
)

func (p *tab) enterToken(token string) {
	p.t.Helper()
	p.wait("the field for the token", gate)
	p.do(chromedp.KeyEvent(token), chromedp.KeyEvent(kb.Enter)) // replaces a wrong one, which is selected
}

func (p *tab) text(id string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf("document.getElementById(%q).textContent", id))
}

var refusedToken = regexp.MustCompile(`status of 401`)

func testOperatorSignIn(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	a := newHTTPClient(t, n.admin).do("GET", "/", "", nil)
	policy := a.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if a := newHTTPClient(t, n.public).do("GET", "/operator.js", "", nil); a.status != 404 {
		t.Errorf("the operator's page is on the public listener: %d", a.status)
	}

	p := openOperator(t, browser, n.admin.URL)
	for _, wrong := range []string{"not-the-token-0123456789-abcdef", publishToken, "schlüssel"} {
		p.enterToken(wrong)
		p.wait("the word that it is wrong", `document.getElementById('gate-error').textContent === 'This is not an admin token of this node.'`)
		eval[bool](p, `(document.getElementById('gate-error').textContent = '', true)`)
	}
	if !eval[bool](p, `document.getElementById('desk').hidden && sessionStorage.length === 0`) {
		t.Error("a wrong token was kept or opened the page")
	}
	p.enterToken("second-" + adminToken)
	p.wait("live numbers", live)
	p.wait("clients", `document.getElementById('tile-clients').textContent === '0'`)
	p.do(chromedp.Reload())
	p.wait("live numbers after a reload", live)
	if kept := eval[[]string](p, `[String(localStorage.length), document.cookie, String(Object.values(sessionStorage)), location.href]`); kept[0] != "0" || kept[1] != "" ||
		kept[2] != "second-"+adminToken || strings.Contains(kept[3], adminToken) {
		t.Errorf("kept in local storage, cookies, session storage and address: %q", kept)
	}
	p.do(chromedp.Click(chromedp.ID("sign-out")))
	p.wait("the question for the token", gate)
	if !eval[bool](p, `!Object.values(sessionStorage).join().includes('token') && document.getElementById('desk').hidden`) {
		t.Error("signing out kept something")
	}
	p.checkClean(refusedToken)

	// A token that is taken away later.
	eval[bool](p, `(sessionStorage.setItem('fxcast.operator.token', 'an-old-token-0123456789-abcdef'), true)`)
	p.do(chromedp.Reload())
	p.wait("the reason", `/does not accept this token any more/.test(document.getElementById('gate-error')?.textContent)`)
	p.checkClean(refusedToken)
}

func testOperatorOff(t *testing.T, browser context.Context) {
	n := startNode(t, func(c *nodeConfig) { c.noTokens = true })
	p := openOperator(t, browser, n.admin.URL)
	p.enterToken(adminToken)
	p.wait("why", `/ADMIN_TOKEN is not set/.test(document.getElementById('gate-error')?.textContent)`)
	p.checkClean(regexp.MustCompile(`status of 403`))
}

// keepPublishing has a quote accepted each 20 ms until the test ends.
func keepPublishing(t *testing.T, n *testNode) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				q := feed.Quote{Symbol: "EUR/USD", Bid: fmt.Sprintf("1.08%03d", i%1000), Ask: "1.09513"}
				if _, err := n.publisher.Publish(ctx, []feed.Quote{q}); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

func testOperatorNumbers(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	c := n.user()
	c.say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	c.until("ack")
	go func() { // ends with the connection
		for {
			if _, err := c.receive(); err != nil {
				return
			}
		}
	}()
	p := operate(t, browser, n.admin.URL)
	p.wait("one client", `document.getElementById('tile-clients').textContent === '1'`)
	p.wait("nothing delivered yet", `document.getElementById('tile-delivered').textContent === '0/s' && document.getElementById('tile-latency').textContent === 'nothing sent'`)
	p.wait("everything shown", `document.querySelectorAll('#memory tbody tr').length > 0 && document.querySelectorAll('#slow tbody tr').length > 0 && document.querySelectorAll('#redis-facts dd').length > 5`)
	eval[bool](p, `(window.shifts = 0, new PerformanceObserver((l) => l.getEntries().forEach((e) => shifts += e.value)).observe({ type: 'layout-shift' }), true)`)

	keepPublishing(t, n)
	p.wait("quotes that come in and go out", `/^[1-9][\d.,]*\/s$/.test(document.getElementById('tile-received').textContent) && /^[1-9][\d.,]*\/s$/.test(document.getElementById('tile-delivered').textContent)`)
	p.wait("from publish to write", `/^[\d.]+ (µs|ms|s) · [\d.]+ (µs|ms|s)$/.test(document.getElementById('tile-latency').textContent)`)
	p.wait("a live symbol", `document.getElementById('tile-symbols').textContent === '1'`)
	p.wait("a trend", `document.querySelector('#tiles li:nth-child(3) .line').getAttribute('d').includes('L')`)
	eval[bool](p, `(window.before = document.getElementById('tile-delivered').textContent, true)`)
	p.wait("another number", `document.getElementById('tile-delivered').textContent !== before`)

	// What a producer sent is text, whatever it looks like.
	if err := n.rdb.Publish(t.Context(), "forex_updates", `{"symbol":"<img src=x onerror=alert(1)>","bid":"2","ask":"1"}`).Err(); err != nil {
		t.Fatal(err)
	}
	p.wait("the rejected quote", `document.getElementById('rejected').textContent.includes('<img src=x')`)
	p.wait("its reason counted", `/since its start: \w/.test(document.getElementById('rejected-note').textContent) && !/none/.test(document.getElementById('rejected-note').textContent)`)
	if eval[int](p, `document.querySelectorAll('img').length`) != 0 {
		t.Error("a quote became markup")
	}
	if shifts := eval[float64](p, "shifts"); shifts > 0.02 {
		t.Errorf("the page's parts moved by %.3f while numbers changed", shifts)
	}
	p.checkClean(nil)
}

func (p *tab) clickIn(conn, act string) {
	p.t.Helper()
	button := fmt.Sprintf("tr[data-conn=%q] button[data-act=%q]", conn, act)
	p.wait("the button", fmt.Sprintf("document.querySelector(%q)", button))
	p.do(chromedp.Click(chromedp.CSS(button)))
	p.wait("the question", `document.getElementById('confirm').open`)
}

func testOperatorKick(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	p := operate(t, browser, n.admin.URL)
	p.wait("nobody", `/Nobody is connected/.test(document.getElementById('connections').textContent)`)
	alice, _ := n.signIn("alice <b>", "user")
	c, welcome := n.connect(alice)
	_, other := n.connect(alice)
	p.clickIn(welcome.ConnID, "kick")
	if asked := p.text("confirm"); !strings.Contains(asked, "Kick alice <b>?") || !strings.Contains(asked, welcome.ConnID) || !strings.Contains(asked, n.nodes.Name()) {
		t.Errorf("the question does not name whom: %q", asked)
	}
	if focus := eval[string](p, "document.activeElement.id"); focus != "confirm-no" {
		t.Errorf("the focus is on %q, where Enter would do it", focus)
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	p.wait("no question", `!document.getElementById('confirm').open`)
	if eval[string](p, `document.activeElement.dataset.act ?? ''`) != "kick" {
		t.Error("the focus did not come back to the button")
	}
	c.say(`{"op":"ping","id":1}`)
	c.until("pong") // still there

	p.clickIn(welcome.ConnID, "kick")
	p.do(chromedp.Click(chromedp.ID("confirm-yes")))
	c.wantClose(1008)
	p.wait("word of it", `/^Kicked connection .* of alice <b>/.test(document.getElementById('toast').textContent)`)
	p.wait("it gone from the table", fmt.Sprintf(`!document.querySelector('tr[data-conn=%q]') && document.querySelector('tr[data-conn=%q]')`, welcome.ConnID, other.ConnID))
	p.checkClean(nil)
}

func testOperatorRevoke(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	p := operate(t, browser, n.admin.URL)
	token, sess := n.signIn("bob", "user")
	_, kept := n.signIn("bob", "user")
	c, welcome := n.connect(token)
	p.clickIn(welcome.ConnID, "revoke")
	if asked := p.text("confirm"); !strings.Contains(asked, "bob") || !strings.Contains(asked, sess.ID) {
		t.Errorf("the question does not name whom: %q", asked)
	}
	p.do(chromedp.Click(chromedp.ID("confirm-yes")))
	c.wantClose(4001)
	p.wait("nobody", `/Nobody is connected/.test(document.getElementById('connections').textContent)`)

	// By looking the user up: one session is left, then another user's.
	p.do(chromedp.Click(chromedp.ID("user")), chromedp.KeyEvent("bob"), chromedp.KeyEvent(kb.Enter))
	p.wait("one session", fmt.Sprintf(`document.querySelectorAll('#sessions tbody tr').length === 1 && document.querySelector('#sessions button[data-session=%q]')`, kept.ID))
	p.do(chromedp.Click(chromedp.CSS("#sessions button[data-session]")), chromedp.Click(chromedp.ID("confirm-yes")))
	p.wait("none left", `document.getElementById('sessions-note').textContent === 'bob has no session.'`)

	one, _ := n.signIn("carol", "user")
	two, _ := n.signIn("carol", "user")
	first, firstWelcome := n.connect(one)
	second, _ := n.connect(two)
	p.wait("carol", fmt.Sprintf(`document.querySelector('tr[data-conn=%q]')`, firstWelcome.ConnID))
	p.do(chromedp.Click(chromedp.CSS(fmt.Sprintf("tr[data-conn=%q] button.text", firstWelcome.ConnID))))
	p.wait("her sessions", `document.getElementById('sessions-note').textContent === 'carol has 2 sessions.'`)
	p.do(chromedp.Click(chromedp.ID("revoke-all")))
	p.wait("the question", `document.getElementById('confirm').open && /Revoke all sessions of carol/.test(document.getElementById('confirm').textContent)`)
	p.do(chromedp.Click(chromedp.ID("confirm-yes")))
	first.wantClose(4001)
	second.wantClose(4001)
	p.wait("word of it", `document.getElementById('toast').textContent === 'Revoked 2 sessions of carol.'`)
	p.wait("none left", `document.getElementById('sessions-note').textContent === 'carol has no session.'`)
	p.checkClean(nil)
}

func testOperatorRedisLost(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	p := operate(t, browser, n.admin.URL)
	n.redis.Kill()
	p.wait("unhealthy and why", `document.documentElement.dataset.redis === 'unhealthy' && /^reachable: ./.test(document.getElementById('redis-reason').textContent)`)
	p.wait("what to do", `/REDIS_URL/.test(document.querySelector('#checks [data-result="fail"] .act').textContent)`)
	p.wait("that this node gets no quotes", `/not received from Redis/.test(document.getElementById('checks').textContent)`)
	p.wait("no numbers that are not known", `[...document.querySelectorAll('#redis-facts dd')].every((dd) => !/\d/.test(dd.textContent))`)
	if !eval[bool](p, live) {
		t.Error("the node is said not to answer")
	}
	n.redis.Restart()
	p.wait("recovery", `/^(healthy|degraded)$/.test(document.documentElement.dataset.redis) && !document.querySelector('#checks [data-result="fail"]')`)
	p.wait("its numbers again", `/\d/.test(document.querySelector('#redis-facts').textContent)`)
	p.checkClean(regexp.MustCompile(`status of 503`)) // asked in the moment it was lost
}

func testOperatorNodeLost(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	proxy := redistest.StartProxy(t, strings.TrimPrefix(n.admin.URL, "http://"))
	p := operate(t, browser, "http://"+proxy.Addr())
	proxy.Cut()
	p.wait("word of it", `document.documentElement.dataset.link === 'lost' && /does not answer/.test(document.getElementById('link-name').textContent)`)
	p.wait("a longer wait", `/Trying again in [34] s/.test(document.getElementById('link-more').textContent)`)
	if p.text("tile-clients") != "0" {
		t.Error("the last numbers are gone")
	}
	proxy.Restore()
	p.do(chromedp.Click(chromedp.ID("retry")))
	p.wait("live again", live+` && document.getElementById('retry').hidden`)
	p.checkClean(regexp.MustCompile(`net::ERR_`))
}

func testOperatorHidden(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	p := operate(t, browser, n.admin.URL)
	hide := func(hidden bool) {
		eval[bool](p, fmt.Sprintf(`(Object.defineProperty(document, 'hidden', { value: %t, configurable: true }), document.dispatchEvent(new Event('visibilitychange')))`, hidden))
	}
	hide(true)
	p.wait("a pause", `document.documentElement.dataset.link === 'paused'`)
	if asked := eval[int](p, `new Promise((done) => {
		performance.clearResourceTimings();
		setTimeout(() => done(performance.getEntriesByType('resource').filter((e) => e.startTime > performance.now() - 2900).length), 3000);
	})`); asked != 0 {
		t.Errorf("%d calls while the tab was hidden", asked)
	}
	hide(false)
	p.wait("live again", live)
	p.checkClean(nil)
}

// testOperatorMetrics: the metrics are read as Prometheus writes them.
func testOperatorMetrics(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	p := openOperator(t, browser, n.admin.URL)
	const prepare = "import('/metrics.js').then((m) => { " +
		"const h = (a, b, c) => `h_bucket{le=\"1\"} ${a}\\nh_bucket{le=\"2\"} ${b}\\nh_bucket{le=\"+Inf\"} ${c}\\n`; " +
		"const at = (text, t = 0) => m.parse(text, t); return JSON.stringify(("
	const end = ") ?? 'unknown'); })"
	for expression, want := range map[string]string{
		"m.value(at('# HELP a b\\n# TYPE a counter\\na 7\\n'), 'a')":                           "7",
		"m.value(at('a{x=\"1\"} 7\\na{x=\"2\"} 1.5e3 1700000000000\\n'), 'a')":                 "1507",
		"m.value(at('a{x=\"1\",y=\"p\"} 7\\na{x=\"2\",y=\"p\"} 8\\n'), 'a', {x: '2', y: 'p'})": "8",
		"m.value(at('a{x=\"1\"} 7\\n'), 'a', {x: '3'})":                                        `"unknown"`,
		"m.value(at('ab 7\\n'), 'a')":                                                          `"unknown"`,
		"m.value(at(''), 'a')":                                                                 `"unknown"`,
		"at('a{x=\"q\\\\\"u\\\\\\\\o\\\\nte} 3\"} 0').series.get('a')[0].labels.x":             `"q\"u\\o\nte} 3"`,
		"String(m.value(at('a +Inf\\nb NaN\\n'), 'a')) + m.value(at('b NaN'), 'b')":            `"InfinityNaN"`,
		"m.value(at('nonsense{ 7\\n\\n 8\\na 1\\r\\n'), 'a')":                                  "1",
		"m.rate(at('a 10', 1000), at('a 30', 3000), 'a')":                                      "10",
		"m.rate(at('a 30', 1000), at('a 10', 3000), 'a')":                                      `"unknown"`,
		"m.rate(at('a 30', 1000), at('a 30', 3000), 'a')":                                      "0",
		"m.rate(undefined, at('a 30', 3000), 'a')":                                             `"unknown"`,
		"m.quantile(at(h(0, 0, 0)), at(h(0, 10, 10)), 'h', 0.5).toFixed(4)":                    `"1.4142"`,
		"m.quantile(at(h(5, 5, 5)), at(h(15, 15, 15)), 'h', 0.5)":                              "0.5",
		"m.quantile(at(h(5, 5, 5)), at(h(5, 5, 5)), 'h', 0.5) === null":                        "true",
		"m.quantile(at(h(5, 5, 5)), at(h(0, 0, 1)), 'h', 0.5)":                                 `"unknown"`,
		"m.quantile(at(h(0, 0, 0)), at(h(0, 1, 10)), 'h', 0.99) === Infinity":                  "true",
		"m.quantile(at(''), at(h(1, 1, 1)), 'h', 0.5)":                                         `"unknown"`,
		"m.quantile(at(h(0, 0, 0)), at(h(99, 99, 100)), 'h', 0.99)":                            "1",
	} {
		if got := eval[string](p, prepare+expression+end); got != want {
			t.Errorf("%s = %s, want %s", expression, got, want)
		}
	}
	const format = "import('/format.js').then((f) => "
	for expression, want := range map[string]string{
		"f.count(null)": "not available here", "f.count(undefined)": "not available here", "f.count(0)": "0", "f.count(1234567)": "1,234,567",
		"f.percent(NaN)": "not available here", "f.percent(0.98765)": "98.8 %", "f.percent(0)": "0.0 %", "f.percent(0.0001)": "<0.1 %", "f.bytes(null)": "not available here",
		"f.bytes(0)": "0 B", "f.bytes(1536)": "1.5 KiB", "f.bytes(1048575)": "1.0 MiB", "f.decimal(0.01)": "<0.1", "f.decimal(49.96)": "50.0", "f.decimal(5000.4)": "5,000",
		"f.seconds(0.0000004)": "0 µs", "f.seconds(0.00042)": "420 µs", "f.seconds(0.0042)": "4.2 ms", "f.seconds(0.5)": "500 ms", "f.seconds(Infinity)": "over a minute",
		"f.seconds(3700)": "1 h 1 min", "f.span(59)": "59 s", "f.span(90061)": "1 d 1 h", "f.span(null)": "not available here", "f.moment('')": "not available here", "f.span(0)": "0 s",
	} {
		if got := eval[string](p, format+expression+")"); got != want {
			t.Errorf("%s = %q, want %q", expression, got, want)
		}
	}
	p.checkClean(nil)
}

// testOperatorNotTold: an embedded Redis tells little of itself, and what it does
// not tell is not shown as 0.
func testOperatorNotTold(t *testing.T, browser context.Context) {
	server := newPageServer(t)
	p := operate(t, browser, server.Admin)
	p.wait("memory that is not told", `document.getElementById('memory-used').textContent === 'not available here' && /not available here/.test(document.getElementById('memory').textContent)`)
	p.wait("numbers that are not told", `/Evicted\s*not available here/.test(document.getElementById('redis-facts').textContent)`)
	p.wait("a slow log that is not told", `/slow log is not available here/.test(document.getElementById('slow').textContent)`)
	p.wait("quotes that are accepted", `/^[1-9][\d.,]*\/s accepted here$/.test(document.querySelector('#tile-received + .more').textContent)`)
	p.checkClean(regexp.MustCompile(`status of 501`))
}

func testOperatorPhone(t *testing.T, browser context.Context) {
	n := startNode(t, nil)
	p := operate(t, browser, n.admin.URL, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	token, _ := n.signIn("a-user-with-a-rather-long-name-of-an-embedding-application", "user")
	_, welcome := n.connect(token)
	p.wait("a connection", fmt.Sprintf(`document.querySelector('tr[data-conn=%q]')`, welcome.ConnID))
	if width := eval[int](p, "document.documentElement.scrollWidth"); width > 390 {
		t.Errorf("the page is %d px wide on a screen of 390", width)
	}
	p.clickIn(welcome.ConnID, "kick") // in reach without scrolling the table
	p.checkClean(nil)
}

func testOperatorOtherNodes(t *testing.T, browser context.Context) {
	a, b := pair(t)
	p := operate(t, browser, a.admin.URL)
	token, _ := b.signIn("dora", "user")
	c, welcome := b.connect(token)
	p.clickIn(welcome.ConnID, "kick")
	if asked := p.text("confirm"); !strings.Contains(asked, b.nodes.Name()) {
		t.Errorf("the question does not name the node: %q", asked)
	}
	p.do(chromedp.Click(chromedp.ID("confirm-yes")))
	c.wantClose(1008)
	p.wait("both nodes named", `document.getElementById('connections-note').textContent === '0 on 2 nodes'`)
	p.checkClean(nil)
}
