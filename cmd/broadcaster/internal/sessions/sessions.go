// Package sessions implements `broadcaster session`, which manages sessions from the terminal.
package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/session"
)

// timeout bounds the work of one command in Redis.
const timeout = 10 * time.Second

// A request is a valid command line of `session`.
type request struct {
	command    string
	id, user   string
	role, data string
	ttl        time.Duration
	json       bool
}

// parse reads the arguments of `session`. flag.ErrHelp means that the user asked for help.
func parse(args []string) (r request, err error) {
	if len(args) == 0 {
		return r, errors.New("no command, want one of: create, show, list, revoke")
	}
	r.command = args[0]
	fs := flag.NewFlagSet(r.command, flag.ContinueOnError)
	fs.BoolVar(&r.json, "json", false, "")
	switch r.command {
	case "create":
		fs.StringVar(&r.user, "user", "", "")
		fs.StringVar(&r.role, "role", "", "")
		fs.StringVar(&r.data, "data", "", "")
		fs.DurationVar(&r.ttl, "ttl", 0, "")
	case "list", "revoke":
		fs.StringVar(&r.user, "user", "", "")
	case "show":
	case "help", "-h", "-help", "--help":
		return r, flag.ErrHelp
	default:
		return r, errors.New(cli.UnknownCommand(r.command, []string{"create", "show", "list", "revoke"}))
	}
	rest, err := cli.ParseMixed(fs, args[1:])
	if err != nil {
		return r, err
	}
	given := cli.Given(fs)
	takesID := r.command == "show" || r.command == "revoke" && !given["user"]
	switch {
	case takesID && len(rest) == 0 && r.command == "revoke":
		return r, errors.New("want the id of a session, or --user")
	case takesID && len(rest) == 0:
		return r, errors.New("want the id of a session")
	case takesID && !session.ValidID(rest[0]):
		// Not shown: it may be the token.
		return r, errors.New("the id of a session is 64 lower-case hex digits, not its token")
	case takesID:
		r.id, rest = rest[0], rest[1:]
	case r.user == "":
		return r, errors.New("--user: want the id of a user")
	}
	switch {
	case len(rest) > 0 && r.command == "revoke" && !takesID:
		return r, errors.New("want either the id of a session or --user")
	case len(rest) > 0:
		return r, fmt.Errorf("unexpected argument %.64q", rest[0])
	case r.command == "create" && r.role == "":
		return r, errors.New("--role: want a role, such as user")
	case given["ttl"] && r.ttl < time.Second:
		return r, fmt.Errorf("--ttl: want a time of at least 1s, such as 30m, got %v", r.ttl)
	case given["data"] && !json.Valid([]byte(r.data)):
		return r, errors.New(`--data: want JSON, such as '{"desk":"fx"}'`)
	}
	return r, nil
}

// Run runs `broadcaster session` and returns the exit code.
func Run(ctx context.Context, call cli.Call) int {
	r, err := parse(call.Args)
	if errors.Is(err, flag.ErrHelp) {
		return call.Help()
	}
	name := "session"
	if r.command != "" {
		name += " " + r.command
	}
	if err != nil {
		if r.command == "" || strings.HasPrefix(err.Error(), "unknown command") {
			name = "session"
		}
		return call.Misused("%s: %v", name, err)
	}
	cfg, err := call.RedisConfig()
	if err != nil {
		return call.Fail(name, err)
	}
	logger := call.StartLog(cfg.Log)
	cfg.LogWarnings(logger)
	if _, ok := cfg.Session.Roles.For(r.role); r.role != "" && !ok {
		logger.Warn("the role is not in ROLES; if the server's ROLES lacks it too, the session gets no symbols",
			"role", r.role, "known", cfg.Session.Roles.Names())
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = r.run(ctx, cfg, logger, call.Stdout)
	switch {
	case errors.Is(err, session.ErrInvalid):
		return call.Misused("%s: %v", name, err)
	case err != nil:
		return call.Fail(name, err)
	}
	return cli.OK
}

// run executes the command.
func (r request) run(ctx context.Context, cfg config.Config, logger *slog.Logger, stdout io.Writer) error {
	client, err := redisclient.Open(ctx, cfg, redisclient.Options{Name: "broadcaster-session", Logger: logger, Require: true})
	if err != nil {
		return err
	}
	defer client.Close()
	m := session.New(session.Config{Redis: client, Prefix: cfg.Redis.Prefix, TTL: cfg.Session.TTL,
		AbsoluteTTL: cfg.Session.AbsoluteTTL, Logger: logger})
	switch r.command {
	case "create":
		s, token, err := m.Create(ctx, session.Draft{UserID: r.user, Role: r.role, TTL: r.ttl, Data: json.RawMessage(r.data), Agent: "broadcaster session create"})
		if err != nil {
			return err
		}
		if r.json {
			return cli.WriteJSON(stdout, struct {
				session.Session
				Token string `json:"token"`
			}{s, token})
		}
		fmt.Fprintf(stdout, "token       %s\n", token)
		return writeSession(stdout, s)
	case "show":
		s, err := m.LoadID(ctx, r.id)
		if err != nil {
			return err
		}
		if r.json {
			return cli.WriteJSON(stdout, s)
		}
		return writeSession(stdout, s)
	case "list":
		list, err := m.List(ctx, r.user)
		if err != nil {
			return err
		}
		if r.json {
			return cli.WriteJSON(stdout, list)
		}
		return writeSessions(stdout, list)
	default: // revoke
		n := 1
		if r.id != "" {
			err = m.Revoke(ctx, r.id)
		} else {
			n, err = m.RevokeUser(ctx, r.user)
		}
		if err != nil {
			return err
		}
		if r.json {
			return cli.WriteJSON(stdout, map[string]int{"revoked": n})
		}
		fmt.Fprintln(stdout, "revoked", n)
		return nil
	}
}
