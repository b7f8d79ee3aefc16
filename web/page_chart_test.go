package web_test

import (
	"context"
	"regexp"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// manyCandles answers requests for candles: 1000 of one minute up to now, as the server gives them.
const manyCandles = `Boolean((() => {
	const send = window.fetch;
	window.asked = [];
	const first = Math.floor(Date.now() / 60000) - 999;
	window.fetch = async (url, options) => {
		const { pathname, searchParams } = new URL(url, location);
		if (!pathname.endsWith('/candles')) return send(url, options);
		const before = searchParams.get('before');
		asked.push(before ?? 'newest');
		const end = before ? Date.parse(before) / 60000 : first + 1000;
		const list = [];
		for (let t = Math.max(first, end - Number(searchParams.get('limit'))); t < end; t++) {
			const price = (x) => (1.1 + ((t * 7 + x) % 50) / 1e5).toFixed(5);
			list.push({ t: new Date(t * 60000).toISOString(), bid: [price(5), price(49), price(0), price(9)], ask: [price(7), price(49), price(2), price(11)], ticks: 3, complete: true });
		}
		return Response.json(list);
	};
	return true;
})())`

// testCandles opens a chart of minutes: it is full at once, loads older candles as the visitor scrolls
// back, and no more when there are none.
func testCandles(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	webtest.Eval[bool](p, manyCandles)
	p.Do(chromedp.Click(chromedp.CSS(`#interval input[value="1m"]`)))
	up := `(() => {
		const [r, g, b] = ` + rgbOf("--up") + `;
		const { width, height } = document.querySelector('#chart canvas');
		const { data } = document.querySelector('#chart canvas').getContext('2d').getImageData(0, 0, Math.floor(width / 4), height);
		let n = 0;
		for (let i = 0; i < data.length; i += 4) if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12) n++;
		return n;
	})()`
	p.Wait("candles up to the left edge", "asked.join() === 'newest' && "+up+" > 50")
	box := webtest.Eval[[]float64](p, `(() => { const b = document.getElementById('chart').getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()`)
	for range 40 {
		p.Do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			return chromedp.Void{}, target.Call(ctx, input.CommandDispatchMouseEvent, input.DispatchMouseEventParams{
				Type: input.DispatchMouseEventTypeMouseWheel, X: box[0], Y: box[1], DeltaX: -600, DeltaY: .01}, nil)
		})
	}
	p.Wait("older candles asked for, and no more than there are", `asked.length >= 2 && asked.length <= 3 && asked[1] < new Date(Date.now() - 499 * 60000).toISOString()`)
	p.CheckClean(regexp.MustCompile("willReadFrequently")) // about this test's own reading of pixels
}

// testGaps checks that a time without data takes places of its own, and which times those are.
func testGaps(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	for _, c := range []struct{ call, want string }{
		{"withGaps([{time:1},{time:2},{time:12}], 10, 14).points.length", "3"},
		{"JSON.stringify(withGaps([{time:1},{time:25}], 10, 2))", `{"points":[{"time":1},{"time":9},{"time":17},{"time":25}],"gaps":[{"from":1,"to":25}]}`},
		{"withGaps([{time:0},{time:60},{time:300}], 60, 1).points.map((p) => p.time).join()", "0,60,120,180,240,300"},
		{"withGaps([{time:0},{time:172800}], 60, 1).points.length", "18"},
		{"withGaps([], 60, 1).gaps.length", "0"},
	} {
		if got := webtest.Eval[string](p, "import('/gaps.js').then(({ withGaps }) => String("+c.call+"))"); got != c.want {
			t.Errorf("%s = %s, want %s", c.call, got, c.want)
		}
	}
	p.Wait("a history", `Number(document.getElementById('d-updates').textContent.replace(/\D/g, '')) > 100`)
	p.Do(chromedp.Reload())
	waitLive(p)
	// Ticks before and after a silence, all from before this load, as the history of a symbol gives
	// them: few, since among hundreds the band has no room for its text.
	webtest.Eval[bool](p, `Boolean((() => {
		const send = window.fetch;
		window.fetch = async (url, options) => {
			const answer = await send(url, options);
			if (!String(url).includes('USD/CHF/history')) return answer;
			const list = (await answer.json()).slice(-40);
			list.forEach((q, i) => { q.ts = new Date(performance.timeOrigin - 1000 * (list.length - i) - (i < list.length / 2 ? 60000 : 0)).toISOString(); });
			return Response.json(list);
		};
		const { fillText } = CanvasRenderingContext2D.prototype;
		window.written = new Set();
		CanvasRenderingContext2D.prototype.fillText = function (text, ...at) { written.add(text); return fillText.call(this, text, ...at); };
		document.querySelector('tr[data-symbol="USD/CHF"]').click();
		return true;
	})())`)
	p.Wait("the band of the silence", `[...written].some((text) => /^no data [6-9]\d s$/.test(text))`)
	p.CheckClean(nil)
}
