package monitor

import (
	"errors"
	"flag"
	"fmt"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

// A request is a valid command line of `monitor`.
type request struct {
	health, all, optimize bool
	seconds               int // --monitor; 0 = not given
	commands, apply, json bool
}

// parse reads the arguments of `monitor`. flag.ErrHelp means that the user asked for help.
func parse(args []string) (r request, err error) {
	if len(args) > 0 && args[0] == "help" {
		return r, flag.ErrHelp
	}
	fs := flag.NewFlagSet("monitor", flag.ContinueOnError)
	fs.BoolVar(&r.health, "health", false, "")
	fs.BoolVar(&r.all, "all", false, "")
	fs.BoolVar(&r.optimize, "optimize", false, "")
	fs.IntVar(&r.seconds, "monitor", 0, "")
	fs.BoolVar(&r.commands, "commands", false, "")
	fs.BoolVar(&r.apply, "apply", false, "")
	fs.BoolVar(&r.json, "json", false, "")
	rest, err := cli.ParseMixed(fs, args)
	if err != nil {
		return r, err
	}
	given := cli.Given(fs)
	asked := 0
	for _, one := range []bool{r.health, r.all, r.optimize, given["monitor"]} {
		if one {
			asked++
		}
	}
	switch {
	case len(rest) > 0:
		return r, fmt.Errorf("unexpected argument %.64q", rest[0])
	case asked == 0:
		return r, errors.New("want one of: --health, --all, --monitor N, --optimize")
	case asked > 1:
		return r, errors.New("want only one of: --health, --all, --monitor N, --optimize")
	case given["monitor"] && (r.seconds < 1 || r.seconds > maxSeconds):
		return r, fmt.Errorf("--monitor: want a number of seconds from 1 to %d, got %d", maxSeconds, r.seconds)
	case r.commands && r.seconds == 0:
		return r, errors.New("--commands: only with --monitor N")
	case r.apply && !r.optimize:
		return r, errors.New("--apply: only with --optimize")
	}
	return r, nil
}
