package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

var versionCommand = command{
	name: "version", form: "version", summary: "show version, commit and Go version", run: showVersion,
	usage: `Usage: broadcaster version

Shows version, commit and Go version, as "broadcaster --version" does.
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
	Version string // module version, "(devel)" for a build from a working tree
	Commit  string // "unknown" if it was not built in a repository
	Dirty   bool   // there were uncommitted changes
	Go      string
}

func readBuild() build {
	b := build{Version: "(devel)", Commit: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	commit := b.Commit
	if b.Dirty {
		commit += " (modified)"
	}
	return fmt.Sprintf("broadcaster %s, commit %s, %s %s/%s", b.Version, commit, b.Go, runtime.GOOS, runtime.GOARCH)
}
