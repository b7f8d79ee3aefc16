package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/sessions"

var sessionCommand = command{
	name: "session", form: "session COMMAND", summary: "create, show, list and revoke sessions", run: sessions.Run,
	usage: `Usage: broadcaster session COMMAND

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
`,
}
