package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// ticks are lines of HistData's form, each with a time of its own, 10 ms apart.
func ticks(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "20200101 17%02d%02d%03d,1.%05d,1.%05d,0\n", i/6000, i/100%60, i%100*10, 12000+i%50, 12002+i%50)
	}
	return b.String()
}

// replayFile writes a file into a folder of its own.
func replayFile(t *testing.T, name, content string) string {
	path := filepath.Join(t.TempDir(), name)
	programtest.WriteFile(t, path, content)
	return path
}

// fifo makes one.
func fifo(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replayOf returns a command that replays with a Redis.
func replayOf(ctx context.Context, t *testing.T, r *redistest.Server, stdin io.Reader, args ...string) (cmd *exec.Cmd, stdout, stderr *programtest.Buffer) {
	t.Helper()
	cmd = program(ctx, t, []string{"REDIS_URL=" + r.URL(), "GATE_MAX_JUMP=0", "GATE_MAX_SPREAD=0"}, append([]string{"feed", "replay"}, args...)...)
	cmd.SysProcAttr = redistest.ProcAttr()
	stdout, stderr = &programtest.Buffer{}, &programtest.Buffer{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = time.Second // for what copies a pipe that stays open
	return cmd, stdout, stderr
}

// replayed runs a replay to its end.
func replayed(t *testing.T, r *redistest.Server, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd, out, errs := replayOf(ctx, t, r, stdin, args...)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func wasAccepted(t *testing.T, r *redistest.Server, symbol feed.Symbol) int {
	t.Helper()
	n, _ := r.Client().HGet(t.Context(), feed.Keys{Prefix: "fx:"}.Seq(symbol), "seq").Int()
	return n
}

// TestReplayPipes: what comes through a pipe is read once, from its beginning to its
// end, whatever the pipe is called.
func TestReplayPipes(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	const n = 5000 // more than a pipe and every buffer holds
	content := ticks(n)
	want := fmt.Sprintf("read %d, accepted %d, rejected 0, bad lines 0 in ", n, n)
	check := func(t *testing.T, stdin io.Reader, args ...string) {
		t.Helper()
		code, stdout, stderr := replayed(t, r, stdin, append(args, "--speed", "max")...)
		if code != 0 || !strings.HasPrefix(stdout, want) {
			t.Errorf("%q: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
	for _, name := range []string{"-", "/dev/stdin", "/dev/fd/0"} {
		check(t, strings.NewReader(content), name, "--symbol", "EUR/USD")
	}
	file, err := os.Open(replayFile(t, "x", content))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	check(t, file, "-", "--symbol", "eurusd")

	path := fifo(t, "EURUSD.fifo")
	go func() {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = io.WriteString(w, content)
			err = errors.Join(err, w.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}()
	check(t, nil, path)
	if got := wasAccepted(t, r, "EUR/USD"); got != 5*n {
		t.Errorf("%d accepted in all, want %d", got, 5*n)
	}
	code, _, stderr := replayed(t, r, strings.NewReader(content), "-")
	if code != 2 || !strings.Contains(stderr, "--symbol") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("without a symbol: exit code %d: %s", code, stderr)
	}
}

// TestReplaySilentPipe: a signal ends a replay that waits for a pipe. What came
// before is published at once, not held back for more.
func TestReplaySilentPipe(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	silent, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer keep.Close()
	nobody, quiet, one, some := fifo(t, "EURUSD.fifo"), fifo(t, "EURUSD.fifo"), fifo(t, "AUDUSD.fifo"), fifo(t, "GBPUSD.fifo")
	for path, content := range map[string]string{quiet: "", one: ticks(1), some: ticks(100)} {
		w, err := os.OpenFile(path, os.O_RDWR, 0) // does not wait for a reader
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		io.WriteString(w, content)
	}
	for _, tt := range []struct {
		name  string
		input string
		stdin io.Reader
		want  string
		sent  int
	}{
		{"nobody writes", nobody, nil, "before the first quote", 0},
		{"a silent writer", quiet, nil, "before the first quote", 0},
		{"silent standard input", "-", silent, "before the first quote", 0},
		{"one tick, then silence", one, nil, "interrupted at 2020-01-01T22:00:00Z", 1},
		{"some ticks, then silence", some, nil, "interrupted at 2020-01-01T22:00:00.99Z", 100},
	} {
		cmd, stdout, stderr := replayOf(t.Context(), t, r, tt.stdin, tt.input, "--speed=max")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if tt.sent > 0 {
			symbol := feed.Symbol(strings.TrimSuffix(filepath.Base(tt.input), "USD.fifo") + "/USD")
			programtest.Eventually(t, "all that came is published", func() bool { return wasAccepted(t, r, symbol) == tt.sent })
		} else {
			programtest.Eventually(t, "it says that it waits", func() bool { return strings.Contains(stderr.String(), "waiting for "+tt.input) })
		}
		start := time.Now()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if took := time.Since(start); took > 5*time.Second { // a second, but for a busy machine
			t.Errorf("%s: it took %v to end", tt.name, took)
		}
		if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), tt.want) || !strings.HasPrefix(stdout.String(), "read ") {
			t.Errorf("%s: exit code %d: %s%s", tt.name, code, stdout, stderr)
		}
	}
}

// TestReplayExitCodes: they say whether all was taken, and the last line how much.
func TestReplayExitCodes(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	good := replayFile(t, "EURUSD.csv", ticks(10))
	crossed := replayFile(t, "GBPUSD.csv", "20200101 170000065,1.2,1.1,0\n20200101 170001065,1.1,1.2,0\n")
	onlyCrossed := replayFile(t, "GBPUSD.csv", "20200101 170000065,1.2,1.1,0\n")
	junk := replayFile(t, "EURUSD.csv", ticks(3)+"junk\n")
	empty := replayFile(t, "EURUSD.csv", "")
	bars := replayFile(t, "EURUSD.csv", "time,open,high,low,close\n2020-01-01T00:00:00Z,1,2,0.5,1.5\n")
	heading := replayFile(t, "EURUSD.csv", "time,bid,ask\n")
	mixed := replayFile(t, "x.csv", "USD/JPY,20130101 17:00:00.065,86.5,86.6\nUSD/QQQ,20130101 17:00:01.065,6.2,6.3\nUSD/JPY,20130101 17:00:02.065,86.5,86.6\n")
	cut := replayFile(t, "EURUSD.csv.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x1d\x00\xe2\xff20200101 170000065,1.1,1.2,0\n")
	missing := filepath.Join(t.TempDir(), "missing")
	for _, tt := range []struct {
		args   []string
		code   int
		total  string // beginning of the last line
		stderr []string
	}{
		{[]string{good}, 0, "read 10, accepted 10, rejected 0, bad lines 0 in ", nil},
		{[]string{good, crossed}, 1, "read 12, accepted 11, rejected 1 (crossed 1), bad lines 0 in ", []string{"crossed"}},
		{[]string{onlyCrossed}, 1, "read 1, accepted 0, rejected 1 (crossed 1), bad lines 0 in ", []string{"crossed"}},
		{[]string{junk}, 1, "read 3, accepted 3, rejected 0, bad lines 1 in ", []string{junk + ":4: "}},
		{[]string{mixed}, 1, "read 2, accepted 2, rejected 0, bad lines 1 in ", []string{mixed + ":2: ", "USD/QQQ"}},
		{[]string{empty, good, missing, bars}, 1, "read 10, accepted 10, rejected 0, bad lines 0, unreadable files 3 in ", []string{empty, missing, bars, "bars"}},
		{[]string{cut, good}, 1, "read 11, accepted 11, rejected 0, bad lines 0, unreadable files 1 in ", []string{cut, "gzip"}},
		{[]string{heading}, 1, "read 0, accepted 0, rejected 0, bad lines 0 in ", nil},
		{[]string{good, "--from", "2021-01-01T00:00:00Z"}, 1, "read 0, accepted 0, rejected 0, bad lines 0, before --from 10 in ", nil},
		{[]string{empty}, 2, "read 0, accepted 0, rejected 0, bad lines 0, unreadable files 1 in ", []string{empty}},
		{[]string{empty, missing, bars}, 2, "read 0, accepted 0, rejected 0, bad lines 0, unreadable files 3 in ", []string{empty, missing, bars}},
	} {
		code, stdout, stderr := replayed(t, r, nil, append(tt.args, "--speed=max")...)
		if code != tt.code || !strings.HasPrefix(stdout, tt.total) {
			t.Errorf("%q: exit code %d, want %d and %q: %s%s", tt.args, code, tt.code, tt.total, stdout, stderr)
		}
		for _, want := range tt.stderr {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q: nothing says %q: %s", tt.args, want, stderr)
			}
		}
	}
}

// TestReplayGoesOn interrupts a replay and goes on where it says.
func TestReplayGoesOn(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	const n = 3000 // 30 s of ticks
	file := replayFile(t, "EURUSD.csv", ticks(n))
	cmd, stdout, stderr := replayOf(t.Context(), t, r, nil, file, "--speed", "2")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "it is under way", func() bool { return wasAccepted(t, r, "EUR/USD") > 50 })
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	first := wasAccepted(t, r, "EUR/USD")
	m := regexp.MustCompile(`continue with --from (\S+)`).FindStringSubmatch(stderr.String())
	if code := cmd.ProcessState.ExitCode(); code != 130 || m == nil || first >= n ||
		!strings.HasPrefix(stdout.String(), fmt.Sprintf("read %d, accepted %d, ", first, first)) {
		t.Fatalf("exit code %d after %d: %s%s", code, first, stdout, stderr)
	}
	code, out, errs := replayed(t, r, nil, file, "--speed=max", "--from", m[1])
	if want := fmt.Sprintf("read %d, accepted %d, rejected 0, bad lines 0, before --from %d in ", n-first, n-first, first); code != 0 || !strings.HasPrefix(out, want) {
		t.Errorf("exit code %d: %s%s, want %q", code, out, errs, want)
	}
	if got := wasAccepted(t, r, "EUR/USD"); got != n {
		t.Errorf("%d accepted in all, want %d", got, n)
	}
}

// endless is a line without an end.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	copy(p, bytes.Repeat([]byte{'1'}, n))
	e.left -= n
	return n, nil
}

// TestReplayHugeLine: a gigabyte without the end of a line neither fills the memory
// nor is read to its end.
func TestReplayHugeLine(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for before, want := range map[string]int{"": 2, ticks(3): 1} {
		in := &endless{1_000_000_000}
		cmd, stdout, stderr := replayOf(ctx, t, r, io.MultiReader(strings.NewReader(before), in), "-", "--symbol=EUR/USD", "--speed=max")
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != want || stderr.String() == "" || in.left < 900_000_000 {
			t.Errorf("after %q: exit code %d, want %d, with %d bytes unread: %s%s", before, code, want, in.left, stdout, stderr)
		}
	}
}

// TestReplayListsRejected: what a replay refuses is in the list of every node.
func TestReplayListsRejected(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := startNode(t, r)
	file := replayFile(t, "x.csv", "EUR/USD,20130101 17:00:00.065,1.1,1.2\nEUR/USD,20130101 17:00:01.065,1.3,1.2\n"+
		"EUR/QQQ,20130101 17:00:02.065,1.1,1.2\nEUR/USD,20130101 17:00:03.065\n")
	if code, stdout, stderr := replayed(t, r, nil, file, "--speed=max", "--source=File 1"); code != 1 {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	type entry struct{ Reason, Message, Symbol, Source, Via, Input string }
	var list []entry
	n.do("GET", n.admin+"/api/v1/feed/rejected", "", bearer(adminToken)).into(t, 200, &list)
	byReason := map[string]entry{}
	for _, e := range list {
		if byReason[e.Reason] = e; e.Via != "replay" || e.Source != "file_1" {
			t.Errorf("%+v: want source file_1, via replay", e)
		}
	}
	crossed, unknown, short := byReason["crossed"], byReason["unknown_symbol"], byReason["bad_line"]
	if crossed.Symbol != "EUR/USD" || crossed.Input != `{"symbol":"EUR/USD","bid":"1.3","ask":"1.2","ts":"2013-01-01T17:00:01.065000Z"}` {
		t.Errorf("crossed: %+v", crossed)
	}
	if !strings.HasPrefix(unknown.Input, "EUR/QQQ,2013") || !strings.Contains(unknown.Message, "x.csv, line 3: ") {
		t.Errorf("unknown: %+v", unknown)
	}
	if short.Input != "EUR/USD,20130101 17:00:03.065" || !strings.Contains(short.Message, "line 4: ") {
		t.Errorf("short: %+v", short)
	}
	if len(list) != 3 {
		t.Errorf("%d entries, want 3: %+v", len(list), list)
	}
}
