// Package producer produces quotes and publishes them: for `broadcaster feed`, and for the
// simulated market of a server without Redis.
package producer

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// Run runs `broadcaster feed` and returns the exit code, which the usage of each
// command lists.
func Run(ctx context.Context, call cli.Call) int { return run(ctx, call, openOutput(call)) }

// output holds the parts through which a producer command publishes.
type output struct {
	publisher *accept.Publisher
	rejected  *accept.RejectedLog // may be nil
	client    redis.UniversalClient
	keys      feed.Keys
	registry  *prometheus.Registry // of the metrics of both
	logger    *slog.Logger
	close     func() // ends both and waits; publish nothing afterwards
}

// openFunc returns a running output. It fails when Redis cannot be reached.
type openFunc func(context.Context) (*output, error)

func run(ctx context.Context, call cli.Call, open openFunc) int {
	if len(call.Args) == 0 {
		return call.Misused("feed: no command, want one of: simulate, replay, pipe, connect")
	}
	command := call.Args[0]
	call.Args = call.Args[1:]
	switch command {
	case "simulate":
		call.Usage = simulateUsage
		return simulateCommand(ctx, call, open)
	case "replay":
		call.Usage = replayUsage
		return replayCommand(ctx, call, open)
	case "pipe":
		call.Usage = pipeUsage
		return pipeCommand(ctx, call, open)
	case "connect":
		call.Usage = connectUsage
		return connectCommand(ctx, call, open)
	case "help", "-h", "-help", "--help":
		return call.Help()
	}
	return call.Misused("feed: %s", cli.UnknownCommand(command, []string{"simulate", "replay", "pipe", "connect"}))
}

// sourceName reads the value of --source.
func sourceName(label string) (string, error) {
	if label == "" {
		return "", errors.New("--source: empty, want a name")
	}
	return feed.SourceName(label), nil
}
