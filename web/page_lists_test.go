package web_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

const shownSymbols = `[...document.querySelectorAll('tr[data-symbol]')].filter((r) => r.offsetParent).map((r) => r.dataset.symbol)`

// testLists makes a list, orders it, and finds it again after a reload and, by the address, in another
// browser.
func testLists(t *testing.T, chromium context.Context, url string) {
	p := openPage(t, chromium, url)
	add := func(symbol string) {
		t.Helper()
		p.Do(chromedp.Click(chromedp.CSS(`tr[data-symbol="`+symbol+`"]`)), chromedp.Click(chromedp.ID("to-list")))
		p.Wait("the dialog", `document.getElementById('list-dialog').open && document.getElementById('list-label').textContent.includes('`+symbol+`')`)
		webtest.Eval[string](p, `document.getElementById('list-name').value = 'Mine & more'`)
		p.Do(chromedp.Click(chromedp.ID("list-save")))
		p.Wait("the dialog closed", `!document.getElementById('list-dialog').open`)
	}
	add("USD/JPY")
	webtest.Eval[string](p, `document.getElementById('list').focus() ?? ''`)
	p.Do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	p.Wait("the dialog, by the keyboard", `document.activeElement.id === 'list-name'`)
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.Wait("the dialog closed by Escape", `document.activeElement.id === 'to-list'`)
	p.Do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent("Second"), chromedp.KeyEvent(kb.Enter))
	p.Wait("the second list", `document.querySelector('#list option[value="Second"]')`)
	if webtest.Eval[bool](p, `document.getElementById('list-dialog').open`) {
		t.Error("Enter has opened the dialog again")
	}
	add("EUR/USD")
	webtest.Eval[bool](p, `Boolean((() => { const list = document.getElementById('list'); list.value = 'Mine & more'; return list.dispatchEvent(new Event('change')); })())`)
	p.Wait("the list alone, in its order", shownSymbols+`.join() === 'USD/JPY,EUR/USD'`)
	p.Do(chromedp.Click(chromedp.CSS(`tr[data-symbol="EUR/USD"]`)), chromedp.KeyEvent(kb.ArrowUp, chromedp.KeyModifiers(1)))
	p.Wait("the other order", shownSymbols+`.join() === 'EUR/USD,USD/JPY'`)
	const state = shownSymbols + `.join() === 'EUR/USD,USD/JPY' && document.getElementById('list').value === 'Mine & more'`
	address := webtest.Eval[string](p, "location.hash")
	p.Do(chromedp.Reload())
	waitLive(p)
	p.Wait("the list after a reload", state)
	other := webtest.OpenTab(t, chromium, chromedp.Navigate(url+"/"+address))
	other.Wait("the list in another browser", state)
	p.CheckClean(nil)
}

// testSorting sorts by a column, in both directions, and not any more.
func testSorting(t *testing.T, chromium context.Context, url string) {
	p := openPage(t, chromium, url)
	before := webtest.Eval[string](p, shownSymbols+".join()")
	click := chromedp.Click(chromedp.CSS(`button[data-sort="symbol"]`))
	p.Do(click)
	p.Wait("symbols from A to Z", `(() => { const s = `+shownSymbols+`; return s.length > 10 && s.join() === [...s].sort().join() && document.querySelector('th[aria-sort="ascending"]'); })()`)
	p.Do(click)
	p.Wait("symbols from Z to A", `(() => { const s = `+shownSymbols+`; return s.join() === [...s].sort().reverse().join() && document.querySelector('th[aria-sort="descending"]'); })()`)
	p.Do(click)
	if after := webtest.Eval[string](p, shownSymbols+".join()"); after != before {
		t.Errorf("unsorted again the symbols are %s, want %s", after, before)
	}
	p.CheckClean(nil)
}

// TestPageSortsAgain: rows that are sorted by a figure follow its changes.
func TestPageSortsAgain(t *testing.T) {
	t.Parallel()
	chromium := webtest.Browser(t)
	n := webtest.Start(t, nil)
	n.Publish([3]string{"EUR/USD", "1.10001", "1.10002"}, [3]string{"GBP/USD", "1.30001", "1.30003"})
	p := openPage(t, chromium, n.Public.URL)
	p.Wait("both symbols", shownSymbols+".length === 2")
	webtest.Eval[bool](p, `Boolean(document.querySelector('button[data-sort="spread"]').click() || true)`)
	p.Wait("the lower spread first", shownSymbols+".join() === 'EUR/USD,GBP/USD'")
	n.Publish([3]string{"EUR/USD", "1.10001", "1.10009"})
	p.Wait("the other order", shownSymbols+".join() === 'GBP/USD,EUR/USD'")
	p.CheckClean(nil)
}

