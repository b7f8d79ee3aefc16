package admin_test

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
	"github.com/fxcast/fxcast/web/internal/webtest"
)

func TestOperatorPage(t *testing.T) {
	browser := webtest.Browser(t)
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
		"unreported":  testOperatorNotReported,
		"phone":       testOperatorPhone,
		"other nodes": testOperatorOtherNodes,
		"plots":       testOperatorPlots,
		"accessible":  testOperatorAccessible,
		"drill":       testOperatorDrill,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, browser)
		})
	}
}

// openOperator opens the operator's page and waits until it asks for the token.
func openOperator(t *testing.T, browser context.Context, url string, steps ...chromedp.Action[chromedp.Void]) *webtest.Tab {
	t.Helper()
	p := webtest.OpenTab(t, browser, append(steps, chromedp.Navigate(url+"/"))...)
	p.Wait("the question for the token", gate)
	return p
}

// operate opens the operator's page and signs in.
func operate(t *testing.T, browser context.Context, url string, steps ...chromedp.Action[chromedp.Void]) *webtest.Tab {
	t.Helper()
	p := openOperator(t, browser, url, steps...)
	enterToken(p, webtest.AdminToken)
	p.Wait("live numbers", live)
	p.Wait("health", "/^(healthy|degraded)$/.test(document.documentElement.dataset.redis)")
	return p
}

const (
	gate = `document.activeElement?.id === 'token'`
	live = `document.documentElement?.dataset.link === 'live'`
)

func enterToken(p *webtest.Tab, token string) {
	p.T.Helper()
	p.Wait("the field for the token", gate)
	p.Do(chromedp.KeyEvent(token), chromedp.KeyEvent(kb.Enter)) // replaces a wrong one, which is selected
}

func textOf(p *webtest.Tab, id string) string {
	p.T.Helper()
	return webtest.Eval[string](p, fmt.Sprintf("document.getElementById(%q).textContent", id))
}

var refusedToken = regexp.MustCompile(`status of 401`)

func testOperatorSignIn(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	a := webtest.NewHTTPClient(t, n.Admin).Do("GET", "/", "", nil)
	policy := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if a := webtest.NewHTTPClient(t, n.Public).Do("GET", "/operator.js", "", nil); a.Status != 404 {
		t.Errorf("the operator's page is on the public listener: %d", a.Status)
	}

	p := openOperator(t, browser, n.Admin.URL)
	for _, wrong := range []string{"not-the-token-0123456789-abcdef", webtest.PublishToken, "schlüssel"} {
		enterToken(p, wrong)
		p.Wait("the error message", `document.getElementById('gate-error').textContent === 'This is not an admin token of this node.'`)
		webtest.Eval[bool](p, `(document.getElementById('gate-error').textContent = '', true)`)
	}
	if !webtest.Eval[bool](p, `document.getElementById('desk').hidden && sessionStorage.length === 0`) {
		t.Error("a wrong token was kept or opened the page")
	}
	enterToken(p, "second-"+webtest.AdminToken)
	p.Wait("live numbers", live)
	p.Wait("clients", `document.getElementById('tile-clients').textContent === '0'`)
	p.Do(chromedp.Reload())
	p.Wait("live numbers after a reload", live)
	if kept := webtest.Eval[[]string](p, `[String(localStorage.length), document.cookie, String(Object.values(sessionStorage)), location.href]`); kept[0] != "0" || kept[1] != "" ||
		kept[2] != "second-"+webtest.AdminToken || strings.Contains(kept[3], webtest.AdminToken) {
		t.Errorf("kept in local storage, cookies, session storage and address: %q", kept)
	}
	p.Do(chromedp.Click(chromedp.ID("sign-out")))
	p.Wait("the question for the token", gate)
	if !webtest.Eval[bool](p, `!Object.values(sessionStorage).join().includes('token') && document.getElementById('desk').hidden`) {
		t.Error("signing out kept something")
	}
	p.CheckClean(refusedToken)

	// A token that the node stops accepting later.
	webtest.Eval[bool](p, `(sessionStorage.setItem('fxcast.operator.token', 'an-old-token-0123456789-abcdef'), true)`)
	p.Do(chromedp.Reload())
	p.Wait("the reason", `/no longer accepts this token/.test(document.getElementById('gate-error')?.textContent)`)
	p.CheckClean(refusedToken)
}

func testOperatorOff(t *testing.T, browser context.Context) {
	n := webtest.Start(t, func(c *webtest.Config) { c.NoTokens = true })
	p := openOperator(t, browser, n.Admin.URL)
	enterToken(p, webtest.AdminToken)
	p.Wait("why", `/ADMIN_TOKEN is not set/.test(document.getElementById('gate-error')?.textContent)`)
	p.CheckClean(regexp.MustCompile(`status of 403`))
}

