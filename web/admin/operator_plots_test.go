package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// lived gives a node a past of ten minutes: quotes and clients, and three minutes without a reading.
func lived(t *testing.T, n *webtest.Node) {
	t.Helper()
	source := newSource()
	now := time.Now().Truncate(10 * time.Second)
	for ago := 60; ago >= 0; ago-- {
		source.received.Add(250)
		source.clients.Set(float64(40 + ago))
		families, err := source.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if ago > 20 && ago < 40 {
			continue
		}
		n.Recorder.Record(now.Add(time.Duration(-ago)*10*time.Second), families, math.NaN())
	}
}

const (
	clientsPlot = `[...document.querySelectorAll('.plot')].find((p) => /^Clients/.test(p.textContent))`
	plotted     = `(` + clientsPlot + `?.querySelector('.line')?.getAttribute('d') ?? '').split('M').length > 2` // two parts and more
)

// testOperatorPlots reads the past of a node by pointer, by keys, and as a table, over a reload of the
// page; and that of another node, which then does not answer, and then is gone.
func testOperatorPlots(t *testing.T, browser context.Context) {
	a, b := pair(t)
	lived(t, a)
	p := operate(t, browser, a.Admin.URL)
	p.Wait("a line with a gap", plotted)
	p.Do(chromedp.Reload())
	p.Wait("the same after a reload", plotted)
	box := webtest.Eval[[]float64](p, `(() => {
		const field = `+clientsPlot+`.querySelector('.field');
		field.scrollIntoView({ block: 'center' });
		const { left, top, width } = field.getBoundingClientRect();
		return [left, top, width];
	})()`)
	point := func(x float64) {
		p.Do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			return chromedp.Void{}, target.Call(ctx, input.CommandDispatchMouseEvent, input.DispatchMouseEventParams{
				Type: input.DispatchMouseEventTypeMouseMoved, X: x, Y: box[1] + 40}, nil)
		})
	}
	point(box[0] + 60) // before its first value: the first one is read
	p.Wait("a value and its time", `/^(\d\d \w+, )?\d\d:\d\d:\d\d: 100$/.test(`+clientsPlot+`.querySelector('.readout').textContent)`)
	p.Wait("the same time in all plots", `[...document.querySelectorAll('.plot .readout')].every((r) => r.textContent.startsWith(`+clientsPlot+`.querySelector('.readout').textContent.slice(0, -4)))`)
	p.Wait("a value that is not known", `/: unknown/.test([...document.querySelectorAll('.plot')].at(-1).querySelector('.readout').textContent)`)
	point(box[0] + box[2]/2) // in the half hour before the node had begun, so again the first
	point(10)
	p.Wait("nothing pointed at", `!document.querySelector('.plot.pointed')`)
	webtest.Eval[bool](p, `(`+clientsPlot+`.querySelector('.field').focus(), true)`)
	p.Do(chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.ArrowRight))
	p.Wait("the second value read out", `/: 100$|: 99$/.test(document.activeElement.getAttribute('aria-valuetext')) && document.activeElement.getAttribute('aria-valuenow') === '1'`)
	p.Do(chromedp.KeyEvent(kb.Escape))
	p.Wait("the newest again", `!document.querySelector('.plot.pointed')`)
	p.Wait("a table", `document.querySelectorAll('#history tbody tr').length === 12 && /unknown/.test(document.getElementById('history').textContent)`)

	p.Do(chromedp.Click(chromedp.CSS(`#ranges [data-range="24h"]`)))
	p.Wait("the day", `location.hash === '#range=24h' && document.querySelector('[data-range="24h"]').getAttribute('aria-pressed') === 'true' && `+plotted)
	p.Do(chromedp.Click(chromedp.CSS(`#ranges [data-range="1h"]`)))
	b.Nodes.Handle("past", func(ctx context.Context, _ json.RawMessage) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
	other := fmt.Sprintf(`[...document.querySelectorAll('#nodes a')].find((a) => a.textContent === %q)`, b.Nodes.Name())
	p.Wait("the other node", other)
	webtest.Eval[bool](p, `(`+other+`.click(), true)`)
	p.Wait("that it is unknown, not zero", `/does not answer|cannot answer/.test(document.getElementById('plots-note').textContent) && !document.querySelector('.plot .line')
		&& [...document.querySelectorAll('.plot .readout')].every((r) => r.textContent === 'unknown')`)
	webtest.Eval[bool](p, `(history.back(), true)`)
	p.Wait("this node again", plotted)
	p.CheckClean(regexp.MustCompile(`status of 503`))
}

// testOperatorAccessible looks for findings of axe-core in both themes, with a past, a rejected quote,
// the table of the plots open, and a symbol in full.
func testOperatorAccessible(t *testing.T, browser context.Context) {
	n := webtest.Start(t, nil)
	lived(t, n)
	n.User()
	public := webtest.NewHTTPClient(t, n.Public)
	public.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","bid":"2","ask":"1"}`, webtest.Bearer(webtest.PublishToken))
	p := operate(t, browser, n.Admin.URL)
	p.Wait("plots and lists", plotted+` && document.querySelectorAll('#reasons button').length > 1 && document.querySelectorAll('#connections button').length > 1`)
	webtest.Eval[bool](p, `(document.querySelectorAll('details').forEach((d) => (d.open = true)), location.hash = '#symbol=EUR/USD', true)`)
	p.Wait("a symbol in full", `document.querySelectorAll('#drill-rows td').length > 1`)
	for _, scheme := range []string{"light", "dark"} {
		p.Do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			return chromedp.Void{}, target.Call(ctx, emulation.CommandSetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}, nil)
		})
		for _, finding := range webtest.Axe(p) {
			t.Errorf("%s: %s", scheme, finding)
		}
	}
}
