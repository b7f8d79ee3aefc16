package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// openPage opens url and waits for the first live prices.
func openPage(t *testing.T, browser context.Context, url string, steps ...chromedp.Action[chromedp.Void]) *webtest.Tab {
	t.Helper()
	p := webtest.OpenTab(t, browser, append(steps, chromedp.Navigate(url+"/"))...)
	waitLive(p)
	return p
}

func waitLive(p *webtest.Tab) {
	p.T.Helper()
	p.Wait("live prices", `document.documentElement.dataset.state === 'live' && /\d/.test(document.querySelector('tr[data-symbol="EUR/USD"] .price')?.textContent)`)
}

const bids = `Object.fromEntries([...document.querySelectorAll('tr[data-symbol]')].map((r) => [r.dataset.symbol, r.querySelector('.price').textContent]))`

func TestPage(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	server := webtest.StartProgram(t)
	for name, test := range map[string]func(*testing.T, context.Context, string){
		"prices move":    testPricesMove,
		"chart draws":    testChartDraws,
		"candles":        testCandles,
		"gaps":           testGaps,
		"lists":          testLists,
		"sorting":        testSorting,
		"sheet":          testSheet,
		"stored":         testStored,
		"list names":     testListNames,
		"lists of tabs":  testListsOfTabs,
		"theme":          testTheme,
		"keyboard":       testKeyboard,
		"phone":          testPhone,
		"widths":         testWidths,
		"low screens":    testLowScreens,
		"429":            testTooManyRequests,
		"accessible":     testAccessible,
		"sign out":       testSignOut,
		"strict policy":  testStrictPolicy,
		"exact decimals": testExactDecimals,
		"sizes":          testSizes,
		"under a path":   testUnderPath,
	} {
		t.Run(name, func(t *testing.T) { test(t, browser, server.URL) })
	}
}

func testPricesMove(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.Wait("every row drawn", `Object.values(`+bids+`).every((bid) => bid !== '')`)
	before := webtest.Eval[map[string]string](p, bids)
	price := regexp.MustCompile(`^(\d+\.\d+|–)$`)
	for symbol, bid := range before {
		if !price.MatchString(bid) {
			t.Errorf("bid of %s is shown as %q, want plain decimal text", symbol, bid)
		}
	}
	webtest.Eval[bool](p, "Boolean(window.before = "+bids+")")
	p.Wait("another price", "Object.entries("+bids+").some(([s, bid]) => before[s] !== undefined && before[s] !== bid)")
	p.Wait("an arrow", `document.querySelector('tr[data-symbol] .price.up, tr[data-symbol] .price.down')`)
	p.Wait("the price in the title", `/^\d+\.\d+ EUR\/USD/.test(document.title)`)
	p.Wait("updates counted", `/^[1-9]/.test(document.getElementById('d-updates').textContent)`)
	if gaps := webtest.Eval[string](p, "document.getElementById('d-gaps').textContent"); gaps != "0" {
		t.Errorf("the page counts %s gaps in the sequence, want 0", gaps)
	}
	p.CheckClean(nil)
}

// rgbOf is the expression of a color of the style sheet in the present theme.
func rgbOf(variable string) string {
	return `(() => {
		const probe = document.body.appendChild(document.createElement('i'));
		probe.style.color = 'var(` + variable + `)';
		const { color } = getComputedStyle(probe);
		probe.remove();
		return color.match(/\d+/g).map(Number);
	})()`
}

// A canvas counts as drawn when it has pixels in the color of the bid line.
var drawn = `(() => {
	const [r, g, b] = ` + rgbOf("--bid") + `;
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
	p.Wait("a line in the chart", drawn+" > 100")
	for _, interval := range []string{"1", "5"} {
		p.Do(chromedp.Click(chromedp.CSS(`#interval input[value="` + interval + `"]`)))
		p.Wait("the line replaced by candles of "+interval+" s", drawn+" === 0")
	}
	p.Do(chromedp.Click(chromedp.CSS(`#interval input[value="0"]`)))
	p.Wait("the line again", drawn+" > 100")
	if !webtest.Eval[bool](p, `Boolean(document.querySelector('#tv-attr-logo')) && document.querySelector('.credit a').href === 'https://www.tradingview.com/'`) {
		t.Error("the chart's attribution is not shown")
	}
	p.CheckClean(regexp.MustCompile("willReadFrequently")) // about this test's own reading of pixels
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
	dark := webtest.Eval[string](p, ground)
	p.Do(chromedp.Click(chromedp.ID("theme")))
	light := webtest.Eval[string](p, ground)
	if light == dark {
		t.Errorf("the toggle left the background at %s", dark)
	}
	p.Do(chromedp.Reload())
	waitLive(p)
	if got := webtest.Eval[string](p, ground); got != light {
		t.Errorf("after a reload the background is %s, want the chosen %s", got, light)
	}
	p.CheckClean(nil)
}

