// Command broadcaster distributes foreign exchange quotes: producers publish
// to Redis, WebSocket clients receive. It is configured by environment
// variables; `broadcaster config` lists them.
//
// Each command has a file here with its usage; what it needs more of is in a
// package of internal/.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

// A command is one word after the name of the program.
type command struct {
	name    string
	form    string // as the usage shows it
	summary string
	usage   string // for "broadcaster NAME --help"
	run     func(context.Context, cli.Call) int
}

// commands are all there are. The first is the one that needs no name.
var commands = []command{serveCommand, feedCommand, sessionCommand, monitorCommand, configCommand, versionCommand}

// usage is what "broadcaster --help" prints.
func usage() string {
	var b strings.Builder
	b.WriteString("broadcaster distributes foreign exchange quotes to WebSocket clients.\n\nUsage:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  broadcaster %-15s  %s\n", c.form, c.summary)
	}
	b.WriteString(`
Settings are environment variables. With neither REDIS_URL nor REDIS_HOST set,
serve brings an embedded Redis, simulated prices and guest sessions.
"broadcaster COMMAND --help" says more.
`)
	return b.String()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal cancels ctx; from then on a signal has its ordinary
	// effect again and ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program without its process: args are the arguments after the
// name, environ is "NAME=value". A cancelled ctx ends every command in an
// orderly way. It returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	call := cli.Call{Usage: usage(), Args: args, Environ: environ, Stdout: stdout, Stderr: stderr}
	name := commands[0].name
	if len(args) > 0 {
		name, call.Args = args[0], args[1:]
	}
	var names []string
	for _, c := range commands {
		if c.name == name {
			call.Usage = c.usage
			return c.run(ctx, call)
		}
		names = append(names, c.name)
	}
	what := "command"
	switch {
	case name == "help", name == "-h", name == "-help", name == "--help":
		return call.Help()
	case strings.HasPrefix(name, "-"):
		what = "flag"
	}
	return call.Misused("unknown %s %.64q, want one of: %s, help", what, name, strings.Join(names, ", "))
}
