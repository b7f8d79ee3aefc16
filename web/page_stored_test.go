package web_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// testStored opens the page over choices that the browser keeps of an older page, of another one at the
// same address, or of a person who has written them. The page shows prices and takes new choices.
func testStored(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	for _, value := range []string{
		"null", "7", "-1", "true", `"x"`, "[]", "[7, null, {}]", "{}", `{"a": 7, "b": null, "": ["EUR/USD"], "c": [], "d": [7, null, "eur"]}`, "{broken", "",
		`[{"symbol": "EUR/USD", "level": 1, "side": 1}, {"symbol": "EUR/USD", "level": null, "side": 1}, {"symbol": 7, "level": "1", "side": 1}]`,
		`{"at": NOW, "list": null}`, `{"at": NOW, "list": {}}`, `{"at": "NOW", "list": [7]}`,
		`{"at": NOW, "list": [null, 7, {"symbol": 7}, {"symbol": "EUR/USD", "digits": 1000, "pip": 1}, {"symbol": "GBP/USD", "digits": -3, "pip": "0"}, {"symbol": "USD/JPY", "digits": "x", "pip": null}]}`,
	} {
		webtest.Eval[string](p, fmt.Sprintf(`(() => {
			for (const name of ['theme', 'symbol', 'rate', 'interval', 'pins', 'lists', 'alerts', 'moves', 'session', 'symbols']) {
				localStorage.setItem('fxcast.' + name, %q.replace('NOW', Date.now()));
			}
			return '';
		})()`, value))
		t.Log(value)
		p.Do(chromedp.Reload())
		waitLive(p)
		p.Do(chromedp.Click(chromedp.CSS(`tr[data-symbol="GBP/USD"] th`)), chromedp.Click(chromedp.CSS(`#interval input[value="5"]`)))
		p.Wait("the prices of another symbol", `document.getElementById('t-symbol').textContent === 'GBP/USD' && /\d/.test(document.getElementById('t-bid').textContent)`)
		if title := webtest.Eval[string](p, `document.getElementById('list-title').textContent`); title != "All symbols" {
			t.Errorf("the list %q is shown, want none", title)
		}
		p.CheckClean(nil)
	}
}

// listsIn is the expression of a value of the page's lists, for the lists that a browser keeps and an
// address.
func listsIn(stored, address, value string) string {
	return fmt.Sprintf(`import('/lists.js').then(({ Lists }) => {
		localStorage.setItem('fxcast.lists', JSON.stringify(%s));
		history.replaceState(null, '', '#' + %q);
		const lists = new Lists(), long = 'x'.repeat(40);
		const all = () => lists.names.map((name) => { lists.show(name); return name.replace(long, 'long') + '=' + lists.symbols.join(); }).join('; ');
		return String(%s);
	})`, stored, address, value)
}

// testListNames: no list takes the place of another one, whatever their names are, and an address does
// not overwrite a list of the visitor.
func testListNames(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	for _, c := range []struct{ stored, address, value, want string }{
		{"{}", "", "(lists.add(long + 'a', 'EUR/USD'), lists.add(long + 'b', 'USD/JPY'), all())", "long=EUR/USD,USD/JPY"},
		{"{ ['x'.repeat(40)]: ['EUR/USD'] }", "", "(lists.add(long + 'b', 'USD/JPY'), all())", "long=EUR/USD,USD/JPY"},
		{"{ ['x'.repeat(40) + 'a']: ['EUR/USD'], ['x'.repeat(40) + 'b']: ['USD/JPY'] }", "", "all().replaceAll('x', '')", " (2)=USD/JPY; long=EUR/USD"},
		{"{ 'My list': ['EUR/USD'] }", "list=My%20list&symbols=USD/JPY,GBP/USD", "lists.current + ': ' + all()", "My list (2): My list=EUR/USD; My list (2)=USD/JPY,GBP/USD"},
		{"{ 'My list': ['EUR/USD'], 'My list (2)': ['USD/JPY'] }", "list=My%20list&symbols=USD/JPY", "lists.current + ': ' + all()", "My list (2): My list=EUR/USD; My list (2)=USD/JPY"},
		{"{}", "symbols=eur/usd,USD/JPY,nonsense", "lists.current + ': ' + all()", "My list: My list=EUR/USD,USD/JPY"},
		{"{ Mine: ['EUR/USD'] }", "list=Mine&symbol=gbp/usd", "lists.current + lists.symbol", "MineGBP/USD"},
		{"{ Mine: ['EUR/USD'] }", "list=Other", "lists.current", ""},
		{"{ '': ['EUR/USD'], ' ': ['EUR/USD'] }", "list=&symbol=x", "all() + lists.current + lists.symbol", ""},
		{"{}", "", "(lists.add('x'.repeat(39) + '😀', 'EUR/USD'), lists.show(lists.names[0]), decodeURIComponent(location.hash).length)", "63"},
		{"{}", "", "(lists.add('y'.repeat(39) + ' y', 'EUR/USD'), lists.show(lists.names[0]), lists.reload(), String(lists.current.length))", "39"},
		{"{ '\\ud83d': ['EUR/USD'] }", "", "(lists.show(lists.names[0]), location.hash)", "#list=%EF%BF%BD&symbols=EUR/USD"},
		{"{ ['__proto__']: ['EUR/USD'] }", "", "(lists.add('constructor', 'USD/JPY'), lists.reload(), all())", "__proto__=EUR/USD; constructor=USD/JPY"},
	} {
		if got := webtest.Eval[string](p, listsIn(c.stored, c.address, c.value)); got != c.want {
			t.Errorf("of %s at #%s %s is %q, want %q", c.stored, c.address, c.value, got, c.want)
		}
	}
	p.CheckClean(nil)
}

// testListsOfTabs: a bookmark opens a list in the tab that is open, and tabs of one browser have the
// same lists and alerts.
func testListsOfTabs(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.Wait("every row drawn", `Object.values(`+bids+`).every((bid) => /\d/.test(bid))`)
	webtest.Eval[string](p, `location.hash = '#list=Two&symbols=USD/JPY,EUR/USD&symbol=USD/JPY'`)
	p.Wait("the list of the address, and its symbol", shownSymbols+`.join() === 'USD/JPY,EUR/USD' && document.getElementById('list').value === 'Two' &&
		document.getElementById('t-symbol').textContent === 'USD/JPY'`)
	webtest.Eval[bool](p, "Boolean(window.other = open('/'))")
	p.Wait("the list in the other tab", `[...other.document.querySelectorAll('#list option')].map((o) => o.value).join() === ',Two'`)
	webtest.Eval[string](p, `(() => {
		other.localStorage.setItem('fxcast.lists', '{"Two":["GBP/USD","USD/JPY"],"Third":["EUR/USD"]}');
		other.localStorage.setItem('fxcast.alerts', '[{"symbol":"EUR/USD","level":"99.5","side":1}]');
		return '';
	})()`)
	p.Wait("the other tab's list here", `[...document.querySelectorAll('#list option')].map((o) => o.value).join() === ',Third,Two'`)
	p.Wait("the other tab's alert here", `document.querySelector('#alerts li')?.textContent.includes('99.5')`)
	p.Wait("this tab's list as the other tab has changed it", shownSymbols+`.join() === 'GBP/USD,USD/JPY' && location.hash.includes('symbols=GBP/USD,USD/JPY')`)
	webtest.Eval[bool](p, "Boolean(other.localStorage.removeItem('fxcast.lists') || true)")
	p.Wait("all symbols, after the other tab has removed the lists", `document.getElementById('list').value === '' && !location.hash.includes('list')`)
	p.CheckClean(nil)
}
