package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// badValue matches the error of package flag for a value of the wrong type.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): (?:parse error|value out of range)$`)

// wanted describes the values that a flag takes.
func wanted(f *flag.Flag) string {
	switch f.Value.(flag.Getter).Get().(type) {
	case bool:
		return "true or false"
	case float64:
		return "a number"
	case time.Duration:
		return "a time such as 30s or 1h"
	case uint, uint64:
		return "a whole number from 0"
	}
	return "a whole number"
}

// ParseMixed parses flags before, between and after the other arguments, which it returns. Its
// errors name flags as users write them; flag.ErrHelp means that the user asked for help.
func ParseMixed(fs *flag.FlagSet, args []string) (rest []string, err error) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			text := strings.Replace(err.Error(), "flag provided but not defined: -", "unknown flag --", 1)
			if m := badValue.FindStringSubmatch(text); m != nil {
				return nil, fmt.Errorf("--%s: want %s, got %s", m[2], wanted(fs.Lookup(m[2])), m[1])
			}
			for _, before := range []string{"for flag -", "argument: -"} {
				text = strings.Replace(text, before, before+"-", 1)
			}
			return nil, errors.New(strings.ReplaceAll(text, "---", "--"))
		}
		parsed := args[:len(args)-fs.NArg()]
		args = fs.Args()
		if len(parsed) > 0 && parsed[len(parsed)-1] == "--" {
			return append(rest, args...), nil // only names follow
		}
		if len(args) == 0 {
			return rest, nil
		}
		rest = append(rest, args[0])
		args = args[1:]
	}
}

// Given reports which flags the command line named.
func Given(fs *flag.FlagSet) map[string]bool {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return given
}

// NoFlags handles the arguments of a command that takes none. If done is true, the command ends
// with code.
func (c Call) NoFlags(command string) (code int, done bool) {
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(c.Args); {
	case errors.Is(err, flag.ErrHelp):
		return c.Help(), true
	case err != nil:
		return c.Misused("%s: unknown flag %.64q; it takes no flags, settings are environment variables", command, c.Args[0]), true
	case fs.NArg() > 0:
		return c.Misused("%s: unexpected argument %.64q; settings are environment variables", command, fs.Arg(0)), true
	}
	return OK, false
}
