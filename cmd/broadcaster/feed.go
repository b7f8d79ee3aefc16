package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/producer"

var feedCommand = command{
	name: "feed", form: "feed COMMAND", summary: "produce quotes: simulate, or replay recorded ones", run: producer.Run,
	usage: `Usage: broadcaster feed COMMAND

Produces quotes and publishes them through Redis.

  simulate        quotes made up: 28 major and cross pairs
  replay FILE...  recorded quotes of Dukascopy, HistData, TrueFX, MetaTrader and
                  others, from files, pipes or standard input

"broadcaster feed COMMAND --help" says more. REDIS_URL names the Redis.
`,
}
