package redisadmin

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxCommandArguments = 64 // arguments that are read of one command

// Command is one command that a server executed, without its secrets.
type Command struct {
	At      time.Time `json:"at"`
	DB      int       `json:"db"`
	Client  string    `json:"client"`  // address, or "lua" inside a script
	Name    string    `json:"name"`    // lower case; "config|get" for a subcommand; empty if unknown
	Command string    `json:"command"` // see SlowEntry.Command
	Node    string    `json:"node,omitempty"`

	// Dropped is the number of commands left out before this one because the caller of
	// Commands was slower than the server.
	Dropped int64 `json:"dropped,omitempty"`

	prefixes []string // of the keys
}

// scriptCommands run other commands, for which MONITOR has lines as well.
var scriptCommands = []string{"eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"}

var errMonitorLine = errors.New("redisadmin: not a line of MONITOR")

// ParseMonitorLine parses one line of MONITOR,
//
//	1339518083.107412 [0 127.0.0.1:60866] "set" "key" "value"
//
// without the leading + and the line end. Of a line that was cut inside its arguments it keeps
// the arguments before the cut. It keeps no argument that may be a secret.
func ParseMonitorLine(line string) (Command, error) {
	stamp, rest, ok := strings.Cut(line, " [")
	at, err := monitorTime(stamp)
	if !ok || err != nil {
		return Command{}, errMonitorLine
	}
	// The address of a unix socket is a path with any characters; the first argument's quote
	// ends it.
	origin, rest, ok := strings.Cut(rest, "] \"")
	number, client, spaced := strings.Cut(origin, " ")
	db, err := strconv.ParseUint(number, 10, 31)
	if !ok || !spaced || err != nil {
		return Command{}, errMonitorLine
	}
	args, more := monitorArguments("\"" + rest)
	if len(args) == 0 {
		return Command{}, errMonitorLine
	}
	if more > 0 { // in the words of the slow log
		args = append(args, fmt.Sprintf("... (%d more arguments)", more))
	}
	c := Command{At: at, DB: int(db), Client: printable(client, 64), Command: conceal(args)}
	c.Name, _ = commandName(args)
	if slices.Contains(scriptCommands, c.Name) {
		return c, nil // the commands of the script name its keys in lines of their own
	}
	args, _ = leftOut(args)
	for _, key := range keysOf(args) {
		c.prefixes = append(c.prefixes, keyPrefix(key))
	}
	return c, nil
}

// monitorTime parses seconds since 1970 with microseconds.
func monitorTime(text string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	micros, err2 := strconv.ParseInt(fraction, 10, 64)
	if err != nil || err2 != nil || len(fraction) != 6 || micros < 0 || seconds < 0 || seconds > math.MaxInt32*100 {
		return time.Time{}, errMonitorLine
	}
	return time.Unix(seconds, micros*1000).UTC(), nil
}

// monitorArguments parses "a" "b\n" up to the first text of another form. more is the number of
// arguments that it does not keep.
func monitorArguments(text string) (args []string, more int) {
	for len(text) > 0 && text[0] == '"' {
		var b strings.Builder
		i := 1
		for ; i < len(text) && text[i] != '"'; i++ {
			c := text[i]
			if c == '\\' && i+1 < len(text) {
				var used int
				c, used = escaped(text[i+1:])
				i += used
			}
			if b.Len() < maxMonitorLine {
				b.WriteByte(c)
			}
		}
		if i >= len(text) { // cut inside this argument
			return args, more + 1
		}
		if len(args) < maxCommandArguments {
			args = append(args, b.String())
		} else {
			more++
		}
		text = strings.TrimPrefix(text[i+1:], " ")
	}
	return args, more
}
