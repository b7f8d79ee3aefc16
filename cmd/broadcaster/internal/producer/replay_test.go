package producer

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestReplayRecordedDay(t *testing.T) {
	file := programtest.DataFile(t, "dukascopy_GBPJPY_2012-12-03_ticks.csv")
	histdata := programtest.DataFile(t, "histdata_DAT_ASCII_EURUSD_T_202001_head.csv")
	client := redistest.Start(t).Client()
	var stdout, stderr bytes.Buffer
	code := feedCommand(t.Context(), []string{"replay", file, "--speed", "max", histdata, "--source=test"}, openOn(t, client), &stdout, &stderr)
	if code != cli.OK {
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
		a := programtest.Last(t, client, want.symbol)
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
	if code != cli.Failed { // two are refused
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	a := programtest.Last(t, client, "EUR/USD")
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

// TestReplayInstruments: old files have codes that are withdrawn, and brokers have names
// of their own; the settings say what they are.
func TestReplayInstruments(t *testing.T) {
	server := redistest.Start(t)
	file := write(t, "ticks.csv", "USD/DEM,19980101 17:00:00.065,1.79,1.80\nGOLD,19980101 17:00:01.065,290.1,290.5\nEURUSD.m,19990104 17:00:02.065,1.17,1.18\n")
	broker := write(t, "GOLD.csv", twoTicks)
	replay := func(environ ...string) (code int, stdout string) {
		var out, errs bytes.Buffer
		call := cli.Call{Usage: "Usage\n", Args: []string{"replay", "--speed=max", file, broker}, Stdout: &out, Stderr: &errs,
			Environ: append(environ, "REDIS_URL="+server.URL(), "GATE_MAX_JUMP=0")}
		code = Run(t.Context(), call)
		return code, out.String() + errs.String()
	}
	if code, out := replay(); code != cli.Failed || !strings.Contains(out, "unreadable files 1") || !strings.Contains(out, "bad lines 3") {
		t.Errorf("without settings: exit code %d: %s", code, out)
	}
	code, out := replay(`INSTRUMENTS={"USD/DEM":{},"XAU/USD":{"aliases":["GOLD"]}}`, "FEED_SUFFIXES=.m")
	if code != cli.OK || !strings.Contains(out, "read 5, accepted 5") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestReplayReportsBadLines(t *testing.T) {
	client := redistest.Start(t).Client()
	content := strings.Replace(twoTicks, "\n", "\n"+strings.Repeat("junk\n", 30), 1)
	file := write(t, "EURUSD.csv", content)
	var stdout, stderr bytes.Buffer
	if code := feedCommand(t.Context(), []string{"replay", "--speed=max", file}, openOn(t, client), &stdout, &stderr); code != cli.Failed {
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

// TestReplayInterruptedBetweenQuotes interrupts a replay of a file when a quote is published and the
// next one is not read yet. The time to continue with is that of the next quote.
func TestReplayInterruptedBetweenQuotes(t *testing.T) {
	file := write(t, "EURUSD.csv", twoTicks+"20200101 170003065,1.5,1.6,0\n")
	for published, want := range []string{1: "T22:00:01.065Z", 2: "T22:00:03.065Z", 3: ""} {
		if published == 0 {
			continue
		}
		flags, err := parseReplay([]string{"--speed=max", file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		r := &replay{replayFlags: flags, job: newJob("read", cli.Call{Stderr: &stderr})}
		ctx, interrupt := context.WithCancel(t.Context())
		r.openInputs(ctx, false)
		left := published
		r.play(ctx, func(context.Context, []feed.Quote) error {
			if left--; left == 0 {
				interrupt()
			}
			return nil
		})
		if r.cut {
			r.sayWhere(time.Time{})
		}
		if r.cut != (want != "") || want != "" && !strings.HasSuffix(stderr.String(), "continue with --from 2020-01-01"+want+"\n") {
			t.Errorf("after %d quotes: cut %v, %q, want it to continue with %q", published, r.cut, &stderr, want)
		}
	}
}

func TestReplayBrokenFile(t *testing.T) {
	client := redistest.Start(t).Client()
	// A gzip stream that is cut off after some of its content.
	good := write(t, "EURUSD.csv", twoTicks)
	file := write(t, "GBPUSD.csv", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x1d\x00\xe2\xff20200101 170000065,1.1,1.2,0\n")
	var stdout, stderr bytes.Buffer
	code := feedCommand(t.Context(), []string{"replay", "--speed=max", file, good}, openOn(t, client), &stdout, &stderr)
	if code != cli.Failed || strings.Count(stderr.String(), file) != 1 || !strings.Contains(stderr.String(), "gzip") {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	if n := number(t, stdout.String(), "accepted"); n != 3 {
		t.Errorf("%d accepted, want the tick before the damage and the other file's 2: %s", n, &stderr)
	}
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
				if err := waitUntil(t.Context(), p.next(t0.Add(time.Duration(at)*time.Second))); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); took != tt.want {
				t.Errorf("speed %v: took %v, want %v", tt.speed, took, tt.want)
			}
		}
	})
}
