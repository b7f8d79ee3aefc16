package web_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// testAccessible has axe-core look at the page in its sizes and themes, and reads a price as a screen
// reader does.
func testAccessible(t *testing.T, browser context.Context, url string) {
	for _, scheme := range []string{"light", "dark"} {
		p := openPage(t, browser, url, prefer(scheme))
		p.Do(chromedp.Click(chromedp.CSS("#diagnostics summary")))
		for _, width := range []int64{320, 390, 1440} {
			p.Do(chromedp.EmulateViewport(width, 900))
			for _, finding := range webtest.Axe(p) {
				t.Errorf("%s, %d px: %s", scheme, width, finding)
			}
		}
		p.Wait("prices read as one number and its direction", `[...document.querySelectorAll('tr[data-symbol] .price')].some((price) => {
			const { ariaLabel } = price.closest('[role="gridcell"]');
			return ariaLabel === price.textContent + ', up' || ariaLabel === price.textContent + ', down';
		})`)
		p.Do(chromedp.Click(chromedp.ID("alert")))
		findings := webtest.Axe(p)
		p.Do(chromedp.KeyEvent(kb.Escape), chromedp.Click(chromedp.ID("sign-out")))
		p.Wait("the notice instead of the prices", `!document.getElementById('gate').hidden`)
		for _, finding := range append(findings, webtest.Axe(p)...) {
			t.Errorf("%s, the dialog or the notice: %s", scheme, finding)
		}
		p.CheckClean(nil)
	}
}
