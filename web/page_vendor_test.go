package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/vendortest"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// shownPrice is a promise of the time at which the page shows one of these prices of EUR/USD.
const shownPrice = `new Promise((resolve) => {
	const look = () => {
		const price = document.querySelector('tr[data-symbol="EUR/USD"] .price')?.textContent;
		if (!/^1\.1(1993|2000)$/.test(price)) return false;
		resolve(Date.now());
		return true;
	};
	if (!look()) {
		const observer = new MutationObserver(() => { if (look()) observer.disconnect(); });
		observer.observe(document, { subtree: true, childList: true, characterData: true });
	}
})`

// TestFirstPriceOfVendor has a visitor's page open without any price. One command with the key of a
// vendor brings prices to it.
func TestFirstPriceOfVendor(t *testing.T) {
	t.Parallel()
	browser := webtest.Browser(t)
	redis, vendor := redistest.Start(t), vendortest.Start(t, "oanda")
	server := webtest.StartProgram(t, "REDIS_URL="+redis.URL(), "GUEST_SESSIONS=true")
	redistest.Eventually(t, "the node is ready", func() bool {
		resp, err := http.Get(server.URL + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	p := webtest.OpenTab(t, browser, chromedp.Navigate(server.URL+"/"))
	p.Wait("the page is connected", "sockets.some((s) => s.readyState === WebSocket.OPEN)")
	if text := webtest.Eval[string](p, "document.querySelector('tr[data-symbol=\"EUR/USD\"] .price')?.textContent ?? ''"); text != "" && text != "–" {
		t.Fatalf("EUR/USD is at %q before any price came", text)
	}

	key := filepath.Join(t.TempDir(), "oanda.key")
	if err := os.WriteFile(key, []byte(vendortest.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	connect := server.Command([]string{"REDIS_URL=" + redis.URL()}, "feed", "connect", "oanda",
		"--account", vendortest.Account, "--key-file", key, "--symbols", "EUR/USD", "--url", vendor.URL)
	began := time.Now()
	if err := connect.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connect.Process.Kill(); connect.Wait() })
	shown := time.UnixMilli(webtest.Eval[int64](p, shownPrice)) // within its deadline, on a busy machine too
	t.Logf("the first price is on the page %v after the command", shown.Sub(began).Round(time.Millisecond))
	p.Wait("live prices", "document.documentElement.dataset.state === 'live'")
	p.CheckClean(nil)
}
