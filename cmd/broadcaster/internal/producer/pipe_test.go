package producer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

// pipeIn runs `feed pipe` with an input.
func pipeIn(ctx context.Context, t *testing.T, client *redis.Client, in io.Reader) (code int, stdout, stderr string) {
	t.Helper()
	out, err := openOn(t, client)(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	code = newPipe(newJob("read", cli.Call{Stdout: &o, Stderr: &e}), out, in, feed.InputOptions{Base: "EUR", Source: "pipe"}).run(ctx)
	out.close()
	return code, o.String(), e.String()
}

func TestPipe(t *testing.T) {
	t.Parallel()
	const good = `{"symbol":"EUR/USD","bid":"1.1","ask":"1.2"}`
	for _, tc := range []struct {
		about, in string
		code      int
		total     string
	}{
		{"two quotes", good + "\n" + good + "\n", cli.OK, "read 2, accepted 2, rejected 0, bad lines 0 in "},
		{"blank lines, a mark and carriage returns", "\ufeff" + good + "\r\n\r\n\n" + good + "\r\n", cli.OK, "read 2, accepted 2, "},
		{"an array", "[" + good + "," + good + "]\n", cli.OK, "read 2, accepted 2, "},
		{"a whole last line without its end", good + "\n" + good, cli.OK, "read 2, accepted 2, "},
		{"an end inside a line", good + "\n" + good[:30], cli.Failed, "read 1, accepted 1, rejected 0, bad lines 1 in "},
		{"garbage between", good + "\ngarbage\n" + good + "\n", cli.Failed, "read 3, accepted 2, rejected 1 (bad_json 1), "},
		{"crossed", `{"symbol":"EUR/USD","bid":"2","ask":"1"}` + "\n" + good + "\n", cli.Failed, "read 2, accepted 1, rejected 1 (crossed 1), "},
		{"in the future", `{"symbol":"EUR/USD","bid":"1","ask":"2","ts":"2199-01-01T00:00:00Z"}` + "\n" + good + "\n", cli.Failed, "read 2, accepted 1, rejected 1 (future 1), "},
		{"a line without end", strings.Repeat("x", 5<<20) + "\n" + good + "\n", cli.Failed, "read 2, accepted 1, rejected 1 (too_long 1), "},
		{"nothing accepted", "\n\n", cli.Failed, "read 0, accepted 0, "},
		{"empty", "", cli.Misuse, "read 0, accepted 0, "},
	} {
		t.Run(tc.about, func(t *testing.T) {
			t.Parallel()
			client := redistest.Start(t).Client()
			code, stdout, stderr := pipeIn(t.Context(), t, client, strings.NewReader(tc.in))
			if code != tc.code || !strings.HasPrefix(stdout, tc.total) {
				t.Errorf("exit code %d, %s%s; want %d and %s", code, stdout, stderr, tc.code, tc.total)
			}
			refused := number(t, stdout, "rejected") + number(t, stdout, "bad lines")
			if (refused > 0) != strings.Contains(stderr, "rejected: ") && !strings.Contains(stderr, "not taken: line 2: bad_line") {
				t.Errorf("%d refused, reported: %s", refused, stderr)
			}
			keys := feed.Keys{Prefix: "fx:"}
			listed, err := accept.NewRejectedLog(accept.RejectedConfig{Redis: client, Keys: keys}).Last(t.Context(), 10)
			if err != nil || len(listed) != refused || refused > 0 && listed[0].Via != accept.ViaPipe {
				t.Errorf("listed %+v, %v; want %d", listed, err, refused)
			}
			if strings.Contains(tc.in, good) {
				if a := programtest.Last(t, client, "EUR/USD"); a.Source != "pipe" || a.Seq != uint64(number(t, stdout, "accepted")) {
					t.Errorf("last value %+v, want that of the last quote", a)
				}
			}
		})
	}
}

// endless is an input that never ends.
type endless struct {
	line string
	read atomic.Int64 // lines
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n+len(e.line) <= len(p) {
		n += copy(p[n:], e.line)
		e.read.Add(1)
	}
	return n, nil
}

// TestPipeWaits has a Redis that does not answer: reading stops, and an interrupt ends it.
func TestPipeWaits(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	in := &endless{line: `{"symbol":"EUR/USD","bid":"1.1","ask":"1.2"}` + "\n"}
	ended := make(chan string)
	go func() {
		code, stdout, stderr := pipeIn(ctx, t, client, in)
		ended <- fmt.Sprintf("%d %s%s", code, stdout, stderr)
	}()
	programtest.Eventually(t, "the queue is full", func() bool { return in.read.Load() > outboxSize })
	ahead := in.read.Load()
	cancel()
	server.Resume() // reading may go on until the interrupt is noticed
	if got := <-ended; !strings.HasPrefix(got, fmt.Sprint(cli.Interrupted, " read ")) {
		t.Errorf("%s, want exit code %d", got, cli.Interrupted)
	}
	if ahead > 2*outboxSize { // the queue, batches on their way, and buffers of 64 KiB
		t.Errorf("%d lines were read ahead", ahead)
	}
}
