// Command broadcaster distributes foreign exchange quotes from producers, which publish them to
// Redis, to WebSocket clients. It is configured by environment variables; `broadcaster config`
// lists them.
//
// Each command has a file here with its usage. The code of larger commands is in a package of
// internal/.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

// A command is the word after the name of the program.
type command struct {
	name    string
	form    string // its line in the usage
	summary string
	usage   string // for "broadcaster NAME --help"
	lasting bool   // goes on when the reader of its output has left; others end quietly
	run     func(context.Context, cli.Call) int

	// For completions.
	flags []string // without dashes
	parts []part
}

// A part is a command of a command, such as "feed replay".
type part struct {
	name  string
	flags []string
}

// commands has every command. The first one runs if the command line names none.
var commands = []command{serveCommand, feedCommand, sessionCommand, monitorCommand, watchCommand, configCommand, healthcheckCommand, versionCommand}

// usage is what "broadcaster --help" prints.
func usage() string {
	var b strings.Builder
	b.WriteString("broadcaster distributes foreign exchange quotes to WebSocket clients.\n\nUsage:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  broadcaster %-15s  %s\n", c.form, c.summary)
	}
	b.WriteString(`
Settings are environment variables. With neither REDIS_URL nor REDIS_HOST set,
serve starts an embedded Redis, simulated prices and guest sessions.
See "broadcaster COMMAND --help".
`)
	return b.String()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal cancels ctx. After that, signals have their ordinary effect again: the next
	// one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code. args are the arguments after the name, environ
// has entries "NAME=value". When ctx is canceled, the command ends in an orderly way.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	call := cli.Call{Usage: usage(), Args: args, Environ: environ, Stdout: stdout, Stderr: stderr}
	name := commands[0].name
	if len(args) > 0 {
		name, call.Args = args[0], args[1:]
	}
	if name == "--version" {
		name = versionCommand.name
	}
	if helpWord(name) {
		if len(call.Args) == 0 {
			return call.Help()
		}
		// "help feed replay" is "feed replay --help".
		name, call.Args = call.Args[0], append(slices.DeleteFunc(slices.Clone(call.Args[1:]), helpWord), "--help")
	}
	names := []string{"help"}
	for _, c := range commands {
		if c.name == name {
			call.Usage = c.usage
			if c.lasting {
				signal.Ignore(syscall.SIGPIPE) // writes fail with EPIPE instead
			}
			return c.run(ctx, call)
		}
		names = append(names, c.name)
	}
	if strings.HasPrefix(name, "-") {
		return call.Misused("unknown flag %.64q, want one of: %s", name, strings.Join(names, ", "))
	}
	return call.Misused("%s", cli.UnknownCommand(name, names))
}

func helpWord(s string) bool { return s == "help" || s == "-h" || s == "-help" || s == "--help" }
