package web_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestPageLastKnown shows last known prices dimmed and with their age, never as live, and takes them
// away when a symbol is removed.
func TestPageLastKnown(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	later := time.Now().UTC().AddDate(0, 0, 2).Weekday().String()[:3] // the market of GBP/USD opens then, for a minute
	table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: fmt.Sprintf(
		`{"EUR/USD":{"hours":"always"},"GBP/USD":{"hours":{"open":"%s 00:00","close":"%[1]s 00:01","zone":"UTC"}}}`, later)})
	if err != nil {
		t.Fatal(err)
	}
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Instruments, c.QuoteTTL, c.StaleAfter = table, 600*time.Millisecond, 500*time.Millisecond
	})
	then := time.Now().Add(-49 * time.Hour).Truncate(time.Microsecond)
	if _, err := n.Publisher.Publish(t.Context(), []feed.Quote{
		{Symbol: "EUR/USD", Bid: "1.16842", Ask: "1.16854", Time: then.Add(48 * time.Hour)},
		{Symbol: "GBP/USD", Bid: "1.32501", Ask: "1.32513", Time: then},
	}); err != nil {
		t.Fatal(err)
	}
	webtest.Eventually(t, "the quotes expire", func() bool {
		return n.RDB.Exists(t.Context(), "fx:{EUR/USD}:quote", "fx:{GBP/USD}:quote").Val() == 0
	})
	p := webtest.OpenTab(t, browser, chromedp.Navigate(n.Public.URL+"/"))
	const (
		row  = `document.querySelector('tr[data-symbol="%s"]')`
		dims = row + `?.dataset.status === '%s' && ` + row + `.querySelector('.age').textContent === '%s' &&
			[...` + row + `.querySelectorAll('.price')].every((e) => /^\d+\.\d+$/.test(e.textContent)) &&
			[...` + row + `.querySelectorAll('.price .pips')].every((e) => getComputedStyle(e).color === getComputedStyle(document.querySelector('.keys')).color && getComputedStyle(e).fontWeight === '400')`
	)
	dim := func(symbol, status, age string) string {
		return fmt.Sprintf(dims, symbol, status, symbol, age, symbol, symbol)
	}
	p.Wait("the stale price dimmed, with its age", dim("EUR/USD", "stale", "stale · 1 h ago"))
	p.Wait("the closed price dimmed, with its age", dim("GBP/USD", "closed", "closed · 2 d ago"))
	p.Wait("the page not live", `document.documentElement.dataset.state === 'stale' && document.getElementById('state-name').textContent === 'No live prices' && !document.getElementById('strip').hidden`)
	p.Wait("the chosen price not live", `document.getElementById('t-age').textContent === 'stale · 1 h ago' && document.title === '1.16842 EUR/USD · stale · fxcast'`)

	stop := n.Quote(t, "EUR/USD", "1.16843", "1.16855")
	p.Wait("a live price", fmt.Sprintf(row+`.dataset.status === 'live' && document.documentElement.dataset.state === 'live' && document.getElementById('t-age').textContent === ''`, "EUR/USD"))
	if webtest.Eval[bool](p, fmt.Sprintf(row+`.dataset.status === 'live'`, "GBP/USD")) {
		t.Error("the price of a closed market is shown as live")
	}
	stop()
	p.Wait("it grows stale again", fmt.Sprintf(row+`.dataset.status === 'stale'`, "EUR/USD"))

	if a := webtest.NewHTTPClient(t, n.Admin).Do("DELETE", "/api/v1/symbols/GBP/USD", "", webtest.Bearer(webtest.AdminToken)); a.Status != 200 {
		t.Fatalf("DELETE: %d %s", a.Status, a.Body)
	}
	p.Wait("no price of the removed symbol", fmt.Sprintf(row+`.querySelector('.age').textContent === 'no price' && !/\d/.test(`+row+`.querySelector('.price').textContent)`, "GBP/USD", "GBP/USD"))
	p.Wait("all stale", `document.documentElement.dataset.state === 'stale'`)
	p.CheckClean(nil)
}
