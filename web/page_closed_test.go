package web_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestPageClosedMarket opens the page of 200 symbols while the market is closed: it says so, all have
// their last prices, and none is lit. Its session is revoked meanwhile, and it goes on with another.
func TestPageClosedMarket(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	var days []string
	for n := -1; n <= 1; n++ { // in New York it may be another day
		days = append(days, time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly))
	}
	holidays, err := feed.ParseDates(days)
	if err != nil {
		t.Fatal(err)
	}
	table, err := feed.NewInstruments(feed.InstrumentsConfig{Holidays: holidays})
	if err != nil {
		t.Fatal(err)
	}
	n := webtest.Start(t, func(c *webtest.Config) { c.Instruments = table })
	codes := []string{"EUR", "USD", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "MXN"}
	var quotes []feed.Quote
	for _, base := range codes {
		for _, quote := range codes {
			if base != quote && len(quotes) < 200 {
				quotes = append(quotes, feed.Quote{Symbol: feed.Symbol(base + "/" + quote), Bid: fmt.Sprintf("1.%05d", len(quotes)), Ask: "1.00250"})
			}
		}
	}
	if _, err := n.Publisher.Publish(t.Context(), quotes); err != nil {
		t.Fatal(err)
	}
	p := webtest.OpenTab(t, browser, chromedp.Navigate(n.Public.URL+"/"))
	const closed = `document.documentElement.dataset.state === 'closed' && document.getElementById('state-name').textContent === 'Market closed' && document.getElementById('strip').textContent.startsWith('The market is closed.') && document.querySelectorAll('tr[data-symbol]').length === 200 && document.querySelectorAll('tr[data-status="closed"]').length > 10` // rows out of view are drawn later
	p.Wait("the market closed, with 200 symbols", closed)
	const last = `document.querySelector('tr[data-symbol="MXN/EUR"]')`
	webtest.Eval[bool](p, `Boolean(`+last+`.scrollIntoView() || true)`)
	p.Wait("the last price, dimmed and not lit", last+`.querySelector('.price').textContent === '1.00196' && getComputedStyle(`+last+`.querySelector('.pips')).fontWeight === '400' && !document.querySelector('.lit')`)
	p.Wait("its connection", `document.getElementById('d-conn').textContent.length > 1`)
	webtest.Eval[bool](p, `Boolean(window.conn = document.getElementById('d-conn').textContent)`)
	id := webtest.Eval[string](p, `fetch('/api/v1/session').then((r) => r.json()).then((s) => s.session_id)`)
	if err := n.Sessions.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	p.Wait("another session", `![conn, '–'].includes(document.getElementById('d-conn').textContent) && `+closed)
	p.CheckClean(nil)
}
