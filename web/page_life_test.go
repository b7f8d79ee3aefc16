package web_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// asForVisitors gives background tabs and pages that are left the treatment that visitors' browsers
// give them, which chromedp turns off.
var asForVisitors = []chromedp.ExecAllocatorOption{
	chromedp.Flag("disable-background-timer-throttling", false),
	chromedp.Flag("disable-backgrounding-occluded-windows", false),
	chromedp.Flag("disable-renderer-backgrounding", false),
}

const openSockets = "sockets.filter((s) => s.readyState <= WebSocket.OPEN).length"

// TestPageLife does to the page what browsers do to pages.
func TestPageLife(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t, asForVisitors...)
	server := webtest.StartProgram(t)
	for name, test := range map[string]func(*testing.T, context.Context, string){
		"left and returned to": testBackForwardCache,
		"frozen":               testFrozen,
		"several tabs":         testSeveralTabs,
	} {
		t.Run(name, func(t *testing.T) { test(t, browser, server.URL) })
	}
}

// waitMoving waits until quotes arrive, and checks that the page has one socket and has missed no
// tick. A hidden tab draws no prices, but it counts them.
func waitMoving(p *webtest.Tab) {
	p.T.Helper()
	const count = "document.getElementById('d-updates').textContent"
	p.Wait("the page live with one socket", "document.documentElement.dataset.state === 'live' && "+openSockets+" === 1")
	webtest.Eval[bool](p, "Boolean(window.counted = "+count+")")
	p.Wait("more quotes", count+" !== counted")
	if gaps := webtest.Eval[string](p, "document.getElementById('d-gaps').textContent"); gaps != "0" {
		p.T.Errorf("the page counts %s gaps", gaps)
	}
}

// testBackForwardCache leaves the page, which the browser keeps, and returns to it. A page with an
// open socket is not kept.
func testBackForwardCache(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	webtest.Eval[bool](p, "Boolean(addEventListener('pageshow', (event) => { window.kept = event.persisted; }) || true)")
	p.Do(chromedp.Navigate(url + "/livez"))
	webtest.Eval[bool](p, "Boolean(history.back() || true)") // NavigateBack waits for a load, and there is none
	p.Wait("the page that was kept", "window.kept")
	waitMoving(p)
	if n := webtest.Eval[int](p, "sockets.length"); n != 2 {
		t.Errorf("the page has opened %d sockets, want 2", n)
	}
	p.CheckClean(regexp.MustCompile("favicon.ico$")) // of the other page
}

// lifecycle freezes a page, as browsers do with tabs that were hidden for long and as sleep does with
// all, or wakes it.
func lifecycle(state page.SetWebLifecycleStateState) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		return chromedp.Void{}, target.Call(ctx, page.CommandSetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}, nil)
	}
}

func testFrozen(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	p.Do(lifecycle(page.SetWebLifecycleStateStateFrozen))
	time.Sleep(5 * time.Second) // longer than three heartbeats: this is what the page sleeps through
	p.Do(lifecycle(page.SetWebLifecycleStateStateActive))
	waitMoving(p)
	p.CheckClean(regexp.MustCompile("Page entered Back-Forward Cache")) // the browser has closed the socket
}

// testSeveralTabs opens the page three times with one session: each tab has its own socket, also one
// that is hidden.
func testSeveralTabs(t *testing.T, browser context.Context, url string) {
	p := openPage(t, browser, url)
	webtest.Eval[bool](p, "Boolean(window.others = [open('/'), open('/')])")
	const live = `others.every((w) => w.document.documentElement?.dataset.state === 'live' && /^[1-9]/.test(w.document.getElementById('d-updates')?.textContent))`
	p.Wait("all tabs live", live)
	waitMoving(p)
	const ids = "others.map((w) => w.document.getElementById('d-conn').textContent)"
	p.Wait("their connections on the pages", ids+".every((id) => id.length > 1)")
	webtest.Eval[bool](p, "Boolean(window.ids = "+ids+")")
	// The session that one of them ends is the session of all.
	webtest.Eval[bool](p, "Boolean(document.getElementById('sign-out').click() || true)")
	p.Wait("this tab signed out", "document.documentElement.dataset.state === 'stopped'")
	p.Wait("the others with new guest sessions", live+" && "+ids+".every((id, n) => id.length > 1 && id !== window.ids[n])")
	if n := webtest.Eval[int](p, openSockets); n != 0 {
		t.Errorf("the tab that has signed out has %d sockets", n)
	}
}

// offline sets what the browser believes of the network.
func offline(is bool) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		return chromedp.Void{}, target.Call(ctx, network.CommandOverrideNetworkState, network.OverrideNetworkStateParams{Offline: is, DownloadThroughput: -1, UploadThroughput: -1}, nil)
	}
}

// TestPageOffline loses the network, and with it the server. The page says so, and connects as soon
// as the network is back.
func TestPageOffline(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t, asForVisitors...)
	server := webtest.StartProgram(t)
	p := openPage(t, browser, server.URL)
	p.Do(offline(true))
	server.Stop()
	p.Wait("offline on the page", `document.documentElement.dataset.state === 'offline' && !navigator.onLine`)
	server.Restart()
	p.Do(offline(false))
	waitMoving(p)
	p.CheckClean(regexp.MustCompile(`^(network|javascript) error: (Failed to load resource|WebSocket connection)`))
}
