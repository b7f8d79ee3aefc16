package web_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// misfits are the prices of the page that are not whole on the screen, and those that are in no cell.
// The text of a price must lie within the boxes that clip it.
const misfits = `(() => {
	const bad = [];
	const check = (price, boxes) => {
		const text = document.createRange();
		text.selectNodeContents(price);
		const t = text.getBoundingClientRect();
		for (const b of boxes) {
			if (t.width === 0 || t.left < b.left - .5 || t.right > b.right + .5) bad.push(price.textContent + ' at ' + [t.left, t.right] + ' in ' + [b.left, b.right]);
		}
	};
	const screen = { left: 0, right: innerWidth };
	for (const price of document.querySelectorAll('tr[data-symbol] .price')) {
		const cell = price.closest('[role="cell"], [role="gridcell"]');
		if (!cell?.closest('[role="row"]')?.closest('[role="grid"]')) bad.push(price.textContent + ' is in no cell');
		else check(price, [screen, price.getBoundingClientRect(), cell.getBoundingClientRect()]);
	}
	for (const side of document.querySelectorAll('#t-bid, #t-ask')) check(side, [screen]);
	return bad;
})()`

// testWidths narrows the page down to the smallest telephone: every price stays whole, in a wide font
// and in one as narrow as those of telephones.
func testWidths(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.Wait("every row drawn", `Object.values(`+bids+`).every((bid) => /\d/.test(bid))`)
	for _, font := range []string{"DejaVu Sans", "DejaVu Sans Condensed"} {
		webtest.Eval[string](p, fmt.Sprintf("document.body.style.fontFamily = %q", font))
		for _, width := range []int64{320, 339, 340, 359, 360, 375, 390, 399, 400, 412, 430, 450, 480, 481, 620, 940, 941, 1440} {
			p.Do(chromedp.EmulateViewport(width, 800))
			for _, bad := range webtest.Eval[[]string](p, misfits) {
				t.Errorf("at %d px in %s: %s", width, font, bad)
			}
			if wide := webtest.Eval[int64](p, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("the page is %d px wide on a screen of %d", wide, width)
			}
		}
	}
	p.CheckClean(nil)
}

// testLowScreens holds a telephone sideways, and zooms to 200 %: some prices are in view, and the chart
// does not push them out.
func testLowScreens(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	for _, size := range [][2]int64{{720, 450}, {844, 390}, {640, 360}, {568, 320}, {960, 450}} {
		p.Do(chromedp.EmulateViewport(size[0], size[1]))
		seen := webtest.Eval[int](p, `[...document.querySelectorAll('tr[data-symbol]')].filter((r) => {
			const box = r.getBoundingClientRect();
			return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
		}).length`)
		if seen < 3 {
			t.Errorf("at %d x %d px %d rows are in view, want at least 3", size[0], size[1], seen)
		}
		if wide := webtest.Eval[int64](p, "document.documentElement.scrollWidth"); wide > size[0] {
			t.Errorf("the page is %d px wide on a screen of %d", wide, size[0])
		}
		for _, bad := range webtest.Eval[[]string](p, misfits) {
			t.Errorf("at %d x %d px: %s", size[0], size[1], bad)
		}
	}
	p.CheckClean(nil)
}
