package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/simulator"
	"github.com/fxcast/fxcast/feed/tickfile"
	"github.com/fxcast/fxcast/internal/redistest"
)

// openOn returns what opens a publisher on a real server.
func openOn(t *testing.T, client *redis.Client) openFunc {
	return openWithin(t, client, 20*time.Second) // the machine may be busy
}

func openWithin(t *testing.T, client *redis.Client, timeout time.Duration) openFunc {
	return func(context.Context) (*accept.Publisher, func(), error) {
		p := accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: feed.Keys{Prefix: "fx:"}, Timeout: timeout})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Errorf("publisher: %v", err)
			}
		})
		return p, func() { cancel(); wg.Wait() }, nil
	}
}

func noOpen(context.Context) (*accept.Publisher, func(), error) {
	return nil, nil, errors.New("no Redis here")
}

func dataFile(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("FXCAST_DATA")
	if dir == "" {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("FXCAST_DATA is not set")
		}
		t.Skip("FXCAST_DATA is not set: no recorded quotes to replay")
	}
	return filepath.Join(dir, name)
}

// number finds the count after a word in the totals.
func number(t *testing.T, text, word string) int {
	t.Helper()
	m := regexp.MustCompile(`\b` + word + ` (\d+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %q in %q", word, text)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// last returns the last value and the counter of a symbol.
func last(t *testing.T, client *redis.Client, symbol feed.Symbol) feed.Tick {
	t.Helper()
	text, err := client.Get(t.Context(), feed.Keys{Prefix: "fx:"}.Quote(symbol)).Result()
	if err != nil {
		t.Fatalf("last value of %s: %v", symbol, err)
	}
	a, err := feed.DecodeTick([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReplayRecordedDay(t *testing.T) {
	file := dataFile(t, "dukascopy_GBPJPY_2012-12-03_ticks.csv")
	histdata := dataFile(t, "histdata_DAT_ASCII_EURUSD_T_202001_head.csv")
	client := redistest.Start(t).Client()
	var stdout, stderr bytes.Buffer
	code := feedCommand(t.Context(), []string{"replay", file, "--speed", "max", histdata, "--source=test"}, openOn(t, client), &stdout, &stderr)
	if code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, &stdout, &stderr)
	}
	if got := number(t, stdout.String(), "accepted"); got != 58_953+9_500 {
		t.Errorf("%d accepted, want all 68453: %s", got, &stdout)
	}
	for _, want := range []struct {
		file   string
		symbol feed.Symbol
		rows   uint64
	}{{file, "GBP/JPY", 58_953}, {histdata, "EUR/USD", 9_500}} {
		r, err := tickfile.Open(want.file)
		if err != nil {
			t.Fatal(err)
		}
		var end feed.Quote
		for {
			q, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			end = q
		}
		r.Close()
		a := last(t, client, want.symbol)
		if a.Seq != want.rows || a.Bid != end.Bid || a.Ask != end.Ask || a.Source != "test" {
			t.Errorf("last value %+v, want number %d and %s/%s from test", a, want.rows, end.Bid, end.Ask)
		}
		if time.Since(a.Time) > time.Hour {
			t.Errorf("time %v: want that of publishing", a.Time)
		}
	}
	t.Logf("%s", &stdout)
}

const twoTicks = "20200101 170000065,1.1,1.2,0\n20200101 170001065,1.3,1.4,0\n"

// write makes a file and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplayKeepTime(t *testing.T) {
	client := redistest.Start(t).Client()
	file := write(t, "EURUSD.csv", twoTicks+"20200101 170000500,1.5,1.6,0\n20200101 170003000,1.8,1.7,0\n")
	var stdout, stderr bytes.Buffer
	code := feedCommand(t.Context(), []string{"replay", "--keep-time", "--speed=max", file}, openOn(t, client), &stdout, &stderr)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	a := last(t, client, "EUR/USD")
	if want := time.Date(2020, 1, 1, 22, 0, 1, 65e6, time.UTC); !a.Time.Equal(want) || a.Bid != "1.3" || a.Seq != 2 || a.Source != "replay" {
		t.Errorf("last value %+v, want number 2, 1.3, of %v", a, want)
	}
	if want := "read 4, accepted 2, rejected 2 (crossed 1, old 1), bad lines 0 in "; !strings.HasPrefix(stdout.String(), want) {
		t.Errorf("totals %q, want %q", &stdout, want)
	}
	for _, want := range []string{"rejected: EUR/USD: old: ", "rejected: EUR/USD: crossed: "} {
		if strings.Count(stderr.String(), want) != 1 {
			t.Errorf("stderr %q, want %q once", &stderr, want)
		}
	}
}

func TestReplayReportsBadLines(t *testing.T) {
	client := redistest.Start(t).Client()
	content := strings.Replace(twoTicks, "\n", "\n"+strings.Repeat("junk\n", 30), 1)
	file := write(t, "EURUSD.csv", content)
	var stdout, stderr bytes.Buffer
	if code := feedCommand(t.Context(), []string{"replay", "--speed=max", file}, openOn(t, client), &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if n := number(t, stdout.String(), "bad lines"); n != 30 || number(t, stdout.String(), "accepted") != 2 {
		t.Errorf("totals %q, want 30 bad lines and 2 accepted", &stdout)
	}
	if n := strings.Count(stderr.String(), file+":"); n != 20 || !strings.Contains(stderr.String(), file+":2: ") || !strings.Contains(stderr.String(), file+":21: ") {
		t.Errorf("%d bad lines reported, want 20, lines 2 to 21:\n%s", n, &stderr)
	}
	if !strings.Contains(stderr.String(), "only counted") {
		t.Errorf("nothing says that more are only counted:\n%s", &stderr)
	}
}

func TestReplayBrokenFile(t *testing.T) {
	client := redistest.Start(t).Client()
	// A gzip stream that is cut off after some of its content.
	good := write(t, "EURUSD.csv", twoTicks)
	file := write(t, "GBPUSD.csv", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x1d\x00\xe2\xff20200101 170000065,1.1,1.2,0\n")
	var stdout, stderr bytes.Buffer
	code := feedCommand(t.Context(), []string{"replay", "--speed=max", file, good}, openOn(t, client), &stdout, &stderr)
	if code != exitFailed || strings.Count(stderr.String(), file) != 1 || !strings.Contains(stderr.String(), "gzip") {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	if n := number(t, stdout.String(), "accepted"); n != 3 {
		t.Errorf("%d accepted, want the tick before the damage and the other file's 2: %s", n, &stderr)
	}
}

func TestFeedUsage(t *testing.T) {
	file := write(t, "EURUSD.csv", twoTicks)
	plain := write(t, "ticks.csv", twoTicks)
	other := write(t, "notes.csv", "hello\n")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "simulate"},
		{[]string{"simulat"}, `"simulat"`},
		{[]string{"simulate", "--rate", "x"}, "--rate"},
		{[]string{"simulate", "--rate", "0"}, "--rate"},
		{[]string{"simulate", "--rate", "NaN"}, "--rate"},
		{[]string{"simulate", "--seed", "-1"}, "--seed"},
		{[]string{"simulate", "--count", "0"}, "--count"},
		{[]string{"simulate", "--duration", "10"}, "--duration"},
		{[]string{"simulate", "--duration", "-1s"}, "--duration"},
		{[]string{"simulate", "--symbols", "EUR/FOO"}, "--symbols"},
		{[]string{"simulate", "--symbols", "EUR/SEK"}, "--symbols"},
		{[]string{"simulate", "--symbols", ","}, "--symbols"},
		{[]string{"simulate", "--source", "A B"}, "--source"},
		{[]string{"simulate", "--source", ""}, "--source"},
		{[]string{"simulate", "--sped", "1"}, "--sped"},
		{[]string{"simulate", "--rate"}, "--rate"},
		{[]string{"simulate", "EURUSD"}, "EURUSD"},
		{[]string{"replay"}, "FILE"},
		{[]string{"replay", file, "--speed", "fast"}, "--speed"},
		{[]string{"replay", file, "--speed", "0"}, "--speed"},
		{[]string{"replay", file, "--symbol", "EUR"}, "--symbol"},
		{[]string{"replay", file, "--loop", "--keep-time"}, "--loop"},
		{[]string{"replay", file, "/no/such/file"}, "/no/such/file"},
		{[]string{"replay", other}, other},
		{[]string{"replay", plain}, plain},
		{[]string{"replay", plain}, "--symbol"},
		{[]string{"replay", filepath.Dir(file)}, filepath.Dir(file)},
		{[]string{"replay", "--", "--speed"}, "--speed: no such file"},
	} {
		var stdout, stderr bytes.Buffer
		code := feedCommand(t.Context(), tt.args, noOpen, &stdout, &stderr)
		got := stderr.String()
		if code != exitUsage || strings.Count(got, "\n") != 1 || !strings.Contains(got, tt.want) || stdout.Len() > 0 {
			t.Errorf("feed %q: exit code %d, %q%q, want 2 and one line with %q", tt.args, code, &stdout, got, tt.want)
		}
	}
	for _, args := range [][]string{{"--help"}, {"help"}, {"simulate", "--help"}, {"replay", "-h"}} {
		var stdout, stderr bytes.Buffer
		if code := feedCommand(t.Context(), args, noOpen, &stdout, &stderr); code != exitOK || !strings.HasPrefix(stdout.String(), "Usage: broadcaster feed") || stderr.Len() > 0 {
			t.Errorf("feed %q: exit code %d: %s%s", args, code, &stdout, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := feedCommand(t.Context(), []string{"replay", file}, noOpen, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "no Redis here") {
		t.Errorf("without Redis: exit code %d: %s", code, &stderr)
	}
}

func TestSimulateCount(t *testing.T) {
	client := redistest.Start(t).Client()
	run := func() string {
		if err := client.FlushAll(t.Context()).Err(); err != nil { // a server of this test's own
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		args := []string{"simulate", "--symbols", "eurusd, */JPY", "--seed", "5", "--count", "500", "--rate", "5000"}
		if code := feedCommand(t.Context(), args, openOn(t, client), &stdout, &stderr); code != exitOK {
			t.Fatalf("exit code %d: %s", code, &stderr)
		}
		if !strings.HasPrefix(stdout.String(), "made 500, accepted 500, rejected 0 in ") {
			t.Fatalf("totals %q", &stdout)
		}
		symbols, err := client.SMembers(t.Context(), feed.Keys{Prefix: "fx:"}.Symbols()).Result()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(symbols)
		var all []string
		var ticks uint64
		for _, s := range symbols {
			a := last(t, client, feed.Symbol(s))
			if a.Source != "simulator" {
				t.Errorf("source %s", a.Source)
			}
			ticks += a.Seq
			all = append(all, fmt.Sprint(s, a.Seq, a.Bid, a.Ask))
		}
		if len(symbols) != 8 || ticks != 500 {
			t.Errorf("%d ticks of %v, want 500 of EUR/USD and the 7 pairs in JPY", ticks, symbols)
		}
		return strings.Join(all, " ")
	}
	if first, second := run(), run(); first != second {
		t.Errorf("the same seed gave\n%s\nand\n%s", first, second)
	}
}

func TestSimulateEnds(t *testing.T) {
	client := redistest.Start(t).Client()
	var stdout, stderr bytes.Buffer
	if code := feedCommand(t.Context(), []string{"simulate", "--duration", "200ms", "--rate", "1000"}, openOn(t, client), &stdout, &stderr); code != exitOK {
		t.Fatalf("--duration: exit code %d: %s", code, &stderr)
	}
	if n := number(t, stdout.String(), "accepted"); n < 28 {
		t.Errorf("%d accepted in 200 ms", n)
	}

	// Interrupted: totals, and everything made is accounted for.
	ctx, cancel := context.WithCancel(t.Context())
	stdout.Reset()
	done := make(chan int)
	go func() {
		done <- feedCommand(ctx, []string{"simulate", "--rate", "1000", "--symbols", "AUD/NZD"}, openOn(t, client), &stdout, io.Discard)
	}()
	waitFor(t, func() bool {
		n, _ := client.HGet(t.Context(), feed.Keys{Prefix: "fx:"}.Seq("AUD/NZD"), "seq").Int()
		return n > 100
	})
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("interrupted: exit code %d", code)
	}
	if made, accepted := number(t, stdout.String(), "made"), number(t, stdout.String(), "accepted"); made != accepted {
		t.Errorf("interrupted: %s", &stdout)
	}
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !what(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for 10 s")
		}
	}
}

// TestSimulateGetsOverRedisRestart kills the server under the embedded producer.
func TestSimulateGetsOverRedisRestart(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	p, done, err := openWithin(t, client, time.Second)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var mu sync.Mutex
	var log strings.Builder
	logged := func(s string) int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(log.String(), s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		logger := slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
		if err := simulate(ctx, p, simulator.Config{Seed: 1, Rate: 500}, logger); err != nil {
			t.Errorf("simulate: %v", err)
		}
	})
	seq := func() int {
		n, _ := client.HGet(t.Context(), feed.Keys{Prefix: "fx:"}.Seq("EUR/USD"), "seq").Int()
		return n
	}
	waitFor(t, func() bool { return seq() > 20 })
	server.Kill()
	waitFor(t, func() bool { return logged("cannot be published") == 1 })
	server.Restart()
	waitFor(t, func() bool { return logged("published again") == 1 })
	waitFor(t, func() bool { return seq() > 20 })
	cancel()
	wg.Wait()
	if n := logged("cannot be published"); n != 1 {
		t.Errorf("said %d times that Redis is gone", n)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// goneRedis is a publisher whose Redis can be away.
type goneRedis struct {
	mu    sync.Mutex
	gone  error
	taken []feed.Quote
}

func (g *goneRedis) Publish(_ context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	outcomes := make([]accept.Outcome, len(quotes))
	if g.gone != nil {
		return outcomes, g.gone
	}
	g.taken = append(g.taken, quotes...)
	for i := range outcomes {
		outcomes[i] = accept.Outcome{Epoch: "e", Seq: 1, At: 1}
	}
	return outcomes, nil
}

func (g *goneRedis) set(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = err
}

func numbered(symbol feed.Symbol, n int) feed.Quote {
	return feed.Quote{Symbol: symbol, Bid: strconv.Itoa(n), Ask: strconv.Itoa(n)}
}

func TestOutboxDropsOldestOfEachSymbol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &goneRedis{gone: feed.ErrUnavailable}
		var said []string
		box := newOutbox(g, newTally(), outboxEvents{
			lost: func(error) { said = append(said, "lost") },
			back: func(_ time.Duration, dropped uint64) { said = append(said, fmt.Sprint("back ", dropped)) },
		})
		box.drops = true
		const n = 50_000
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			if err := add(ctx, []feed.Quote{numbered("NZD/CHF", 1)}); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Second) // until the box knows that Redis is gone
			for i := range n {
				if err := add(ctx, []feed.Quote{numbered("EUR/USD", i+1)}); err != nil {
					t.Error(err)
				}
				if i == 10 {
					_ = add(ctx, []feed.Quote{numbered("USD/JPY", 7)})
				}
			}
			g.set(nil)
		})
		if len(g.taken) > outboxSize || len(g.taken) < outboxSize/4 {
			t.Errorf("%d quotes came through a box of %d", len(g.taken), outboxSize)
		}
		count := map[feed.Symbol]int{}
		before := 0
		for _, q := range g.taken {
			count[q.Symbol]++
			if q.Symbol == "EUR/USD" {
				i, _ := strconv.Atoi(q.Bid)
				if i <= before {
					t.Fatalf("%d after %d", i, before)
				}
				before = i
			}
		}
		if count["NZD/CHF"] != 1 || count["USD/JPY"] != 1 || before != n {
			t.Errorf("%v, the last of EUR/USD is %d: want the newest of each symbol", count, before)
		}
		c := box.tally.snapshot()
		if int(c.accepted) != len(g.taken) || c.accepted+c.dropped != n+2 || c.unsent+c.unknown != 0 {
			t.Errorf("counted %+v, %d were taken", c, len(g.taken))
		}
		if want := []string{"lost", fmt.Sprint("back ", c.dropped)}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}

func TestOutboxWaitsAtFullSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &goneRedis{gone: feed.ErrUnavailable}
		box := newOutbox(g, newTally(), outboxEvents{lost: func(error) {}, back: func(time.Duration, uint64) {}})
		time.AfterFunc(time.Minute, func() { g.set(nil) })
		const n = 3 * outboxSize
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			for i := range n {
				if err := add(ctx, []feed.Quote{numbered("EUR/USD", i)}); err != nil {
					t.Error(err)
				}
			}
		})
		if len(g.taken) != n {
			t.Fatalf("%d of %d came through", len(g.taken), n)
		}
		for i, q := range g.taken {
			if q.Bid != strconv.Itoa(i) {
				t.Fatalf("quote %d is %s", i, q.Bid)
			}
		}
	})
}

func TestOutboxDoesNotDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &goneRedis{gone: fmt.Errorf("%w: %w", feed.ErrUnavailable, accept.ErrOutcomeUnknown)}
		box := newOutbox(g, newTally(), outboxEvents{lost: func(error) {}, back: func(time.Duration, uint64) {}})
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			_ = add(ctx, []feed.Quote{numbered("EUR/USD", 1)})
			time.Sleep(time.Second)
			g.set(nil)
			_ = add(ctx, []feed.Quote{numbered("EUR/USD", 2)})
		})
		if c := box.tally.snapshot(); c.unknown != 1 || c.accepted != 1 || len(g.taken) != 1 {
			t.Errorf("counted %+v, %d were taken: want the unknown one counted and not repeated", c, len(g.taken))
		}
	})
}

func TestOutboxEndsWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, interrupted := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			box := newOutbox(&goneRedis{gone: feed.ErrUnavailable}, newTally(), outboxEvents{lost: func(error) {}})
			start := time.Now()
			box.run(ctx, func(ctx context.Context, add addFunc) {
				_ = add(ctx, []feed.Quote{numbered("EUR/USD", 1)})
				if interrupted {
					cancel()
				}
			})
			cancel()
			want := flushGrace
			if interrupted {
				want = interruptGrace
			}
			if took := time.Since(start); took != want || box.tally.snapshot().unsent != 1 {
				t.Errorf("interrupted %v: ended after %v, want %v, with %+v", interrupted, took, want, box.tally.snapshot())
			}
		}
	})
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t0 := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, tt := range []struct {
			speed float64
			want  time.Duration
		}{{1, 25 * time.Second}, {10, 2500 * time.Millisecond}, {0.5, 50 * time.Second}, {0, 0}} {
			p := pacer{speed: tt.speed}
			start := time.Now()
			for _, at := range []int{0, 10, 10, 5, 20} { // 5 is out of order
				if err := p.wait(t.Context(), t0.Add(time.Duration(at)*time.Second)); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); took != tt.want {
				t.Errorf("speed %v: took %v, want %v", tt.speed, took, tt.want)
			}
		}
	})
}

func TestMergeByTime(t *testing.T) {
	a := write(t, "EURUSD.csv", "20200101 170000000,1,1,0\n20200101 170002000,3,3,0\n20200101 170002000,4,4,0\n")
	b := write(t, "GBPUSD.csv", "20200101 170001000,2,2,0\njunk\n20200101 170002000,5,5,0\n")
	c := write(t, "USDCHF.csv", "20200101 170003000,6,6,0\n")
	var recordings []*recording
	for i, name := range []string{a, b, c} {
		r, err := newRecording(name, i, "")
		if err != nil {
			t.Fatal(err)
		}
		if r.reader != nil {
			t.Errorf("%s is held open", name)
		}
		recordings = append(recordings, r)
	}
	for range 2 { // as --loop does
		m := newMerge(recordings)
		bad := 0
		m.bad = func(string, *tickfile.LineError) { bad++ }
		m.broken = func(err error) { t.Error(err) }
		var got []string
		for q, ok := m.next(); ok; q, ok = m.next() {
			got = append(got, q.Bid)
		}
		m.close()
		if want := "1 2 3 4 5 6"; strings.Join(got, " ") != want || bad != 1 {
			t.Errorf("%v with %d bad lines, want %s with 1", got, bad, want)
		}
	}
}

func TestConsoleRewritesItsLine(t *testing.T) {
	var b bytes.Buffer
	c := newConsole(&b)
	if c.terminal {
		t.Error("a buffer is no terminal")
	}
	c.terminal = true
	c.progress("one")
	c.progress("two")
	c.say("message")
	c.clear()
	if want := "one" + clearLine + "two" + clearLine + "message\n"; b.String() != want {
		t.Errorf("wrote %q, want %q", &b, want)
	}
}
