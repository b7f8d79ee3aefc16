// Package monitor is `broadcaster monitor`: Redis seen from the terminal.
package monitor

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
	healthWait = 4500 * time.Millisecond // of --health, which others wait for: connecting and asking together
	maxSeconds = 86_400                  // seconds
)

// A request is a command line of `monitor` that makes sense.
type request struct {
	health, all, optimize bool
	seconds               int // --monitor; 0 = not asked for
	commands, apply, json bool
}

// parse reads the arguments of `monitor`. flag.ErrHelp asks for help.
func parse(args []string) (r request, err error) {
	if len(args) > 0 && args[0] == "help" {
		return r, flag.ErrHelp
	}
	fs := flag.NewFlagSet("monitor", flag.ContinueOnError)
	fs.BoolVar(&r.health, "health", false, "")
	fs.BoolVar(&r.all, "all", false, "")
	fs.BoolVar(&r.optimize, "optimize", false, "")
	fs.IntVar(&r.seconds, "monitor", 0, "")
	fs.BoolVar(&r.commands, "commands", false, "")
	fs.BoolVar(&r.apply, "apply", false, "")
	fs.BoolVar(&r.json, "json", false, "")
	rest, err := cli.ParseMixed(fs, args)
	if err != nil {
		return r, err
	}
	given := cli.Given(fs)
	asked := 0
	for _, one := range []bool{r.health, r.all, r.optimize, given["monitor"]} {
		if one {
			asked++
		}
	}
	switch {
	case len(rest) > 0:
		return r, fmt.Errorf("unexpected argument %.64q", rest[0])
	case asked == 0:
		return r, errors.New("want one of: --health, --all, --monitor N, --optimize")
	case asked > 1:
		return r, errors.New("want only one of: --health, --all, --monitor N, --optimize")
	case given["monitor"] && (r.seconds < 1 || r.seconds > maxSeconds):
		return r, fmt.Errorf("--monitor: want a number of seconds from 1 to %d, got %d", maxSeconds, r.seconds)
	case r.commands && r.seconds == 0:
		return r, errors.New("--commands: only with --monitor N")
	case r.apply && !r.optimize:
		return r, errors.New("--apply: only with --optimize")
	}
	return r, nil
}

// Run is `broadcaster monitor`. It returns the exit code.
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
	// What the Redis library has to say is about connections that fail, which
	// is reported anyway: only those who debug want it.
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

// monitor looks at one Redis for one request.
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

// unreachable reports a Redis that was not reached. But for --health it is one
// that time alone does not mend: a wrong password, or no TLS where it was asked for.
func (r request) unreachable(err error, call cli.Call) int {
	if !r.health {
		return call.Fail("monitor", err)
	}
	why := cli.Printable(err.Error())
	if errors.Is(err, context.DeadlineExceeded) {
		why = strings.ReplaceAll(why, context.DeadlineExceeded.Error(), "no answer in time")
	}
	h := redisadmin.Health{Status: redisadmin.Unhealthy, Reason: "reachable: " + why, At: time.Now().UTC(), Checks: []redisadmin.Check{{
		Name: redisadmin.CheckReachable, Result: redisadmin.Fail, Why: why,
		Do: "see whether the server runs (redis-cli ping), and REDIS_URL, its user and password",
	}}}
	return r.writeHealth(call.Stdout, h)
}

func (m *monitor) health(ctx context.Context) int {
	return m.request.writeHealth(m.stdout, m.admin.Health(ctx))
}

// writeHealth prints one line, or all of it as JSON.
func (r request) writeHealth(w io.Writer, h redisadmin.Health) int {
	if r.json {
		cli.WriteJSON(w, h)
	} else {
		fmt.Fprintln(w, cli.Printable(healthLine(h)))
	}
	if h.Status == redisadmin.Unhealthy {
		return cli.Failed
	}
	return cli.OK
}

// healthLine is "healthy (redis 7.0.15, master, 0.21ms)", or why it is not.
func healthLine(h redisadmin.Health) string {
	var parts []string
	if h.Version != "" {
		parts = append(parts, h.Server.String()+" "+h.Version.String())
	}
	if h.Role != "" {
		parts = append(parts, h.Role.String())
	}
	if h.LatencySeconds != nil {
		parts = append(parts, durationText(*h.LatencySeconds))
	}
	unknown := 0
	for _, c := range h.Checks {
		if c.Result == redisadmin.Unknown {
			unknown++
		}
	}
	if unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d checks %s", unknown, len(h.Checks), notAvailable))
	}
	line := string(h.Status)
	if len(parts) > 0 {
		line += " (" + strings.Join(parts, ", ") + ")"
	}
	if h.Reason != "" {
		line += ": " + h.Reason
	}
	return line
}

// optimize prints what would be better, and with --apply changes it.
func (m *monitor) optimize(ctx context.Context) int {
	list, err := m.admin.Optimize(ctx)
	var done []redisadmin.Applied
	if err == nil && m.request.apply {
		done, err = m.admin.Apply(ctx, list)
	}
	code := cli.OK
	for _, d := range done {
		if !d.Done && d.How == redisadmin.ApplyLive {
			code = cli.Failed
		}
	}
	p := newPage()
	switch {
	case m.request.apply:
		p.applied(m.where, done)
	case err == nil:
		p.advice(m.where, list)
	}
	if m.request.json && (err == nil || len(done) > 0) {
		document := map[string]any{"advice": list}
		if m.request.apply {
			document = map[string]any{"applied": done}
		}
		cli.WriteJSON(m.stdout, document)
	} else if !m.request.json {
		p.writeTo(m.stdout)
	}
	if err != nil {
		fmt.Fprintf(m.stderr, "broadcaster: monitor: %s: %s\n", m.where, reason(err))
		return cli.Failed
	}
	return code
}

// reason is an error of redisadmin as a user reads it.
func reason(err error) string { return cli.Printable(strings.TrimPrefix(err.Error(), "redisadmin: ")) }
