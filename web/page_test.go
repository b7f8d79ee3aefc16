package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A pageServer is a running server whose page the browser opens.
type pageServer struct {
	URL     string // of the page, without a slash at the end
	Admin   string // of the operator's page, likewise; its token is adminToken
	Stop    func() // as a crash: the listener and its connections are gone at once, nobody is told
	Restart func() // after Stop: serves again at the same URL
}

// startPageServer starts a server with guest sessions and a producer that gives
// EUR/USD, at least one more symbol with USD/JPY's digits, and several ticks a
// second. Its request limits must allow some hundred requests a minute from one
// address. It is stopped when the test ends.
var startPageServer func(t *testing.T) pageServer

func newPageServer(t *testing.T) pageServer {
	t.Helper()
	if startPageServer == nil {
		t.Fatal("startPageServer is not set: no server to open the page of")
	}
	return startPageServer(t)
}

// browser starts Chromium and returns the context that tabs are opened from.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("chromium is not installed, and FXCAST_REQUIRE_ALL=1")
		}
		t.Skip("chromium is not installed; the page is not tested")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1440, 900),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes the browser, so that its profile can be removed
		cancel()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return ctx
}

// watchful runs before the page's own scripts: it keeps the violations of the
// content security policy, and the sockets the page opens.
const watchful = `
	window.violations = [];
	document.addEventListener('securitypolicyviolation', (e) =>
		violations.push(e.violatedDirective + ' ' + (e.blockedURI || 'inline') + ' ' + e.sourceFile + ':' + e.lineNumber));
	window.sockets = [];
	window.WebSocket = class extends WebSocket {
		constructor(...args) { super(...args); sockets.push(this); }
	};`

// A tab is the page in a browser profile of its own. What it wrote to the
// console as a warning or an error is kept.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // guarded by mu
}

// openPage opens url and waits for the first live prices.
func openPage(t *testing.T, browser context.Context, url string, steps ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := openTab(t, browser, append(steps, chromedp.Navigate(url+"/"))...)
	p.waitLive()
	return p
}

// openTab takes steps in a tab of its own.
func openTab(t *testing.T, browser context.Context, steps ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: watchful}); err != nil {
		t.Fatalf("preparing the tab: %v", err)
	}
	p.do(steps...)
	return p
}

// expected are the answers that the page asks for knowing that they may be
// refusals; the browser logs them all the same.
var expected = regexp.MustCompile(`status of 401 .*/api/v1/session$`)

func (p *tab) listen(ev any) {
	var problem string
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		problem = "exception: " + ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			problem += " " + e.Description
		}
	case *runtime.EventConsoleAPICalled:
		if kind := string(ev.Type); kind == "error" || kind == "warning" || kind == "assert" {
			problem = "console." + kind
			for _, arg := range ev.Args {
				problem += " " + string(arg.Value) + arg.Description
			}
		}
	case *log.EventEntryAdded:
		if level := string(ev.Entry.Level); level == "error" || level == "warning" {
			problem = strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", ev.Entry.Source, level, ev.Entry.Text, ev.Entry.URL))
		}
	}
	if problem == "" || expected.MatchString(problem) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, problem)
}

// checkClean fails the test for each problem that allowed, if given, does not match.
func (p *tab) checkClean(allowed *regexp.Regexp) {
	p.t.Helper()
	for _, v := range eval[[]string](p, "violations") {
		p.t.Errorf("content security policy violated: %s", v)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		if allowed == nil || !allowed.MatchString(problem) {
			p.t.Errorf("in the console: %s", problem)
		}
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageDeadline)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval returns the value of a JavaScript expression; a promise is awaited.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageDeadline)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

const pageDeadline = 30 * time.Second

// wait polls a JavaScript condition until it holds.
func (p *tab) wait(what, condition string) {
	p.t.Helper()
	for end := time.Now().Add(pageDeadline); ; time.Sleep(50 * time.Millisecond) {
		if eval[bool](p, "Boolean("+condition+")") {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s: not within %v; state %q, title %q", what, pageDeadline,
				eval[string](p, "document.documentElement.dataset.state ?? ''"), eval[string](p, "document.title"))
		}
	}
}

func (p *tab) waitLive() {
	p.t.Helper()
	p.wait("live prices", `document.documentElement.dataset.state === 'live' && /\d/.test(document.querySelector('tr[data-symbol="EUR/USD"] .price')?.textContent)`)
}

const bids = `Object.fromEntries([...document.querySelectorAll('tr[data-symbol]')].map((r) => [r.dataset.symbol, r.querySelector('.price').textContent]))`

func TestPage(t *testing.T) {
	browser := browser(t)
	server := newPageServer(t)
	for name, test := range map[string]func(*testing.T, context.Context, string){
		"prices move":     testPricesMove,
		"chart draws":     testChartDraws,
		"theme":           testTheme,
		"keyboard":        testKeyboard,
		"phone":           testPhone,
		"sign out":        testSignOut,
		"strict policy":   testStrictPolicy,
		"exact decimals":  testExactDecimals,
		"sequence checks": testSequenceChecks,
	} {
		t.Run(name, func(t *testing.T) { test(t, browser, server.URL) })
	}
}