// keepPublishing publishes a quote every 20 ms until the test ends.
func keepPublishing(t *testing.T, n *webtest.Node) {
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
				if _, err := n.Publisher.Publish(ctx, []feed.Quote{q}); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

func testOperatorNumbers(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	c := n.User()
	c.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	c.Until("ack")
	go func() { // ends with the connection
		for {
			if _, err := c.Receive(); err != nil {
				return
			}
		}
	}()
	p := operate(t, browser, n.Admin.URL)
	p.Wait("one client", `document.getElementById('tile-clients').textContent === '1'`)
	p.Wait("nothing delivered yet", `document.getElementById('tile-delivered').textContent === '0/s' && document.getElementById('tile-latency').textContent === 'nothing sent'`)
	p.Wait("everything shown", `document.querySelectorAll('#memory tbody tr').length > 0 && document.querySelectorAll('#slow tbody tr').length > 0 && document.querySelectorAll('#redis-facts dd').length > 5`)
	webtest.Eval[bool](p, `(window.shifts = 0, new PerformanceObserver((l) => l.getEntries().forEach((e) => shifts += e.value)).observe({ type: 'layout-shift' }), true)`)

	keepPublishing(t, n)
	p.Wait("quotes that come in and go out", `/^[1-9][\d.,]*\/s$/.test(document.getElementById('tile-received').textContent) && /^[1-9][\d.,]*\/s$/.test(document.getElementById('tile-delivered').textContent)`)
	p.Wait("from publish to write", `/^[\d.]+ (µs|ms|s) · [\d.]+ (µs|ms|s)$/.test(document.getElementById('tile-latency').textContent)`)
	p.Wait("a live symbol", `document.getElementById('tile-symbols').textContent === '1'`)
	webtest.Eval[bool](p, `(window.before = document.getElementById('tile-delivered').textContent, true)`)
	p.Wait("another number", `document.getElementById('tile-delivered').textContent !== before`)

	// The input of a producer is shown as text, even if it looks like markup.
	if err := n.RDB.Publish(t.Context(), "forex_updates", `{"symbol":"<img src=x onerror=alert(1)>","bid":"2","ask":"1"}`).Err(); err != nil {
		t.Fatal(err)
	}
	p.Wait("the rejected quote", `document.getElementById('rejected').textContent.includes('<img src=x')`)
	p.Wait("its reason counted", `/since its start: \w/.test(document.getElementById('rejected-note').textContent) && !/none/.test(document.getElementById('rejected-note').textContent)`)
	p.Wait("its reason to choose", `[...document.querySelectorAll('#reasons button')].map((b) => b.dataset.reason + b.textContent.replace(/\D/g, '')).join() === '1,' + document.querySelectorAll('#reasons button')[1].dataset.reason + '1'`)
	if webtest.Eval[int](p, `document.querySelectorAll('img').length`) != 0 {
		t.Error("a quote became markup")
	}
	if shifts := webtest.Eval[float64](p, "shifts"); shifts > 0.02 {
		t.Errorf("the page's parts moved by %.3f while numbers changed", shifts)
	}
	p.CheckClean(nil)
}

func clickIn(p *webtest.Tab, conn, act string) {
	p.T.Helper()
	button := fmt.Sprintf("tr[data-conn=%q] button[data-act=%q]", conn, act)
	p.Wait("the button", fmt.Sprintf("document.querySelector(%q)", button))
	p.Do(chromedp.Click(chromedp.CSS(button)))
	p.Wait("the question", `document.getElementById('confirm').open`)
}

func testOperatorKick(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	p := operate(t, browser, n.Admin.URL)
	p.Wait("nobody", `/Nobody is connected/.test(document.getElementById('connections').textContent)`)
	alice, _ := n.SignIn("alice <b>", "user")
	c, welcome := n.Connect(alice)
	_, other := n.Connect(alice)
	clickIn(p, welcome.ConnID, "kick")
	if asked := textOf(p, "confirm"); !strings.Contains(asked, "Kick alice <b>?") || !strings.Contains(asked, welcome.ConnID) || !strings.Contains(asked, n.Nodes.Name()) {
		t.Errorf("the question does not name whom: %q", asked)
	}
	if focus := webtest.Eval[string](p, "document.activeElement.id"); focus != "confirm-no" {
		t.Errorf("the focus is on %q, where Enter would do it", focus)
	}
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.Wait("no question", `!document.getElementById('confirm').open`)
	if webtest.Eval[string](p, `document.activeElement.dataset.act ?? ''`) != "kick" {
		t.Error("the focus did not come back to the button")
	}
	c.Say(`{"op":"ping","id":1}`)
	c.Until("pong") // still connected

	clickIn(p, welcome.ConnID, "kick")
	p.Do(chromedp.Click(chromedp.ID("confirm-yes")))
	c.WantClose(1008)
	p.Wait("word of it", `/^Kicked connection .* of alice <b>/.test(document.getElementById('toast').textContent)`)
	p.Wait("it gone from the table", fmt.Sprintf(`!document.querySelector('tr[data-conn=%q]') && document.querySelector('tr[data-conn=%q]')`, welcome.ConnID, other.ConnID))
	p.CheckClean(nil)
}

func testOperatorRevoke(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	p := operate(t, browser, n.Admin.URL)
	token, sess := n.SignIn("bob", "user")
	_, kept := n.SignIn("bob", "user")
	c, welcome := n.Connect(token)
	clickIn(p, welcome.ConnID, "revoke")
	if asked := textOf(p, "confirm"); !strings.Contains(asked, "bob") || !strings.Contains(asked, sess.ID) {
		t.Errorf("the question does not name whom: %q", asked)
	}
	p.Do(chromedp.Click(chromedp.ID("confirm-yes")))
	c.WantClose(4001)
	p.Wait("nobody", `/Nobody is connected/.test(document.getElementById('connections').textContent)`)

	// Look up the user: one session is left. Then look up another user.
	p.Do(chromedp.Click(chromedp.ID("user")), chromedp.KeyEvent("bob"), chromedp.KeyEvent(kb.Enter))
	p.Wait("one session", fmt.Sprintf(`document.querySelectorAll('#sessions tbody tr').length === 1 && document.querySelector('#sessions button[data-session=%q]')`, kept.ID))
	p.Do(chromedp.Click(chromedp.CSS("#sessions button[data-session]")), chromedp.Click(chromedp.ID("confirm-yes")))
	p.Wait("none left", `document.getElementById('sessions-note').textContent === 'bob has no session.'`)

	one, _ := n.SignIn("carol", "user")
	two, _ := n.SignIn("carol", "user")
	first, firstWelcome := n.Connect(one)
	second, _ := n.Connect(two)
	p.Wait("carol", fmt.Sprintf(`document.querySelector('tr[data-conn=%q]')`, firstWelcome.ConnID))
	p.Do(chromedp.Click(chromedp.CSS(fmt.Sprintf("tr[data-conn=%q] button.text", firstWelcome.ConnID))))
	p.Wait("her sessions", `document.getElementById('sessions-note').textContent === 'carol has 2 sessions.'`)
	p.Do(chromedp.Click(chromedp.ID("revoke-all")))
	p.Wait("the question", `document.getElementById('confirm').open && /Revoke all sessions of carol/.test(document.getElementById('confirm').textContent)`)
	p.Do(chromedp.Click(chromedp.ID("confirm-yes")))
	first.WantClose(4001)
	second.WantClose(4001)
	p.Wait("word of it", `document.getElementById('toast').textContent === 'Revoked 2 sessions of carol.'`)
	p.Wait("none left", `document.getElementById('sessions-note').textContent === 'carol has no session.'`)
	p.CheckClean(nil)
}

func testOperatorRedisLost(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	p := operate(t, browser, n.Admin.URL)
	n.Redis.Kill()
	p.Wait("unhealthy and why", `document.documentElement.dataset.redis === 'unhealthy' && /^reachable: ./.test(document.getElementById('redis-reason').textContent)`)
	p.Wait("what to do", `/REDIS_URL/.test(document.querySelector('#checks [data-result="fail"] .act').textContent)`)
	p.Wait("that this node gets no quotes", `/not received from Redis/.test(document.getElementById('checks').textContent)`)
	p.Wait("no numbers that are not known", `[...document.querySelectorAll('#redis-facts dd')].every((dd) => !/\d/.test(dd.textContent))`)
	if !webtest.Eval[bool](p, live) {
		t.Error("the node is said not to answer")
	}
	p.Wait("the worst of all lamps in the head", `document.documentElement.dataset.worst === 'fail' && /checks? fails?: .*reachable/.test(document.getElementById('link-name').textContent)`)
	n.Redis.Restart()
	p.Wait("recovery", `/^(healthy|degraded)$/.test(document.documentElement.dataset.redis) && !document.querySelector('#checks [data-result="fail"]')`)
	p.Wait("its numbers again", `/\d/.test(document.querySelector('#redis-facts').textContent)`)
	p.CheckClean(regexp.MustCompile(`status of 503`)) // a call at the moment when Redis was lost
}

func testOperatorNodeLost(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	proxy := redistest.StartProxy(t, strings.TrimPrefix(n.Admin.URL, "http://"))
	p := operate(t, browser, "http://"+proxy.Addr())
	proxy.Cut()
	p.Wait("word of it", `document.documentElement.dataset.link === 'lost' && /does not answer/.test(document.getElementById('link-name').textContent)`)
	p.Wait("a longer wait", `/Trying again in [34] s/.test(document.getElementById('link-more').textContent)`)
	if textOf(p, "tile-clients") != "0" {
		t.Error("the last numbers are gone")
	}
	proxy.Restore()
	p.Do(chromedp.Click(chromedp.ID("retry")))
	p.Wait("live again", live+` && document.getElementById('retry').hidden`)
	p.CheckClean(regexp.MustCompile(`net::ERR_`))
}

func testOperatorHidden(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	p := operate(t, browser, n.Admin.URL)
	hide := func(hidden bool) {
		webtest.Eval[bool](p, fmt.Sprintf(`(Object.defineProperty(document, 'hidden', { value: %t, configurable: true }), document.dispatchEvent(new Event('visibilitychange')))`, hidden))
	}
	hide(true)
	p.Wait("a pause", `document.documentElement.dataset.link === 'paused'`)
	if asked := webtest.Eval[int](p, `new Promise((done) => {
		performance.clearResourceTimings();
		setTimeout(() => done(performance.getEntriesByType('resource').filter((e) => e.startTime > performance.now() - 2900).length), 3000);
	})`); asked != 0 {
		t.Errorf("%d calls while the tab was hidden", asked)
	}
	hide(false)
	p.Wait("live again", live)
	p.CheckClean(nil)
}

// testOperatorMetrics tests that the page reads metrics in the text form of Prometheus.
func testOperatorMetrics(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	p := openOperator(t, browser, n.Admin.URL)
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
		if got := webtest.Eval[string](p, prepare+expression+end); got != want {
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
		if got := webtest.Eval[string](p, format+expression+")"); got != want {
			t.Errorf("%s = %q, want %q", expression, got, want)
		}
	}
	p.CheckClean(nil)
}

// testOperatorNotReported tests a server that reports little, the embedded Redis: the page does not
// show missing values as 0.
func testOperatorNotReported(t *testing.T, browser context.Context) {
	server := webtest.StartProgram(t)
	p := operate(t, browser, server.Admin)
	p.Wait("memory that is not reported", `document.getElementById('memory-note').textContent === 'not available here' && document.getElementById('memory').closest('.panel').offsetHeight < 60`)
	p.Wait("numbers that are not reported", `/Not available here.*evicted/.test(document.getElementById('redis-facts').textContent)`)
	p.Wait("a slow log that is not reported", `/slow log is not available here/.test(document.getElementById('slow').textContent)`)
	p.Wait("a feed that runs without clients", `/^[1-9][\d.,]*\/s$/.test(document.getElementById('tile-received').textContent) && document.querySelector('#tile-received + .more').textContent === 'in the feed, none wanted here'`)
	p.Wait("no symbol counted as unknown", `document.getElementById('tile-symbols').textContent === 'feed runs'`)
	p.Wait("unknown checks in one line", `document.querySelectorAll('#checks [data-result="unknown"]').length === 1 && /, \d+ not available here$/.test(document.getElementById('checks-note').textContent)`)
	p.Wait("that not all is known", `/^No problem is known, but this Redis does not report \d+ of \d+ checks/.test(document.getElementById('redis-reason').textContent)`)
	p.Wait("no empty panels", `['slow', 'advice'].every((id) => document.getElementById(id).offsetHeight === 0)`)
	p.Wait("one node", `document.querySelectorAll('#nodes tbody tr').length === 1 && /this node/.test(document.getElementById('nodes').textContent)`)
	p.CheckClean(regexp.MustCompile(`status of 501`))
}

func testOperatorPhone(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	p := operate(t, browser, n.Admin.URL, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	token, _ := n.SignIn("a-user-with-a-rather-long-name-of-an-embedding-application", "user")
	_, welcome := n.Connect(token)
	p.Wait("a connection", fmt.Sprintf(`document.querySelector('tr[data-conn=%q]')`, welcome.ConnID))
	if width := webtest.Eval[int](p, "document.documentElement.scrollWidth"); width > 390 {
		t.Errorf("the page is %d px wide on a screen of 390", width)
	}
	clickIn(p, welcome.ConnID, "kick") // visible without scrolling the table
	p.CheckClean(nil)
}

func testOperatorOtherNodes(t *testing.T, browser context.Context) {
	a, b := pair(t)
	p := operate(t, browser, a.Admin.URL)
	token, _ := b.SignIn("dora", "user")
	c, welcome := b.Connect(token)
	clickIn(p, welcome.ConnID, "kick")
	if asked := textOf(p, "confirm"); !strings.Contains(asked, b.Nodes.Name()) {
		t.Errorf("the question does not name the node: %q", asked)
	}
	p.Do(chromedp.Click(chromedp.ID("confirm-yes")))
	c.WantClose(1008)
	p.Wait("both nodes named", `document.getElementById('connections-note').textContent === '0 on 2 nodes'`)
	p.CheckClean(nil)
}
