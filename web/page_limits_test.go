package web_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestPageManyTabs opens 22 pages of 22 guests behind one address, with the limits of an address that
// are the default. All show prices at once: what a page can do without waits. No other test of the
// package runs meanwhile, since so many pages keep a machine busy.
func TestPageManyTabs(t *testing.T) {
	browser := webtest.Browser(t)
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Rate, c.GuestsPerMinute, c.Conns = session.Rate{PerMinute: 60, PerHour: 1000, PerDay: 10_000}, 60, 100
	})
	n.Quote(t, "EUR/USD", "1.10001", "1.10003")
	began := time.Now()
	tabs := make([]*webtest.Tab, 22)
	for i := range tabs {
		tabs[i] = webtest.OpenTab(t, browser, chromedp.Navigate(n.Public.URL+"/"))
	}
	for _, p := range tabs {
		waitLive(p)
		var allowed *regexp.Regexp
		if time.Since(began) > 30*time.Second { // on a busy machine: what waits has begun, and may be refused
			allowed = regexp.MustCompile("status of 429")
		}
		p.CheckClean(allowed)
	}
}

// TestPageTabsOfOneVisitor opens the page again and again: a load costs one request and the earlier
// ticks of the chart, since the browser knows its session and the symbols.
func TestPageTabsOfOneVisitor(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	asked := int64(0)
	n := webtest.Start(t, nil)
	n.Quote(t, "EUR/USD", "1.10001", "1.10003")
	p := openPage(t, browser, n.Public.URL)
	p.Wait("the list of symbols kept", `localStorage.getItem('fxcast.symbols')`)
	for range 3 {
		p.Do(chromedp.Reload())
		waitLive(p)
		p.Wait("the earlier ticks asked for", `performance.getEntriesByType('resource').some((r) => r.name.includes('/history?'))`)
		asked += webtest.Eval[int64](p, `performance.getEntriesByType('resource').filter((r) => r.name.includes('/api/')).length`)
	}
	if asked != 3 {
		t.Errorf("three loads made %d requests beside their sockets, want 3", asked)
	}
	p.CheckClean(nil)
}

// testTooManyRequests has the server refuse the earlier ticks of a symbol. The page says so, and asks
// again when the server allows it.
func testTooManyRequests(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	webtest.Eval[bool](p, `Boolean((() => {
		const send = window.fetch;
		window.asked = [];
		window.fetch = async (url, options) => {
			if (!String(url).includes('USD/CHF/history')) return send(url, options);
			asked.push(performance.now());
			return asked.length > 1 ? send(url, options) : new Response('', { status: 429, headers: { 'Retry-After': '3' } });
		};
		document.querySelector('tr[data-symbol="USD/CHF"]').click();
		return true;
	})())`)
	p.Wait("words on the page", `document.getElementById('strip').textContent.startsWith('Too many requests.') && !document.getElementById('strip').hidden && document.getElementById('d-error').textContent === 'too many requests'`)
	p.Wait("another request, in time", `asked.length === 2 && asked[1] - asked[0] >= 2990`)
	p.Wait("the words gone", `document.getElementById('strip').hidden`)
	p.CheckClean(nil)
}
