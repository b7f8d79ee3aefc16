package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/producer"

var feedCommand = command{
	name: "feed", form: "feed COMMAND", summary: "produce quotes: simulate, or replay recorded ones", lasting: true, run: producer.Run,
	parts: []part{{"simulate", []string{"rate", "symbols", "seed", "count", "duration", "source"}},
		{"replay", []string{"speed", "symbol", "zone", "from", "keep-time", "source", "loop"}}},
	usage: `Usage: broadcaster feed COMMAND

Produces quotes and publishes them through Redis.

  simulate        simulated quotes of 28 major and cross pairs
  replay FILE...  recorded quotes of Dukascopy, HistData, TrueFX, MetaTrader and
                  others, from files, pipes or standard input

Set REDIS_URL to the Redis of the server. See "broadcaster feed COMMAND --help".
`,
}
