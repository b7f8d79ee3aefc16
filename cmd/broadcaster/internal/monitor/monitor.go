// Package monitor implements `broadcaster monitor`, which shows Redis in the terminal.
package monitor

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/redisadmin"
)

const (
	reportWait = 25 * time.Second        // of everything but --health and --monitor
	healthWait = 4500 * time.Millisecond // of --health in all, since health checks have a timeout
	maxSeconds = 86_400                  // seconds
)

// Run runs `broadcaster monitor` and returns the exit code.
func Run(ctx context.Context, call cli.Call) int {
	r, err := parse(call.Args)
	if errors.Is(err, flag.ErrHelp) {
		return call.Help()
	}
	if err != nil {
		return call.Misused("monitor: %v", err)
	}
	cfg, err := call.RedisConfig()
	if err != nil {
		return call.Fail("monitor", err)
	}
	// The Redis library logs failed connections, which are reported anyway. Its messages help only
	// when debugging.
	if cfg.Log.Level <= slog.LevelDebug {
		call.StartLog(cfg.Log)
	} else {
		cli.LogTo(slog.New(slog.DiscardHandler))
	}
	timeout := reportWait
	if r.health {
		timeout = healthWait
	}
	bound, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := open(bound, cfg, r.health)
	if err != nil {
		return r.unreachable(err, call)
	}
	defer m.close()
	m.request, m.stdout, m.stderr = r, call.Stdout, call.Stderr
	m.dumb = slices.Contains(call.Environ, "TERM=dumb")
	if r.seconds > 0 {
		return m.live(ctx)
	}
	switch {
	case r.health:
		return m.health(bound)
	case r.all:
		return m.all(bound)
	}
	return m.optimize(bound)
}

// monitor inspects one Redis for one request.
type monitor struct {
	admin   *redisadmin.Admin
	where   string // the server, for headings
	close   func()
	request request
	stdout  io.Writer
	stderr  io.Writer
	dumb    bool // the terminal cannot move its cursor
}

// open connects. A server that is down is an error only if it is required.
func open(ctx context.Context, cfg config.Config, require bool) (*monitor, error) {
	client, err := redisclient.Open(ctx, cfg, redisclient.Options{Name: "broadcaster-monitor", Require: require})
	if err != nil {
		return nil, err
	}
	sentinels, err := redisclient.Sentinels(cfg)
	if err != nil {
		client.Close()
		return nil, err
	}
	return &monitor{
		admin: redisadmin.New(redisadmin.Config{
			Redis: client, Prefix: cfg.Redis.Prefix, ConfPath: cfg.Redis.ConfPath, Sentinels: sentinels, MasterName: cfg.Redis.MasterName,
		}),
		where: redisclient.Where(cfg),
		close: func() {
			client.Close()
			for _, s := range sentinels {
				s.Close()
			}
		},
	}, nil
}

// reason formats an error of redisadmin for users.
func reason(err error) string { return cli.Printable(strings.TrimPrefix(err.Error(), "redisadmin: ")) }
