package main

import (
	"context"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/healthcheck"
)

var healthcheckCommand = command{
	name: "healthcheck", form: "healthcheck", summary: "ask the server on this machine whether it is alive", run: checkHealth,
	usage: `Usage: broadcaster healthcheck

Asks the server on this machine for /livez, at the address of HTTP_ADDR, for at
most 3 s. The exit code is 0 if it answers and 1 if not, with the reason in one
line. It does not ask Redis; "broadcaster monitor --health" does.
`,
}

func checkHealth(ctx context.Context, call cli.Call) int {
	if code, done := call.NoFlags("healthcheck"); done {
		return code
	}
	cfg, err := config.Load(call.Environ)
	if err == nil {
		err = healthcheck.Ask(ctx, cfg.HTTP)
	}
	if err != nil {
		call.Fail("healthcheck", err)
		return cli.Failed // also for a wrong setting: engines know no other code
	}
	return cli.OK
}
