// Package programtest holds what the tests of the broadcaster share: waiting for a
// condition, logs that are read while they are written, files, certificates and
// recorded quotes.
package programtest

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// LongToken is good as an admin or publish token.
const LongToken = "0123456789abcdefghijklmnopqrstuv"

// Load reads settings that must be right.
func Load(t testing.TB, environ ...string) config.Config {
	t.Helper()
	c, err := config.Load(environ)
	if err != nil {
		t.Fatalf("config.Load(%q): %v", environ, err)
	}
	return c
}

// Usage is that of the commands that Run runs.
const Usage = "Usage: broadcaster COMMAND\n"

// Run runs a command with arguments and environment, for at most 20 s.
func Run(t testing.TB, command func(context.Context, cli.Call) int, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code = command(ctx, cli.Call{Usage: Usage, Args: args, Environ: environ, Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

// Eventually is redistest.Eventually.
var Eventually = redistest.Eventually

// FreePort is redistest.FreePort.
var FreePort = redistest.FreePort

// A Buffer is output that is read while it is written. It is safe for concurrent use.
type Buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Find returns the first group of a pattern in what was written, "" without a match.
func (b *Buffer) Find(pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(b.String()); m != nil {
		return m[1]
	}
	return ""
}

// Log returns a logger that writes text, and its output.
func Log() (*slog.Logger, *Buffer) {
	b := &Buffer{}
	return slog.New(slog.NewTextHandler(b, nil)), b
}

// WriteFile writes a file that others may read.
func WriteFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// DataFile returns the path of a file of recorded quotes. It skips the test where
// there are none.
func DataFile(t testing.TB, name string) string {
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

// Last returns the last value and the counter of a symbol.
func Last(t testing.TB, client redis.UniversalClient, symbol feed.Symbol) feed.Tick {
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