func testKeyboard(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.Do(chromedp.KeyEvent("/"), chromedp.KeyEvent("jpy"))
	p.Wait("only symbols with JPY", `(() => {
		const shown = [...document.querySelectorAll('tr[data-symbol]')].filter((r) => r.offsetParent !== null);
		return shown.length > 0 && shown.every((r) => r.dataset.symbol.includes('JPY'));
	})()`)
	p.Do(chromedp.KeyEvent(kb.Enter))
	p.Wait("the first one chosen", `document.activeElement.dataset.symbol?.includes('JPY') && document.activeElement.getAttribute('aria-selected') === 'true'`)
	p.Do(chromedp.KeyEvent("p"))
	p.Wait("it pinned", `document.querySelector('tbody[data-group="pinned"] tr[aria-selected="true"]')`)
	p.Do(chromedp.KeyEvent("/"), chromedp.KeyEvent("zzz"))
	p.Wait("a word on the empty table", `!document.getElementById('empty').hidden`)
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.Wait("all symbols again", `document.querySelector('tr[data-symbol="EUR/USD"]').offsetParent !== null`)
	p.CheckClean(nil)
}

func testPhone(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	if width := webtest.Eval[int](p, "document.documentElement.scrollWidth"); width > 390 {
		t.Errorf("the page is %d px wide on a screen of 390", width)
	}
	p.CheckClean(nil)
}

func testSignOut(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.Do(chromedp.Click(chromedp.ID("sign-out")))
	p.Wait("a notice", `!document.getElementById('gate').hidden && document.documentElement.dataset.state === 'stopped'`)
	p.Wait("every socket closed", "sockets.length > 0 && sockets.every((s) => s.readyState === WebSocket.CLOSED)")
	p.Wait("the session ended", "fetch('/api/v1/session').then((r) => r.status === 401)")
	if n := webtest.Eval[int](p, "sockets.length"); n != 1 {
		t.Errorf("the page opened %d sockets, want none after the first", n)
	}
	p.Do(chromedp.Click(chromedp.ID("gate-button")))
	waitLive(p)

	// The new session begins after the answer that ended the old one, since that deletes the cookie.
	webtest.Eval[bool](p, `Boolean((() => {
		const send = window.fetch;
		window.calls = [];
		const released = new Promise((resolve) => { window.release = resolve; });
		window.fetch = async (url, options) => {
			if (options?.method === 'POST') calls.push('POST');
			if (options?.method !== 'DELETE') return send(url, options);
			await released;
			const answer = await send(url, options);
			calls.push('DELETE answered');
			return answer;
		};
		document.getElementById('sign-out').click();
		document.getElementById('gate-button').click();
		return true;
	})())`)
	webtest.Eval[bool](p, "Boolean(release() || true)")
	waitLive(p)
	if got := webtest.Eval[string](p, "calls.join()"); got != "DELETE answered,POST" {
		t.Errorf("the page called %s, want DELETE answered,POST", got)
	}
	p.CheckClean(nil)
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
	p.Do(chromedp.Click(chromedp.CSS("#diagnostics summary")))
	p.CheckClean(nil)

	// The check itself must be able to fail.
	webtest.Eval[bool](p, `Boolean(document.head.appendChild(Object.assign(document.createElement('style'), { textContent: 'p{}' })))`)
	p.Wait("the violation of an inline style", "violations.length === 1")
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
		if got := webtest.Eval[string](p, "import('/price.js').then((m) => "+c.call+")"); got != c.want {
			t.Errorf("%s = %q, want %q", c.call, got, c.want)
		}
	}
}

