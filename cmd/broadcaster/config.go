package main

import (
	"context"
	"fmt"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
)

var configCommand = command{
	name: "config", form: "config", summary: "list every setting with its value, default and meaning", run: showConfig,
	usage: `Usage: broadcaster config

Lists every setting with its value, default and meaning; secrets are masked.
Faults in the environment are listed first; the exit code is then 2.
`,
}

func showConfig(_ context.Context, call cli.Call) int {
	if code, done := call.NoFlags("config"); done {
		return code
	}
	cfg, err := config.Load(call.Environ)
	for _, w := range cfg.Warnings {
		fmt.Fprintln(call.Stderr, "warning: "+w)
	}
	code := cli.OK
	if err != nil {
		code = call.Fail("config", err)
	}
	if err := config.Write(call.Stdout, cfg, call.Environ); err != nil {
		return call.Fail("config", err)
	}
	return code
}
