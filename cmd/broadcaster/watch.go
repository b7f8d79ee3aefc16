package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/watch"

var watchCommand = command{
	name: "watch", form: "watch [SYMBOL…]", summary: "show the prices of a server", run: watch.Run,
	flags: []string{"url", "token-file", "every-tick", "json"},
	usage: `Usage: broadcaster watch [SYMBOL...] [FLAGS]

Shows the prices of a server, all of them or those of symbols and wildcards
such as EUR/USD, EUR/* and */JPY. On a terminal it is a table that is redrawn
until Ctrl-C, else one line per quote.

  --url URL           the server, http://127.0.0.1:8080 if not given
  --token-file FILE   has the bearer token of a session; without it the server
                      is asked for a guest session (GUEST_SESSIONS)
  --every-tick        every tick, one line each; gaps are reported
  --json              one JSON object per quote

It reconnects when the connection is lost, and reports that on standard error.
The exit code is 1 if the server refuses for good, or refuses all symbols.
`,
}