// The page shows sizes digit by digit, and no field for sizes if a quote has none.
func testSizes(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	const steps = `Promise.all([import('/board.js'), import('/ticket.js')]).then(([b, t]) => {
		const board = new b.Board(), root = document.getElementById('ticket').cloneNode(true), ticket = new t.Ticket(root), shown = [];
		for (const sizes of [{}, { bid_size: '1000000.50', ask_size: '0' }, { ask_size: '2' }]) {
			board.take({ symbol: 'EUR/USD', bid: '1.1', ask: '1.2', ts: '2026-11-22T10:15:00.000000Z', seq: shown.length + 1, epoch: 'a', ...sizes });
			ticket.draw(board.instruments.get('EUR/USD'));
			for (const side of ['bid', 'ask']) {
				const e = root.querySelector('#t-' + side + '-size');
				shown.push(e.parentElement.hidden ? 'none' : e.textContent);
			}
		}
		return shown.join(' ');
	})`
	if got, want := webtest.Eval[string](p, steps), "none none 1000000.50 0 none 2"; got != want {
		t.Errorf("sizes are shown as %q, want %q", got, want)
	}
	p.CheckClean(nil)
}

func TestPageRecoversFromKilledServer(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	server := webtest.StartProgram(t)
	p := openPage(t, browser, server.URL)
	server.Stop()
	p.Wait("the loss noticed", `document.documentElement.dataset.frozen === 'true' && !document.getElementById('strip').hidden`)
	p.Wait("the chosen price dimmed", `getComputedStyle(document.querySelector('#t-bid .pips')).color.match(/\d+/g).join() === `+rgbOf("--dim")+`.join()`)
	p.Wait("another attempt announced", `['waiting', 'offline', 'connecting'].includes(document.documentElement.dataset.state)`)
	if title := webtest.Eval[string](p, "document.title"); regexp.MustCompile(`^\d`).MatchString(title) {
		t.Errorf("the title %q shows a price that is not live", title)
	}
	server.Restart()
	waitLive(p)
	webtest.Eval[bool](p, "Boolean(window.before = "+bids+")")
	p.Wait("another price", "Object.entries("+bids+").some(([s, bid]) => before[s] !== bid)")
	p.Wait("the strip gone", "document.getElementById('strip').hidden")
	p.CheckClean(regexp.MustCompile(`^(network|javascript) error: (Failed to load resource|WebSocket connection)`))
}

// TestPageWaitsForAPlace: a page over the connection limit says so, and connects by itself when there
// is a place.
func TestPageWaitsForAPlace(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	n := webtest.Start(t, func(c *webtest.Config) { c.Conns, c.Ping = 1, 2*time.Second })
	token, _ := n.SignIn("guest-1", "guest") // shares the limit of the page's guest by its address
	other, _ := n.Connect(token)
	reading := make(chan struct{})
	go func() { // answers pings until it is closed
		defer close(reading)
		for {
			if _, err := other.Receive(); err != nil {
				return
			}
		}
	}()
	p := webtest.OpenTab(t, browser, chromedp.Navigate(n.Public.URL+"/"))
	p.Wait("the reason on the page", `document.documentElement.dataset.state === 'waiting' && document.getElementById('gate').hidden &&
		!document.getElementById('strip').hidden && document.getElementById('strip').textContent.includes('Close another window')`)
	other.Close()
	<-reading
	p.Wait("connected", `document.documentElement.dataset.frozen === 'false' && !document.getElementById('strip').textContent.includes('Close another window')`)
	p.CheckClean(nil)
}

// The third-party files still have the checksums of their release.
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

// testUnderPath opens the page behind a proxy that serves it under a path and strips that path.
func testUnderPath(t *testing.T, browser context.Context, program string) {
	target, err := url.Parse(program)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	mux := http.NewServeMux()
	mux.Handle("/fx/", http.StripPrefix("/fx", proxy)) // all else is 404
	front := httptest.NewServer(mux)
	t.Cleanup(front.Close)
	openPage(t, browser, front.URL+"/fx")
}
