package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/redisadmin"
)

// unreachable reports a Redis that was not reached. Except for --health this is a permanent fault,
// such as a wrong password or missing TLS.
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
		Do: "check that the server runs (redis-cli ping), and REDIS_URL with its user and password",
	}}}
	return r.writeHealth(call.Stdout, h)
}

func (m *monitor) health(ctx context.Context) int {
	return m.request.writeHealth(m.stdout, m.admin.Health(ctx))
}

// writeHealth prints the health as one line, or in full as JSON.
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

// healthLine returns "healthy (redis 7.0.15, master, 0.21ms)", or the reason for another status.
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