func testPricesMove(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	before := eval[map[string]string](p, bids)
	price := regexp.MustCompile(`^(\d+\.\d+|–)$`)
	for symbol, bid := range before {
		if !price.MatchString(bid) {
			t.Errorf("bid of %s is shown as %q, want plain decimal text", symbol, bid)
		}
	}
	eval[bool](p, "Boolean(window.before = "+bids+")")
	p.wait("another price", "Object.entries("+bids+").some(([s, bid]) => before[s] !== undefined && before[s] !== bid)")
	p.wait("an arrow", `document.querySelector('tr[data-symbol] .price.up, tr[data-symbol] .price.down')`)
	p.wait("the price in the title", `/^\d+\.\d+ EUR\/USD/.test(document.title)`)
	p.wait("updates counted", `/^[1-9]/.test(document.getElementById('d-updates').textContent)`)
	if gaps := eval[string](p, "document.getElementById('d-gaps').textContent"); gaps != "0" {
		t.Errorf("the page counts %s gaps in the sequence, want 0", gaps)
	}
	p.checkClean(nil)
}

// A canvas counts as drawn when it has pixels of the bid line's colour.
const drawn = `(() => {
	const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue('--bid').match(/[0-9a-f]{2}/gi).map((x) => parseInt(x, 16));
	let n = 0;
	for (const c of document.querySelectorAll('#chart canvas')) {
		if (c.width * c.height === 0) continue;
		const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
		for (let i = 0; i < data.length; i += 4) {
			if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12 && data[i + 3] > 200) n++;
		}
	}
	return n;
})()`

func testChartDraws(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.wait("a line in the chart", drawn+" > 100")
	for _, interval := range []string{"1", "5", "60"} {
		p.do(chromedp.Click(chromedp.CSS(`#interval input[value="` + interval + `"]`)))
		p.wait("the line replaced by candles of "+interval+" s", drawn+" === 0")
	}
	p.do(chromedp.Click(chromedp.CSS(`#interval input[value="0"]`)))
	p.wait("the line again", drawn+" > 100")
	if !eval[bool](p, `Boolean(document.querySelector('#tv-attr-logo')) && document.querySelector('.credit a').href === 'https://www.tradingview.com/'`) {
		t.Error("the chart's attribution is not shown")
	}
	p.checkClean(regexp.MustCompile("willReadFrequently")) // about this test's own reading of pixels
}

func prefer(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		return chromedp.Void{}, target.Call(ctx, emulation.CommandSetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}, nil)
	}
}

func testTheme(t *testing.T, browser context.Context, url string) {
	const ground = "getComputedStyle(document.body).backgroundColor"
	p := openPage(t, browser, url, prefer("dark"))
	dark := eval[string](p, ground)
	p.do(chromedp.Click(chromedp.ID("theme")))
	light := eval[string](p, ground)
	if light == dark {
		t.Errorf("the toggle left the background at %s", dark)
	}
	p.do(chromedp.Reload())
	p.waitLive()
	if got := eval[string](p, ground); got != light {
		t.Errorf("after a reload the background is %s, want the chosen %s", got, light)
	}
	p.checkClean(nil)
}

func testKeyboard(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.do(chromedp.KeyEvent("/"), chromedp.KeyEvent("jpy"))
	p.wait("only symbols with JPY", `(() => {
		const shown = [...document.querySelectorAll('tr[data-symbol]')].filter((r) => r.offsetParent !== null);
		return shown.length > 0 && shown.every((r) => r.dataset.symbol.includes('JPY'));
	})()`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.wait("the first one chosen", `document.activeElement.dataset.symbol?.includes('JPY') && document.activeElement.getAttribute('aria-selected') === 'true'`)
	p.do(chromedp.KeyEvent("p"))
	p.wait("it pinned", `document.querySelector('tbody[data-group="pinned"] tr[aria-selected="true"]')`)
	p.do(chromedp.KeyEvent("/"), chromedp.KeyEvent("zzz"))
	p.wait("a word on the empty table", `!document.getElementById('empty').hidden`)
	p.do(chromedp.KeyEvent(kb.Escape))
	p.wait("all symbols again", `document.querySelector('tr[data-symbol="EUR/USD"]').offsetParent !== null`)
	p.checkClean(nil)
}

func testPhone(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	if width := eval[int](p, "document.documentElement.scrollWidth"); width > 390 {
		t.Errorf("the page is %d px wide on a screen of 390", width)
	}
	p.checkClean(nil)
}

func testSignOut(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.do(chromedp.Click(chromedp.ID("sign-out")))
	p.wait("a notice", `!document.getElementById('gate').hidden && document.documentElement.dataset.state === 'stopped'`)
	p.wait("every socket closed", "sockets.length > 0 && sockets.every((s) => s.readyState === WebSocket.CLOSED)")
	p.wait("the session ended", "fetch('/api/v1/session').then((r) => r.status === 401)")
	if n := eval[int](p, "sockets.length"); n != 1 {
		t.Errorf("the page opened %d sockets, want none after the first", n)
	}
	p.do(chromedp.Click(chromedp.ID("gate-button")))
	p.waitLive()
	p.checkClean(nil)
}

func testStrictPolicy(t *testing.T, browser context.Context, url string) {
	resp, err := http.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe-") {
		t.Errorf("policy %q allows something unsafe", policy)
	}
	p := openPage(t, browser, url)
	p.do(chromedp.Click(chromedp.CSS("#diagnostics summary")))
	p.checkClean(nil)

	// The check itself must be able to fail.
	eval[bool](p, `Boolean(document.head.appendChild(Object.assign(document.createElement('style'), { textContent: 'p{}' })))`)
	p.wait("the violation of an inline style", "violations.length === 1")
}

