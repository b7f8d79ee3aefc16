package producer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// openOn returns what opens a publisher on a real server.
func openOn(t *testing.T, client *redis.Client) openFunc {
	return openWithin(t, client, 20*time.Second) // the machine may be busy
}

func openWithin(t *testing.T, client *redis.Client, timeout time.Duration) openFunc {
	return func(context.Context) (*output, error) {
		keys := feed.Keys{Prefix: "fx:"}
		p := accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: keys, Timeout: timeout})
		rejected := accept.NewRejectedLog(accept.RejectedConfig{Redis: client, Keys: keys})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Errorf("publisher: %v", err)
			}
		})
		wg.Go(func() { _ = rejected.Run(ctx) })
		return &output{
			publisher: p, rejected: rejected, client: client, keys: keys, registry: prometheus.NewRegistry(), logger: slog.New(slog.DiscardHandler),
			close: func() { cancel(); wg.Wait() },
		}, nil
	}
}

func noOpen(context.Context) (*output, error) { return nil, errors.New("no Redis here") }

// feedCommand runs `broadcaster feed` with a publisher.
func feedCommand(ctx context.Context, args []string, open openFunc, stdout, stderr io.Writer) int {
	return run(ctx, cli.Call{Usage: "Usage: broadcaster feed COMMAND\n", Args: args, Stdout: stdout, Stderr: stderr}, open)
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

func TestFeedUsage(t *testing.T) {
	file := write(t, "EURUSD.csv", twoTicks)
	plain := write(t, "ticks.csv", twoTicks)
	other := write(t, "notes.csv", "hello\n")
	unreadable := []string{"/no/such/file", other, plain, filepath.Dir(file), "--speed"}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "simulate"},
		{[]string{"simulat"}, `"simulat", did you mean simulate?`},
		{[]string{"simulate", "--rate", "x"}, `--rate: want a number, got "x"`},
		{[]string{"simulate", "--rate", "0"}, "--rate"},
		{[]string{"simulate", "--rate", "NaN"}, "--rate"},
		{[]string{"simulate", "--seed", "-1"}, `--seed: want a whole number from 0, got "-1"`},
		{[]string{"simulate", "--count", "0"}, "--count"},
		{[]string{"simulate", "--count", "99999999999999999999"}, "--count: want a whole number, got"},
		{[]string{"replay", file, "--loop=perhaps"}, "--loop: want true or false"},
		{[]string{"simulate", "--duration", "10"}, "--duration: want a time such as 30s or 1h"},
		{[]string{"simulate", "--duration", "-1s"}, "--duration"},
		{[]string{"simulate", "--symbols", "EUR/FOO"}, "--symbols"},
		{[]string{"simulate", "--symbols", "EUR/SEK"}, "--symbols"},
		{[]string{"simulate", "--symbols", ","}, "--symbols"},
		{[]string{"simulate", "--source", ""}, "--source"},
		{[]string{"simulate", "--sped", "1"}, "--sped"},
		{[]string{"simulate", "--rate"}, "--rate"},
		{[]string{"simulate", "EURUSD"}, "EURUSD"},
		{[]string{"pipe", "quotes.json"}, "quotes.json"},
		{[]string{"pipe", "--source", ""}, "--source"},
		{[]string{"pipe", "--speed", "1"}, "--speed"},
		{[]string{"connect"}, "VENDOR"},
		{[]string{"connect", "reuters"}, `"reuters"`},
		{[]string{"connect", "kraken", "ecb"}, `"ecb"`},
		{[]string{"connect", "kraken", "--symbols", "BTC/USD"}, "--symbols"},
		{[]string{"connect", "kraken", "--symbols", ","}, "--symbols"},
		{[]string{"connect", "kraken", "--url", "https://user:secret@kraken.com"}, "--url"},
		{[]string{"connect", "ecb", "--url", "rates.xml"}, "--url"},
		{[]string{"connect", "kraken", "--key-file", "/no/such/file"}, "--key-file"},
		{[]string{"connect", "massive", "--key-file", "/no/such/file"}, "--key-file"},
		{[]string{"connect", "massive"}, "FEED_KEY"},
		{[]string{"connect", "oanda"}, "--account"},
		{[]string{"connect", "ecb", "--source", ""}, "--source"},
		{[]string{"replay"}, "FILE"},
		{[]string{"replay", file, "--speed", "fast"}, "--speed"},
		{[]string{"replay", file, "--speed", "0"}, "--speed"},
		{[]string{"replay", file, "--symbol", "EUR"}, "--symbol"},
		{[]string{"replay", file, "--loop", "--keep-time"}, "--loop"},
		{[]string{"replay", file, "--zone", "Mars/Olympus"}, "--zone"},
		{[]string{"replay", file, "--zone", "Local"}, "--zone"},
		{[]string{"replay", file, "--from", "yesterday"}, "--from"},
		{[]string{"replay", file, "--from", "2020-01-01T17:00:00"}, "--zone"},
		{[]string{"replay", "-", "--loop"}, "--loop"},
		{[]string{"replay", "-", "/dev/stdin"}, "twice"},
		{[]string{"replay", "/no/such/file"}, "/no/such/file"},
		{[]string{"replay", other}, other},
		{[]string{"replay", plain}, plain},
		{[]string{"replay", plain}, "--symbol"},
		{[]string{"replay", filepath.Dir(file)}, filepath.Dir(file)},
		{[]string{"replay", "--", "--speed"}, "--speed: no such file"},
	} {
		var stdout, stderr bytes.Buffer
		code := feedCommand(t.Context(), tt.args, noOpen, &stdout, &stderr)
		got := stderr.String()
		total := ""
		if len(tt.args) > 1 && tt.args[0] == "replay" && slices.Contains(unreadable, tt.args[len(tt.args)-1]) {
			total = "read 0, accepted 0, rejected 0, bad lines 0, unreadable files 1 in "
		}
		if code != cli.Misuse || strings.Count(got, "\n") != 1 || !strings.Contains(got, tt.want) ||
			!strings.HasPrefix(stdout.String(), total) || total == "" && stdout.Len() > 0 {
			t.Errorf("feed %q: exit code %d, %q%q, want 2, %q and one line with %q", tt.args, code, &stdout, got, total, tt.want)
		}
	}
	for _, args := range [][]string{{"--help"}, {"help"}, {"simulate", "--help"}, {"replay", "-h"}, {"pipe", "-h"}, {"connect", "-h"}} {
		var stdout, stderr bytes.Buffer
		if code := feedCommand(t.Context(), args, noOpen, &stdout, &stderr); code != cli.OK || !strings.HasPrefix(stdout.String(), "Usage: broadcaster feed") || stderr.Len() > 0 {
			t.Errorf("feed %q: exit code %d: %s%s", args, code, &stdout, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := feedCommand(t.Context(), []string{"replay", file}, noOpen, &stdout, &stderr); code != cli.Failed || !strings.Contains(stderr.String(), "no Redis here") {
		t.Errorf("without Redis: exit code %d: %s", code, &stderr)
	}
}
