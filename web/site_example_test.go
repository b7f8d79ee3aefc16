package web_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/internal/nodetest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestSiteExample signs in to examples/express/site.mjs, which makes the session by the admin API or in
// Redis. Its page is on another domain than the server, and shows prices by a React hook.
func TestSiteExample(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	for _, by := range []string{"admin", "redis"} {
		t.Run(by, func(t *testing.T) { testSiteExample(t, browser, by) })
	}
}

func testSiteExample(t *testing.T, browser context.Context, by string) {
	// The server needs the address of the site, and the site that of the server.
	var site *url.URL
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(site) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(front.Close)
	address := strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	n := webtest.Start(t, func(c *webtest.Config) { c.Origins = []string{address} })
	proxy := redistest.StartProxy(t, n.Public.Listener.Addr().String())
	site = startSite(t, n, "http://"+proxy.Addr(), by)

	n.Publish([3]string{"EUR/USD", "1.08500", "1.0851"}, [3]string{"GBP/JPY", "190.10", "190.12"})
	p := webtest.OpenTab(t, browser, chromedp.Navigate(address+"/"))
	signIn := func(password string) {
		p.Wait("the form", "document.forms[0]?.password")
		webtest.Eval[bool](p, `(([form]) => { form.username.value = 'ann'; form.password.value = '`+password+`'; form.submit(); return true; })(document.forms)`)
	}
	signIn("wrong")
	p.Wait("a refusal", "document.body.textContent === 'Forbidden'")
	p.Do(chromedp.Navigate(address + "/"))
	signIn("correct horse")

	const row = `document.querySelector('tr')?.textContent`
	p.Wait("the last price", row+` === 'EUR/USD1.085001.0851' && state.textContent === 'live'`)
	n.Publish([3]string{"EUR/USD", "1.08510", "1.0852"})
	p.Wait("a new price", row+` === 'EUR/USD1.085101.0852' && document.querySelector('tr').className === 'live'`)
	if cookies := webtest.Eval[string](p, "document.cookie"); cookies != "" {
		t.Errorf("scripts can read the cookies %q", cookies)
	}

	webtest.Eval[bool](p, `(([box]) => { box.value = 'GBP'; return box.dispatchEvent(new Event('change', { bubbles: true })); })(document.getElementsByTagName('select'))`)
	p.Wait("the prices of the other currency alone", row+` === 'GBP/JPY190.10190.12' && document.querySelectorAll('tr').length === 1`)
	webtest.Eventually(t, "the first subscription has ended", func() bool { return !n.Hub.Wanted("EUR/USD") })

	proxy.Reset()
	p.Wait("another connection with another ticket", "sockets.length > 1 && state.textContent === 'live'")
	n.Publish([3]string{"GBP/JPY", "190.11", "190.13"})
	p.Wait("a price of it", row+` === 'GBP/JPY190.11190.13'`)
	if n := webtest.Eval[int](p, openSockets); n != 1 {
		t.Errorf("%d sockets are open, want 1", n)
	}

	webtest.Eval[bool](p, `fetch('/sign-out', { method: 'POST' }).then((answer) => answer.ok)`)
	p.Wait("the end of the connection", "state.textContent === 'closed'")
	p.Do(chromedp.Navigate(address + "/"))
	p.Wait("the form", "document.forms[0]?.password")
	p.CheckClean(regexp.MustCompile(`status of 403 .*/sign-in$|favicon.ico$|WebSocket connection to`)) // the refusal, its page, the reset
}

// startSite starts the site and returns its own address.
func startSite(t *testing.T, n *webtest.Node, fxcast, sessions string) *url.URL {
	t.Helper()
	folder, err := filepath.Abs("../examples/express")
	if err != nil {
		t.Fatal(err)
	}
	cmd := nodetest.Command(t, folder, filepath.Join(folder, "site.mjs"), "0")
	cmd.Env = append(os.Environ(), "FXCAST_URL="+fxcast, "SESSIONS="+sessions, "FXCAST_ADMIN="+n.Admin.URL, "ADMIN_TOKEN="+webtest.AdminToken,
		"REDIS_URL=redis://"+n.Redis.Addr())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the site did not start: %v", err)
	}
	site, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return site
}
