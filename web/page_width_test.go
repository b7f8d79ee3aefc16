package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// cutOff are the texts of rows that are not whole in their boxes, but for those that end in dots.
const cutOff = `(() => {
	const bad = [];
	for (const tr of document.querySelectorAll('tr[data-symbol]')) {
		for (const cell of tr.cells) {
			if (!cell.offsetParent || cell.textContent === '' || cell.classList.contains('c-pin')) continue;
			const box = cell.querySelector('div') ?? cell;
			const text = document.createRange();
			text.selectNodeContents(box);
			const t = text.getBoundingClientRect(), c = cell.getBoundingClientRect();
			const dots = getComputedStyle(box).textOverflow === 'ellipsis' && /long(est)?$/.test(box.className.replace(' lit', '')) && cell.textContent.length > 9;
			if (!dots && (t.left < c.left - .5 || t.right > c.right + .5 || t.right > innerWidth + .5)) bad.push(tr.dataset.symbol + ' ' + cell.className + ' ' + cell.textContent + ' at ' + [t.left, t.right] + ' in ' + [c.left, c.right]);
		}
	}
	for (const side of document.querySelectorAll('#t-bid, #t-ask')) {
		const text = document.createRange();
		text.selectNodeContents(side);
		const t = text.getBoundingClientRect();
		if (t.left < 0 || t.right > innerWidth + .5) bad.push('the chosen ' + side.textContent + ' at ' + [t.left, t.right]);
	}
	return bad;
})()`

// TestPageLongNames shows 200 symbols with names and prices of all lengths: none is cut off, so that it
// would read as another one. What does not fit at all ends in dots.
func TestPageLongNames(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	prices := [][2]string{{"1.08501", "1.08513"}, {"151.201", "151.215"}, {"0.00001234", "0.00001236"}, {"67432.12", "67532.12"}, {"1234567.89", "1234568.90"},
		{"0.000000001234", "0.000000001240"}, {"12345.12345", "12345.12399"}, {"2412.39", "2412.69"}, {"100", "101"}, {"1234567890123456789012.345678901234", "1234567890123456789012.345678901239"}}
	instruments, quotes := map[string]any{}, []map[string]string{}
	for i := range 200 {
		symbol := fmt.Sprintf("%03dABCDEFG", i)[:3+i%8] + "/" + [...]string{"JPY", "USD", "ABCDEFGHIJ"}[i%3]
		instruments[symbol] = struct{}{}
		price := prices[i%len(prices)]
		quotes = append(quotes, map[string]string{"symbol": symbol, "bid": price[0], "ask": price[1]})
	}
	server := webtest.StartProgram(t, "INSTRUMENTS="+encoded(t, instruments), "PUBLISH_TOKEN="+webtest.PublishToken, "GATE_MAX_SPREAD=0")
	for some := range slices.Chunk(quotes, 50) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/api/v1/quotes", strings.NewReader(encoded(t, some)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = webtest.Bearer(webtest.PublishToken)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != 200 && a.StatusCode != 202 {
			t.Fatalf("publishing answered %d", a.StatusCode)
		}
	}
	p := openPage(t, browser, server.URL)
	p.Wait("all rows", "document.querySelectorAll('tr[data-symbol]').length >= 228")
	p.Do(chromedp.EmulateViewport(1440, 8000)) // draws every row
	p.Wait("every row drawn", `Object.values(`+bids+`).every((bid) => bid !== '')`)
	p.Wait("old prices, with their age", `document.querySelector('tr[data-status="stale"]')`)
	for _, symbol := range []string{"005ABCDE/ABCDEFGHIJ", "009A/JPY"} { // with 15 and 35 characters of price
		webtest.Eval[bool](p, fmt.Sprintf(`Boolean(document.querySelector('tr[data-symbol=%q]').click() || true)`, symbol))
		p.Wait("the chosen symbol", fmt.Sprintf(`document.getElementById('t-symbol').textContent === %q`, symbol))
		for _, font := range []string{"DejaVu Sans", "DejaVu Sans Condensed"} {
			webtest.Eval[string](p, fmt.Sprintf("document.body.style.fontFamily = %q", font))
			for _, width := range []int64{320, 390, 941, 1440} {
				p.Do(chromedp.EmulateViewport(width, 8000))
				for _, bad := range webtest.Eval[[]string](p, cutOff) {
					t.Errorf("at %d px in %s: %s", width, font, bad)
				}
				if wide := webtest.Eval[int64](p, "document.documentElement.scrollWidth"); wide > width {
					t.Errorf("the page is %d px wide on a screen of %d", wide, width)
				}
			}
		}
	}
	p.CheckClean(nil)
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
