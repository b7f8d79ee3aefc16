package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestEmbed shows prices on a page of another origin: to a guest, to a user by token, and not on a page
// that the server does not list.
func TestEmbed(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	var n *webtest.Node
	site := func() *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; script-src "+n.Public.URL+"; connect-src "+n.Public.URL+" "+"ws"+n.Public.URL[4:])
			token := ""
			if text := r.URL.Query().Get("token"); text != "" {
				token = ` token="` + html.EscapeString(text) + `"`
			}
			fmt.Fprintf(w, `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A shop</title><main><h1>A shop</h1>
				<script type="module" src="%s/embed.js"></script><fx-rates symbols="gbpusd, EUR/USD"%s></fx-rates></main>`, n.Public.URL, token)
		}))
		t.Cleanup(s.Close)
		return s
	}
	listed, other := site(), site()
	n = webtest.Start(t, func(c *webtest.Config) { c.Origins = []string{listed.URL} })
	n.Quote(t, "EUR/USD", "1.10001", "1.10003")
	n.Publish([3]string{"GBP/USD", "1.3", "1.30005"}, [3]string{"USD/JPY", "150.1", "150.2"})

	const (
		root  = `document.querySelector('fx-rates').shadowRoot`
		shown = `[...` + root + `.querySelectorAll('tbody tr')].map((tr) => [...tr.cells].map((c) => c.textContent).join(' ')).join('; ')`
		both  = shown + ` === 'EUR/USD 1.10001 1.10003; GBP/USD 1.3 1.30005' && ` + root + `.querySelector('p').textContent === ''`
	)
	connected := func() map[string]bool {
		users := map[string]bool{}
		for _, u := range regexp.MustCompile(`"user_id":"([^"]+)"`).FindAllStringSubmatch(webtest.NewHTTPClient(t, n.Admin).Do("GET", "/api/v1/connections", "", webtest.Bearer(webtest.AdminToken)).Body, -1) {
			users[u[1]] = true
		}
		return users
	}
	p := webtest.OpenTab(t, browser, chromedp.Navigate(listed.URL))
	p.Wait("prices for a guest", both)
	for _, finding := range webtest.Axe(p) {
		t.Error(finding)
	}
	p.CheckClean(nil)

	token, _ := n.SignIn("the-shop", "user")
	p = webtest.OpenTab(t, browser, chromedp.Navigate(listed.URL+"/?token="+token))
	p.Wait("prices for the bearer of a token", both)
	if !connected()["the-shop"] {
		t.Errorf("connected are %v, want the-shop too", connected())
	}
	webtest.Eval[bool](p, "Boolean(document.querySelector('fx-rates').setAttribute('symbols', '*/JPY') || true)")
	p.Wait("other symbols", shown+` === 'USD/JPY 150.1 150.2'`)

	p = webtest.OpenTab(t, browser, chromedp.Navigate(other.URL))
	p.Wait("no prices where the server does not allow it", root+`.querySelector('p').textContent !== '' && `+shown+` === ''`)
	p.Wait("a reason", root+`.querySelector('p').textContent.includes('reconnecting')`)
}
