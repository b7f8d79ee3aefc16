package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

var completionCommand = command{
	name: "completion", form: "completion SHELL", summary: "print completions for bash, zsh or fish",
	parts: []part{{name: "bash"}, {name: "zsh"}, {name: "fish"}},
	usage: `Usage: broadcaster completion SHELL

Prints a script that completes commands and flags in bash, zsh or fish:

  source <(broadcaster completion bash)       in ~/.bashrc
  source <(broadcaster completion zsh)        in ~/.zshrc
  broadcaster completion fish | source        in ~/.config/fish/config.fish
`,
}

func init() { // the command lists itself
	completionCommand.run = printCompletion
	commands = append(commands, completionCommand)
}

func printCompletion(_ context.Context, call cli.Call) int {
	if len(call.Args) == 1 {
		switch call.Args[0] {
		case "bash":
			fmt.Fprint(call.Stdout, bashCompletion())
			return cli.OK
		case "zsh":
			fmt.Fprint(call.Stdout, "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n", bashCompletion())
			return cli.OK
		case "fish":
			fmt.Fprint(call.Stdout, fishCompletion())
			return cli.OK
		case "help", "-h", "-help", "--help":
			return call.Help()
		}
	}
	return call.Misused("completion: want one shell of: bash, zsh, fish")
}

// bashCompletion returns a script for bash, and for zsh with bashcompinit.
func bashCompletion() string {
	var b strings.Builder
	b.WriteString("_broadcaster() {\n\tlocal offer=\n\tcase \"$COMP_CWORD ${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n")
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	fmt.Fprintf(&b, "\t'1 '*) offer='%s help --version' ;;\n", strings.Join(names, " "))
	for _, c := range commands {
		var parts []string
		for _, p := range c.parts {
			parts = append(parts, p.name)
		}
		words := strings.TrimSpace(strings.Join(parts, " ") + " " + dashed(c.flags) + " --help")
		fmt.Fprintf(&b, "\t'2 %s '*) offer='%s' ;;\n", c.name, words)
		for _, p := range c.parts {
			fmt.Fprintf(&b, "\t*' %s %s') offer='%s' ;;\n", c.name, p.name, strings.TrimSpace(dashed(p.flags)+" --help"))
		}
		fmt.Fprintf(&b, "\t*' %s '*) offer='%s' ;;\n", c.name, strings.TrimSpace(dashed(c.flags)+" --help"))
	}
	b.WriteString("\tesac\n\tCOMPREPLY=($(compgen -W \"$offer\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _broadcaster broadcaster\n")
	return b.String()
}

func fishCompletion() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, "complete -c broadcaster "+format+"\n", args...)
	}
	line("-n __fish_use_subcommand -f -l version")
	for _, c := range commands {
		line("-n __fish_use_subcommand -f -a %s -d '%s'", c.name, c.summary)
		within := "'__fish_seen_subcommand_from " + c.name + "'"
		line("-n %s -l help", within)
		for _, f := range c.flags {
			line("-n %s -f -l %s", within, f)
		}
		for _, p := range c.parts {
			line("-n %s -f -a %s", within, p.name)
			for _, f := range p.flags {
				line("-n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s' -l %s", c.name, p.name, f)
			}
		}
	}
	return b.String()
}

func dashed(flags []string) string {
	var b strings.Builder
	for _, f := range flags {
		b.WriteString("--" + f + " ")
	}
	return strings.TrimSpace(b.String())
}
