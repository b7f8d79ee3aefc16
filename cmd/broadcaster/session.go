package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/sessions"

var sessionCommand = command{
	name: "session", form: "session COMMAND", summary: "create, show, list and revoke sessions", run: sessions.Run,
	parts: []part{{"create", []string{"user", "role", "ttl", "data", "json"}}, {"show", []string{"json"}},
		{"list", []string{"user", "json"}}, {"revoke", []string{"user", "json"}}},
	usage: `Usage: broadcaster session COMMAND

Manages sessions in the Redis of REDIS_URL, with the settings of the server.

  create --user U --role R   create a session and show its token, only once
         [--ttl D]           idle lifetime, such as 30m (default SESSION_TTL)
         [--data JSON]       data that the application keeps with the session
  show ID                    show one session, by its public id
  list --user U              list all sessions of a user
  revoke ID                  end a session and close its sockets on every node
  revoke --user U            end all sessions of a user

  --json                     with any command: JSON instead of a table

ID is the session_id, not the token. The exit code is 1 if there is no such
session or Redis does not answer.
`,
}
