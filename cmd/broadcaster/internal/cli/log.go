package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"golang.org/x/term"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
)

// StartLog returns the logger of a command that talks to Redis, and makes the Redis library use it
// too.
func (c Call) StartLog(cfg config.Log) *slog.Logger {
	logger := newLogger(cfg, c.Stderr)
	LogTo(logger)
	return logger
}

func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.Level}
	format := cfg.Format
	if f, ok := w.(*os.File); ok && format == "" && term.IsTerminal(int(f.Fd())) {
		format = "text"
	}
	w = lossyWriter{w}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// logDropped counts over the life of the process, which has one standard error.
var logDropped atomic.Uint64

// LogDropped returns the number of log lines that could not be written, for example because the
// program that read them has ended.
func LogDropped() uint64 { return logDropped.Load() }

// lossyWriter counts failed writes of log lines. The logger ignores the error, so the line is
// dropped.
type lossyWriter struct{ io.Writer }

func (l lossyWriter) Write(p []byte) (int, error) {
	n, err := l.Writer.Write(p)
	if err != nil {
		logDropped.Add(1)
	}
	return n, err
}

// LogTo sends the messages of the go-redis library to logger. The library has one logger per
// process, so a command calls LogTo once.
func LogTo(logger *slog.Logger) { redis.SetLogger(libraryLog{logger}) }

// libraryLog writes messages of the go-redis library to a log.
type libraryLog struct{ logger *slog.Logger }

func (l libraryLog) Printf(_ context.Context, format string, args ...any) {
	const longest = 500
	text := strings.TrimPrefix(fmt.Sprintf(format, args...), "redis: ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	l.logger.Warn("redis client: " + text)
}