func testExactDecimals(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	for _, c := range []struct{ call, want string }{
		{"m.spreadInPips('1.08501', '1.08513', '0.0001')", "1.2"},
		{"m.spreadInPips('1.0850', '1.0851', '0.0001')", "1.0"},
		{"m.spreadInPips('151.201', '151.2', '0.01')", "-0.1"},
		{"m.spreadInPips('1', '1', '0.0001')", "0.0"},
		{"m.spreadInPips('9007199254740993.1', '9007199254740993.3', '0.1')", "2.0"},
		{"m.spreadInPips('0.100000000000000001', '0.100000000000000003', '0.0001')", "0.00000000000002"},
		{"String(m.compare('1.10', '1.1'))", "0"},
		{"String(m.compare('9.99', '10.0'))", "-1"},
		{"String(m.compare('10.01', '9.9999'))", "1"},
		{"m.split('1.08501', 4).join('|')", "1.08|50|1"},
		{"m.split('151.2', 2).join('|')", "151.|2|"},
		{"m.split('2412.39', 1).join('|')", "2412.|39|"},
		{"m.split('152', 2).join('|')", "|152|"},
		{"m.split('151.201', 2).join('|')", "151.|20|1"},
	} {
		if got := eval[string](p, "import('/price.js').then((m) => "+c.call+")"); got != c.want {
			t.Errorf("%s = %q, want %q", c.call, got, c.want)
		}
	}
}

func testSequenceChecks(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	const quote = `const q = (seq, more) => [{ symbol: 'EUR/USD', bid: '1.1', ask: '1.2', ts: '2026-11-22T10:15:00.000000Z', seq, ...more }];`
	for _, c := range []struct {
		name, steps string
		gaps        int
	}{
		{"each follows", "b.snapshot(q(5, {epoch: 'a'})); b.update(q(6)); b.update(q(9, {skipped: 2}));", 0},
		{"one is missing", "b.snapshot(q(5, {epoch: 'a'})); b.update(q(7));", 1},
		{"one comes twice", "b.snapshot(q(5, {epoch: 'a'})); b.update(q(5));", 1},
		{"skipped too many", "b.snapshot(q(5, {epoch: 'a'})); b.update(q(7, {skipped: 2}));", 1},
		{"a new epoch", "b.snapshot(q(5, {epoch: 'a'})); b.update(q(1, {epoch: 'b'})); b.update(q(2));", 0},
		{"a new connection", "b.snapshot(q(5, {epoch: 'a'})); b.connected(); b.update(q(90, {epoch: 'a'})); b.update(q(91));", 0},
		{"a snapshot again", "b.snapshot(q(5, {epoch: 'a'})); b.snapshot(q(8, {epoch: 'a'})); b.update(q(9));", 0},
	} {
		if got := eval[int](p, "import('/board.js').then((m) => { const b = new m.Board(); "+quote+c.steps+" return b.counters.gaps; })"); got != c.gaps {
			t.Errorf("%s: %d gaps, want %d", c.name, got, c.gaps)
		}
	}
}

func TestPageRecoversFromKilledServer(t *testing.T) {
	browser := browser(t)
	server := newPageServer(t)
	p := openPage(t, browser, server.URL)
	server.Stop()
	p.wait("the loss noticed", `document.documentElement.dataset.frozen === 'true' && !document.getElementById('strip').hidden`)
	p.wait("another attempt announced", `['waiting', 'offline', 'connecting'].includes(document.documentElement.dataset.state)`)
	if title := eval[string](p, "document.title"); regexp.MustCompile(`^\d`).MatchString(title) {
		t.Errorf("the title %q shows a price that is not live", title)
	}
	server.Restart()
	p.waitLive()
	eval[bool](p, "Boolean(window.before = "+bids+")")
	p.wait("another price", "Object.entries("+bids+").some(([s, bid]) => before[s] !== bid)")
	p.wait("the strip gone", "document.getElementById('strip').hidden")
	p.checkClean(regexp.MustCompile(`^(network|javascript) error: (Failed to load resource|WebSocket connection)`))
}

// The files of others are as they were when they were taken in.
func TestPageThirdPartyChecksums(t *testing.T) {
	const dir = "static/third_party"
	list, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); checked++ {
		want, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok {
			t.Fatalf("line %q: want a checksum, two spaces and a name", lines.Text())
		}
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s: checksum %x, want %s", name, sum, want)
		}
	}
	if checked == 0 {
		t.Error("no checksums listed")
	}
}
