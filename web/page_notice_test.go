package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestPageNotice opens the page of a server without prices: it shows the notice as text, says how to
// publish, and calls prices simulated only if they are.
func TestPageNotice(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	const notice = `Delayed <b>prices</b> & "tests" only`
	n := webtest.Start(t, func(c *webtest.Config) { c.Notice = notice })
	p := webtest.OpenTab(t, browser, chromedp.Navigate(n.Public.URL+"/"))
	p.Wait("the notice", "document.querySelector('.notice').textContent === "+"`"+notice+"`")
	p.Wait("a hint on the empty table", `document.documentElement.dataset.state === 'live' && /POST \/api\/v1\/quotes/.test(document.getElementById('waiting').textContent) && document.getElementById('waiting').offsetParent`)
	n.Quote(t, "EUR/USD", "1.10001", "1.10003")
	waitLive(p)
	p.Wait("the hint gone", `document.getElementById('waiting').hidden`)
	if !webtest.Eval[bool](p, "document.getElementById('simulated').hidden") {
		t.Error("prices that no simulator made are called simulated")
	}
	p.CheckClean(nil)

	made := webtest.Start(t, func(c *webtest.Config) { c.Simulated = true })
	made.Quote(t, "EUR/USD", "1.10001", "1.10003")
	p = openPage(t, browser, made.Public.URL)
	if !webtest.Eval[bool](p, `document.getElementById('simulated').offsetParent !== null && document.querySelector('.notice') === null`) {
		t.Error("made-up prices are not called simulated, or there is a notice that nobody wrote")
	}
	token, _ := made.SignIn("u", "user")
	if _, welcome := made.Connect(token); !strings.Contains(welcome.Raw, `"simulated":true`) {
		t.Errorf("welcome %s lacks simulated", welcome.Raw)
	}
	p.CheckClean(nil)
}
