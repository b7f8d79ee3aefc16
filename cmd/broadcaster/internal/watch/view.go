package watch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

// A view shows quotes. Its methods are safe for concurrent use.
type view interface {
	quote(client.Quote) error // an error ends the program: nobody reads any more
	state(client.State)
	status(client.Status)
	trouble(error)
	slow() bool // it shows a few quotes per second only
	end()
}

func newView(call cli.Call, r request) view {
	f, ok := call.Stdout.(*os.File)
	if ok && !r.json && !r.everyTick && !slices.Contains(call.Environ, "TERM=dumb") && term.IsTerminal(int(f.Fd())) {
		return newScreen(f, r.url, func() (int, int) {
			width, height, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80, 24
			}
			return width, height
		})
	}
	return &lines{w: call.Stdout, troubles: call.Stderr, json: r.json}
}

// lines prints one line per quote, and what is wrong on standard error.
type lines struct {
	w, troubles io.Writer
	json        bool
	buf         []byte // of quote, which one goroutine calls

	mu       sync.Mutex // guards what follows, and troubles
	troubled bool       // something wrong was printed, and not yet that it is over
}

func (l *lines) quote(q client.Quote) error {
	if l.json {
		l.buf = append(q.Append(l.buf[:0]), '\n')
	} else {
		l.buf = fmt.Appendf(l.buf[:0], "%s  %-7s  %s  %s  %s\n", q.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), cli.Printable(q.Symbol), q.Bid, q.Ask, remark(q))
		l.buf = append([]byte(strings.TrimRight(string(l.buf), " \n")), '\n')
	}
	_, err := l.w.Write(l.buf)
	return err
}

// remark has what is special about a quote.
func remark(q client.Quote) string {
	var words []string
	if q.Status != "" {
		words = append(words, cli.Printable(q.Status))
	}
	if q.Gap {
		words = append(words, "jumped")
	}
	if q.Skipped > 0 {
		words = append(words, fmt.Sprintf("skipped %d", q.Skipped))
	}
	return strings.Join(words, ", ")
}

func (l *lines) state(s client.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s == client.Degraded:
		l.print("degraded: the server has lost its Redis")
	case s == client.Live && l.troubled:
		l.print("live again")
		l.troubled = false
	}
}

// print prints what is wrong. The caller holds mu.
func (l *lines) print(text string) {
	l.troubled = true
	fmt.Fprintln(l.troubles, "broadcaster: watch: "+text)
}

func (l *lines) status(client.Status) {} // quotes carry it

func (l *lines) trouble(err error) {
	if _, final := errors.AsType[*client.RefusedError](err); final {
		return // the command ends with it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.print(troubleText(err))
}

func (l *lines) slow() bool { return false }

func (l *lines) end() {}

func troubleText(err error) string {
	return cli.Printable(strings.TrimPrefix(err.Error(), "client: "))
}
