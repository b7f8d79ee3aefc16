package admin_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// testOperatorDrill goes from a symbol to one of its sources and to another symbol, over a reload, and
// back to all; then to a user.
func testOperatorDrill(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	public := webtest.NewHTTPClient(t, n.Public)
	for _, body := range []string{
		`{"symbol":"EUR/USD","bid":"1.0850","ask":"1.0852","source":"lmax"}`, `{"symbol":"GBP/USD","bid":"1.2","ask":"1.3","source":"lmax"}`,
		`{"symbol":"EUR/USD","bid":"2","ask":"1","source":"lmax"}`, `{"symbol":"EUR/USD","bid":"0","ask":"1","source":"bank"}`,
	} {
		public.Do("POST", "/api/v1/quotes", body, webtest.Bearer(webtest.PublishToken))
	}
	p := operate(t, browser, n.Admin.URL)
	follow := func(table, text string) {
		t.Helper()
		p.Wait("a link to "+text, fmt.Sprintf(`[...document.querySelectorAll('#%s a')].some((a) => a.textContent === %q)`, table, text))
		webtest.Eval[bool](p, fmt.Sprintf(`([...document.querySelectorAll('#%s a')].find((a) => a.textContent === %q).click(), true)`, table, text))
	}
	facts := func(what, pattern string) {
		t.Helper()
		p.Wait(what, fmt.Sprintf(`/%s/.test([...document.querySelectorAll('#drill-facts div')].map((d) => [...d.children].map((e) => e.textContent).join(' ')).join('; '))`, pattern))
	}
	follow("symbols", "EUR/USD")
	p.Wait("the symbol, in the focus", `document.activeElement.id === 'drill-title' && document.activeElement.textContent === 'Symbol EUR/USD'`)
	facts("its last quote and reference", `Bid 1\.0850; Ask 1\.0852; Age [\d.]+ .*; Status live since .*; From lmax; .*Accepted 1 in epoch .*; Reference of the gate 1\.0851,`)
	p.Wait("its sources, also one of which all was rejected", `[...document.querySelectorAll('#drill-rows tbody tr')].map((tr) => tr.cells[0].textContent + ': ' + tr.cells[4].textContent).join('; ') === 'lmax: crossed 1; bank: zero 1'`)
	p.Do(chromedp.Reload())
	facts("the same after a reload", `Bid 1\.0850`)
	follow("drill-rows", "lmax")
	facts("the source", `Symbols 2; With its quote as the last 2; Rejected lately crossed 1`)
	follow("drill-rows", "GBP/USD")
	facts("another symbol of it", `Bid 1\.2; Ask 1\.3`)
	webtest.Eval[bool](p, `(history.back(), true)`)
	facts("the source again", `Symbols 2`)
	p.Do(chromedp.Click(chromedp.ID("drill-back")))
	p.Wait("nothing in full", `document.getElementById('drill').hidden && !/source|symbol/.test(location.hash)`)
	follow("rejected", "bank")
	facts("a source that has no symbol", `Symbols 0; .*Rejected lately zero 1`)

	token, _ := n.SignIn("o'hara & co", "user")
	_, welcome := n.Connect(token)
	p.Wait("the connection", fmt.Sprintf(`document.querySelector('tr[data-conn=%q] button.text')`, welcome.ConnID))
	p.Do(chromedp.Click(chromedp.CSS(fmt.Sprintf("tr[data-conn=%q] button.text", welcome.ConnID))))
	facts("the user", `Connections 1`)
	p.Do(chromedp.Reload())
	p.Wait("connections and sessions of the user after a reload", fmt.Sprintf(`document.getElementById('drill-rows').textContent.includes(%q) && document.getElementById('sessions-note').textContent === "o'hara & co has 1 session."`, welcome.ConnID))
	webtest.Eval[bool](p, `(location.hash = '#symbol=EUR/CHF', true)`)
	p.Wait("that a symbol is not known", `/nothing is known of EUR.CHF/.test(document.getElementById('drill-note').textContent)`)
	p.CheckClean(regexp.MustCompile(`status of 404`))
}
