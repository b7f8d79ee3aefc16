package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fxcast/fxcast/session"
)

const sessionUsage = `Usage: broadcaster session COMMAND

Sessions from the terminal. They are in the Redis that REDIS_URL names, and the
settings are those of the server.

  create --user U --role R   make a session and show its token, this once
         [--ttl D]           idle lifetime, such as 30m (default SESSION_TTL)
         [--data JSON]       what the application wants to keep with it
  show ID                    one session, by its public id
  list --user U              all sessions of a user
  revoke ID                  end a session and close its sockets on every node
  revoke --user U            end all sessions of a user

  --json                     with each: JSON instead of a table

ID is the session_id, which is not the token. Exit code 1: no such session, or
Redis does not answer.
`

// sessionTimeout bounds what one command does in Redis.
const sessionTimeout = 10 * time.Second

// A sessionRequest is a command line of `session` that makes sense.
type sessionRequest struct {
	command    string
	id, user   string
	role, data string
	ttl        time.Duration
	json       bool
}

// parseSession reads the arguments of `session`. flag.ErrHelp asks for help.
func parseSession(args []string) (r sessionRequest, err error) {
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
		return r, fmt.Errorf("unknown command %.64q, want one of: create, show, list, revoke", r.command)
	}
	rest, err := parseMixed(fs, args[1:])
	if err != nil {
		return r, err
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	takesID := r.command == "show" || r.command == "revoke" && !given["user"]
	switch {
	case takesID && len(rest) == 0 && r.command == "revoke":
		return r, errors.New("want the id of a session, or --user")
	case takesID && len(rest) == 0:
		return r, errors.New("want the id of a session")
	case takesID && !session.ValidID(rest[0]):
		// Not shown: it may be the token.
		return r, errors.New("the id of a session is 64 lower-case hex digits, and not its token")
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

// runSession is `broadcaster session`. It returns the exit code.
func runSession(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	r, err := parseSession(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, sessionUsage)
		return exitOK
	}
	name := "session"
	if r.command != "" {
		name += " " + r.command
	}
	if err != nil {
		if r.command == "" || strings.HasPrefix(err.Error(), "unknown command") {
			name = "session"
		}
		return usageFault(stderr, "%s: %v", name, err)
	}
	cfg, err := loadConfig(environ)
	if err == nil && cfg.Embedded() {
		err = errNoRedis
	}
	if err != nil {
		return settingsFault(stderr, err)
	}
	logger := startLog(cfg, stderr)
	for _, w := range cfg.Warnings {
		logger.Warn(w)
	}
	if _, ok := cfg.Session.Roles.For(r.role); r.role != "" && !ok {
		logger.Warn("the role is not in ROLES; where the server does not have it either, such a session gets no symbols",
			"role", r.role, "known", cfg.Session.Roles.Names())
	}
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	err = r.run(ctx, cfg, logger, stdout)
	switch {
	case errors.Is(err, session.ErrInvalid):
		return usageFault(stderr, "%s: %v", name, err)
	case err != nil:
		fmt.Fprintf(stderr, "broadcaster: %s: %v\n", name, err)
		return exitFailed
	}
	return exitOK
}

// run carries out the command.
func (r sessionRequest) run(ctx context.Context, cfg Config, logger *slog.Logger, stdout io.Writer) error {
	client, err := openRedis(ctx, cfg, openOptions{Name: "broadcaster-session", Logger: logger, Require: true})
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
			return writeIndented(stdout, struct {
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
			return writeIndented(stdout, s)
		}
		return writeSession(stdout, s)
	case "list":
		list, err := m.List(ctx, r.user)
		if err != nil {
			return err
		}
		if r.json {
			return writeIndented(stdout, list)
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
			return writeIndented(stdout, map[string]int{"revoked": n})
		}
		fmt.Fprintln(stdout, "revoked", n)
		return nil
	}
}

func writeIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeSession prints all of a session, without its token.
func writeSession(w io.Writer, s session.Session) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range [][2]string{
		{"session_id", s.ID}, {"user", s.UserID}, {"role", s.Role}, {"created", when(s.CreatedAt)}, {"last seen", when(s.LastSeenAt)},
		{"expires", when(s.ExpiresAt)}, {"at latest", when(s.AbsoluteExpiresAt)}, {"address", s.Address}, {"agent", s.Agent}, {"data", string(s.Data)},
	} {
		fmt.Fprintf(t, "%s\t%s\n", f[0], orDash(printable(f[1])))
	}
	return t.Flush()
}

func writeSessions(w io.Writer, list []session.Session) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION_ID\tROLE\tCREATED\tLAST SEEN\tEXPIRES\tADDRESS")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, printable(s.Role), when(s.CreatedAt), when(s.LastSeenAt), when(s.ExpiresAt), orDash(printable(s.Address)))
	}
	return t.Flush()
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// printable takes out what could move a terminal's cursor: other programs, and
// clients, wrote this.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
