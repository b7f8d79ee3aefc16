package webtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser starts Chromium, with further options, and returns the context that tabs are opened from.
func Browser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("chromium is not installed, and FXCAST_REQUIRE_ALL=1")
		}
		t.Skip("chromium is not installed; the page is not tested")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1440, 900),
	)
	options = append(options, more...)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes the browser, so that its profile can be removed
		cancel()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return ctx
}

// watchful runs before the page's own scripts: it keeps the violations of the
// content security policy, and the sockets the page opens.
const watchful = `
	window.violations = [];
	document.addEventListener('securitypolicyviolation', (e) =>
		violations.push(e.violatedDirective + ' ' + (e.blockedURI || 'inline') + ' ' + e.sourceFile + ':' + e.lineNumber));
	window.sockets = [];
	window.WebSocket = class extends WebSocket {
		constructor(...args) { super(...args); sockets.push(this); }
	};`

// A Tab is the page in a browser profile of its own. What it wrote to the
// console as a warning or an error is kept.
type Tab struct {
	T   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // guarded by mu
}

// OpenTab takes steps in a tab of its own.
func OpenTab(t *testing.T, browser context.Context, steps ...chromedp.Action[chromedp.Void]) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &Tab{T: t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: watchful}); err != nil {
		t.Fatalf("preparing the tab: %v", err)
	}
	p.Do(steps...)
	return p
}

// expected are the answers that the page asks for knowing that they may be
// refusals; the browser logs them all the same.
var expected = regexp.MustCompile(`status of 401 .*/api/v1/session$`)

func (p *Tab) listen(ev any) {
	var problem string
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		problem = "exception: " + ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			problem += " " + e.Description
		}
	case *runtime.EventConsoleAPICalled:
		if kind := string(ev.Type); kind == "error" || kind == "warning" || kind == "assert" {
			problem = "console." + kind
			for _, arg := range ev.Args {
				problem += " " + string(arg.Value) + arg.Description
			}
		}
	case *log.EventEntryAdded:
		if level := string(ev.Entry.Level); level == "error" || level == "warning" {
			problem = strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", ev.Entry.Source, level, ev.Entry.Text, ev.Entry.URL))
		}
	}
	if problem == "" || expected.MatchString(problem) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, problem)
}

// CheckClean fails the test for each problem that allowed, if given, does not match, but for those of a
// busy machine.
func (p *Tab) CheckClean(allowed *regexp.Regexp) {
	p.T.Helper()
	for _, v := range Eval[[]string](p, "violations") {
		p.T.Errorf("content security policy violated: %s", v)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		if !unavailable.MatchString(problem) && (allowed == nil || !allowed.MatchString(problem)) {
			p.T.Errorf("in the console: %s", problem)
		}
	}
}

// unavailable is an answer that a busy machine may get: Redis took too long. The page asks again.
var unavailable = regexp.MustCompile(`^network error: .* status of 503 `)

// Do takes steps in the tab.
func (p *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageDeadline)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.T.Fatal(err)
	}
}

// Eval returns the value of a JavaScript expression; a promise is awaited.
func Eval[T any](p *Tab, expression string) T {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageDeadline)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.T.Fatalf("%s: %v", expression, err)
	}
	return v
}

// pageDeadline is longer than a page waits after a 429 for the next minute.
const pageDeadline = 2 * time.Minute

// Wait polls a JavaScript condition until it holds.
func (p *Tab) Wait(what, condition string) {
	p.T.Helper()
	for end := time.Now().Add(pageDeadline); ; time.Sleep(50 * time.Millisecond) {
		if Eval[bool](p, "Boolean("+condition+")") {
			return
		}
		if time.Now().After(end) {
			p.T.Fatalf("%s: not within %v; state %q, title %q", what, pageDeadline,
				Eval[string](p, "document.documentElement.dataset.state ?? ''"), Eval[string](p, "document.title"))
		}
	}
}