// TestPageAlerts sets an alert, reloads the page, and has the price reach it: words, a notification and
// a sound, once.
func TestPageAlerts(t *testing.T) {
	t.Parallel()
	chromium := webtest.Browser(t)
	n := webtest.Start(t, nil)
	n.Publish([3]string{"EUR/USD", "1.10001", "1.10003"})
	p := openPage(t, chromium, n.Public.URL, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, browser.SetPermission, browser.SetPermissionParams{Permission: &browser.PermissionDescriptor{Name: "notifications"}, Setting: browser.PermissionSettingGranted})
		return chromedp.Void{}, err
	})
	p.Do(chromedp.Click(chromedp.ID("alert")))
	for _, level := range []string{"soon", "110,010", "1,100,100"} {
		webtest.Eval[string](p, fmt.Sprintf(`(() => { const at = document.getElementById('alert-level'); at.ariaInvalid = null; return at.value = %q; })()`, level))
		p.Do(chromedp.Click(chromedp.ID("alert-save")))
		p.Wait("a level that is no price refused", `document.getElementById('alert-dialog').open && document.getElementById('alert-level').ariaInvalid === 'true'`)
	}
	webtest.Eval[string](p, `document.getElementById('alert-level').value = '1,10010'`)
	p.Do(chromedp.Click(chromedp.ID("alert-save")))
	p.Wait("the alert stored", `localStorage.getItem('fxcast.alerts')?.includes('1.10010')`)
	p.Do(chromedp.Reload())
	waitLive(p)
	webtest.Eval[bool](p, `Boolean((() => {
		window.notified = [];
		window.Notification = class { static permission = 'granted'; constructor(text) { notified.push(text); } };
		const start = OscillatorNode.prototype.start;
		window.tones = 0;
		OscillatorNode.prototype.start = function (at) { tones++; return start.call(this, at); };
		return true;
	})())`)
	n.Publish([3]string{"EUR/USD", "1.10009", "1.10011"})
	p.Wait("the price below the level", `document.getElementById('t-bid').textContent === '1.10009'`)
	if webtest.Eval[int](p, "notified.length") != 0 {
		t.Error("the alert came before the price had reached it")
	}
	n.Publish([3]string{"EUR/USD", "1.1001", "1.10012"})
	const text = "EUR/USD 1.1001: it has risen to 1.10010"
	p.Wait("words and a notification", `!document.getElementById('alerted').hidden && document.getElementById('alerted-text').textContent === '`+text+`' && notified.join() === '`+text+`' && tones === 2`)
	n.Publish([3]string{"EUR/USD", "1.10012", "1.10014"})
	p.Wait("the next price", `document.getElementById('t-bid').textContent === '1.10012'`)
	if got := webtest.Eval[int](p, "notified.length"); got != 1 {
		t.Errorf("%d notifications, want 1", got)
	}
}

// testSheet checks the text that is copied and downloaded, and the change of a day.
func testSheet(t *testing.T, chromium context.Context, url string) {
	p := openPage(t, chromium, url)
	const made = `import('/sheet.js').then(({ asText }) => asText([{ symbol: 'EUR/USD', bid: '1.10', ask: '1.1000', time: 0, status: 'stale' }], ','))`
	if got, want := webtest.Eval[string](p, made), "symbol,bid,ask,time,status\r\nEUR/USD,1.10,1.1000,,stale\r\n"; got != want {
		t.Errorf("the sheet is %q, want %q", got, want)
	}
	for _, c := range [][3]string{{"1.10000", "1.10110", "+0.10 %"}, {"1.1", "1.1", "0.00 %"}, {"150", "149.25", "−0.50 %"}, {"1", "1.00005", "+0.01 %"}, {"1", "1.00004", "0.00 %"}, {"2", "5", "+150.00 %"}, {"0", "1", ""}} {
		if got := webtest.Eval[string](p, "import('/price.js').then((m) => m.changeInPercent('"+c[0]+"', '"+c[1]+"'))"); got != c[2] {
			t.Errorf("from %s to %s is %q, want %q", c[0], c[1], got, c[2])
		}
	}
	webtest.Eval[bool](p, `Boolean((() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; document.getElementById('copy').click(); return true; })())`)
	p.Wait("the table copied", `/^symbol\tbid\task\ttime\tstatus\r\nEUR\/USD\t1\.\d+\t1\.\d+\t20/.test(window.copied)`)
	p.CheckClean(nil)
}
