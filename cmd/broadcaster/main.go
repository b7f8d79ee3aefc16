// Command broadcaster distributes foreign exchange quotes: producers publish
// to Redis, WebSocket clients receive. It is configured by environment
// variables; `broadcaster config` lists them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	ossignal "os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"golang.org/x/term"

	"github.com/fxcast/fxcast/feed/accept"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // a wrong flag, argument or setting; one line each on standard error
)

const usage = `broadcaster distributes foreign exchange quotes to WebSocket clients.

Usage:
  broadcaster [serve]          run the server
  broadcaster feed COMMAND     produce quotes: simulate, or replay recorded ones
  broadcaster session COMMAND  create, show, list and revoke sessions
  broadcaster monitor FLAGS    look at Redis: health, everything, live, what to change
  broadcaster config           list every setting with its value, default and meaning
  broadcaster version          show version, commit and Go version

Settings are environment variables. With neither REDIS_URL nor REDIS_HOST set,
serve brings an embedded Redis, simulated prices and guest sessions.
"broadcaster COMMAND --help" says more.
`

const serveUsage = `Usage: broadcaster [serve]

Runs the server until SIGINT or SIGTERM, which moves the clients away and ends
it within DRAIN_TIMEOUT; a second signal ends it at once. It takes no flags:
settings are environment variables, and "broadcaster config" lists them.
`

const configUsage = `Usage: broadcaster config

Lists every setting with its value, default and meaning; secrets are masked.
Faults in the environment are listed first, and the exit code is then 2.
`

const versionUsage = `Usage: broadcaster version

Shows version, commit and Go version.
`

func main() {
	ctx, stop := ossignal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal cancels ctx; from then on a signal has its ordinary
	// effect again and ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program without its process: args are the arguments after the
// name, environ is "NAME=value". A cancelled ctx ends every command in an
// orderly way. It returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve":
		return runServe(ctx, args, environ, stdout, stderr)
	case "feed":
		return runFeed(ctx, args, environ, stdout, stderr)
	case "session":
		return runSession(ctx, args, environ, stdout, stderr)
	case "monitor":
		return runMonitor(ctx, args, environ, stdout, stderr)
	case "config":
		return runConfig(args, environ, stdout, stderr)
	case "version":
		if code, done := noFlags("version", versionUsage, args, stdout, stderr); done {
			return code
		}
		fmt.Fprintln(stdout, buildVersion())
		return exitOK
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	what := "command"
	if strings.HasPrefix(command, "-") {
		what = "flag"
	}
	return usageFault(stderr, "unknown %s %.64q, want one of: serve, feed, session, monitor, config, version, help", what, command)
}

func runServe(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	if code, done := noFlags("serve", serveUsage, args, stdout, stderr); done {
		return code
	}
	cfg, err := loadConfig(environ)
	if err != nil {
		return settingsFault(stderr, err)
	}
	logger := startLog(cfg, stderr)
	if err := serve(ctx, cfg, logger, stdout, stderr); err != nil {
		logger.Error("the server ended", "err", err)
		return exitFailed
	}
	return exitOK
}

// errNoRedis is a fault of usage: these commands need the Redis that others read.
var errNoRedis = errors.New("REDIS_URL: not set; want the Redis of the server, such as redis://localhost:6379/0 (serve logs the address of an embedded one)")

func runFeed(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	var fault error // of the settings, found when the command asks for the publisher
	open := func(ctx context.Context) (*accept.Publisher, func(), error) {
		cfg, err := loadConfig(environ)
		if err == nil && cfg.Embedded() {
			err = errNoRedis
		}
		if err != nil {
			fault = err
			return nil, nil, err
		}
		logger := startLog(cfg, stderr)
		for _, w := range cfg.Warnings {
			logger.Warn(w)
		}
		return openPublisher(ctx, cfg, logger)
	}
	// What the command itself says about a fault of the settings is replaced by
	// the lines that every command prints about them.
	held := &heldWriter{w: stderr, hold: func() bool { return fault != nil }}
	code := feedCommand(ctx, args, open, stdout, held)
	if fault != nil {
		return settingsFault(stderr, fault)
	}
	return code
}

// heldWriter drops what is written while hold reports true.
type heldWriter struct {
	w    io.Writer
	hold func() bool
}

func (h *heldWriter) Write(p []byte) (int, error) {
	if h.hold() {
		return len(p), nil
	}
	return h.w.Write(p)
}

func runConfig(args, environ []string, stdout, stderr io.Writer) int {
	if code, done := noFlags("config", configUsage, args, stdout, stderr); done {
		return code
	}
	cfg, err := loadConfig(environ)
	for _, w := range cfg.Warnings {
		fmt.Fprintln(stderr, "warning: "+w)
	}
	code := exitOK
	if err != nil {
		code = settingsFault(stderr, err)
	}
	if err := writeSettings(stdout, cfg, environ); err != nil {
		fmt.Fprintln(stderr, "broadcaster:", err)
		return exitFailed
	}
	return code
}

// noFlags handles the arguments of a command that takes none.
func noFlags(name, help string, args []string, stdout, stderr io.Writer) (code int, done bool) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		return exitOK, true
	case err != nil:
		return usageFault(stderr, "%s: unknown flag %.64q; it takes no flags, settings are environment variables", name, args[0]), true
	case fs.NArg() > 0:
		return usageFault(stderr, "%s: unexpected argument %.64q; settings are environment variables", name, fs.Arg(0)), true
	}
	return exitOK, false
}

func usageFault(stderr io.Writer, format string, args ...any) int {
	fmt.Fprintf(stderr, "broadcaster: "+format+"\n", args...)
	return exitUsage
}

// settingsFault prints one line per fault.
func settingsFault(stderr io.Writer, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(stderr, "broadcaster: "+line)
	}
	return exitUsage
}

// startLog makes the logger of a command that talks to Redis and hands it to
// the Redis library, whose logger is global.
func startLog(cfg Config, stderr io.Writer) *slog.Logger {
	logger := newLogger(cfg.Log, stderr)
	redis.SetLogger(redisLogger{logger})
	return logger
}

func newLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.Level}
	format := cfg.Format
	if f, ok := w.(*os.File); ok && format == "" && term.IsTerminal(int(f.Fd())) {
		format = "text"
	}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
