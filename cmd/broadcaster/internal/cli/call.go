// Package cli has the parts that the commands of the broadcaster share: the call of a command, its
// exit codes, and the messages for a wrong call.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/feed"
)

// Exit codes.
const (
	OK     = 0
	Failed = 1
	Misuse = 2 // a wrong flag, argument or setting; one line each on standard error

	Interrupted = 130 // the code that shells use for a program ended by SIGINT
)

// A Call is one run of a command.
type Call struct {
	Usage   string   // printed for --help
	Args    []string // after the command's name
	Environ []string // "NAME=value"
	Stdout  io.Writer
	Stderr  io.Writer
}

// Help prints the usage.
func (c Call) Help() int {
	fmt.Fprint(c.Stdout, c.Usage)
	return OK
}

// Misused reports a wrong flag or argument in one line.
func (c Call) Misused(format string, args ...any) int {
	fmt.Fprintf(c.Stderr, "broadcaster: "+format+"\n", args...)
	return Misuse
}

// UnknownCommand returns the message for a word that is none of the commands. It names the command
// that the word resembles.
func UnknownCommand(word string, commands []string) string {
	text := fmt.Sprintf("unknown command %.64q", word)
	if meant, slips := config.Nearest(word, commands); slips <= 1+len(word)/6 && slips < len(word) {
		text += ", did you mean " + meant + "?"
	}
	return text + ", want one of: " + strings.Join(commands, ", ")
}

// Fail reports the error of a command. Faults of the settings get one line each.
func (c Call) Fail(command string, err error) int {
	if faults, ok := errors.AsType[config.Faults](err); ok {
		for _, fault := range faults {
			fmt.Fprintln(c.Stderr, "broadcaster: "+fault)
		}
		return Misuse
	}
	fmt.Fprintf(c.Stderr, "broadcaster: %s: %v\n", command, err)
	return Failed
}

// Instruments returns the table of instruments of the settings. The error is of type config.Faults.
func (c Call) Instruments() (*feed.Instruments, error) {
	cfg, err := config.Load(c.Environ)
	return cfg.Feed.Instruments, err
}

// RedisConfig reads the settings of a command that uses the Redis of a server. The error is of type
// config.Faults.
func (c Call) RedisConfig() (config.Config, error) {
	cfg, err := config.Load(c.Environ)
	if err == nil && cfg.Embedded() {
		err = config.Faults{"REDIS_URL: not set; want the Redis of the server, such as redis://localhost:6379/0 (serve logs the address of an embedded one)"}
	}
	return cfg, err
}
