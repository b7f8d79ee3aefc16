package main

import (
	"context"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/node"
)

var serveCommand = command{
	name: "serve", form: "[serve]", summary: "run the server", lasting: true, run: serve,
	usage: `Usage: broadcaster [serve]

Runs the server until SIGINT or SIGTERM. The server is then not ready, moves its
clients away after DRAIN_DELAY, evenly over DRAIN_TIMEOUT, and exits; a second
signal ends it at once. It has no flags: settings are environment variables, and
"broadcaster config" lists them.
`,
}

func serve(ctx context.Context, call cli.Call) int {
	if code, done := call.NoFlags("serve"); done {
		return code
	}
	cfg, err := config.Load(call.Environ)
	if err != nil {
		return call.Fail("serve", err)
	}
	logger := call.StartLog(cfg.Log)
	if err := node.Serve(ctx, cfg, logger, call.Stdout); err != nil {
		logger.Error("the server ended", "err", err)
		return cli.Failed
	}
	return cli.OK
}
