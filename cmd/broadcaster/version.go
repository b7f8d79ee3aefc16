package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/fxcast/fxcast"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

var versionCommand = command{
	name: "version", form: "version", summary: "show version, commit, date and Go version", run: showVersion,
	usage: `Usage: broadcaster version

Shows version, commit, its date and Go version, as "broadcaster --version" does.
`,
}

func showVersion(_ context.Context, call cli.Call) int {
	if code, done := call.NoFlags("version"); done {
		return code
	}
	fmt.Fprintln(call.Stdout, readBuild())
	return cli.OK
}

// A build is the version of the program, as recorded when it was built.
type build struct {
	Version string // of the source
	Commit  string // "unknown" if it was not built in a repository
	Date    string // of the commit
	Dirty   bool   // there were uncommitted changes
	Go      string
}

func readBuild() build {
	b := build{Version: fxcast.Version(), Commit: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	commit := b.Commit
	if b.Date != "" {
		commit += " of " + b.Date
	}
	if b.Dirty {
		commit += " (modified)"
	}
	return fmt.Sprintf("broadcaster %s, commit %s, %s %s/%s", b.Version, commit, b.Go, runtime.GOOS, runtime.GOARCH)
}
