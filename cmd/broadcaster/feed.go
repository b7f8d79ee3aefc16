package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/producer"

var feedCommand = command{
	name: "feed", form: "feed COMMAND", summary: "produce quotes: simulate, replay recorded ones, or pipe them in", lasting: true, run: producer.Run,
	parts: []part{{"simulate", []string{"rate", "symbols", "seed", "count", "duration", "source"}},
		{"replay", []string{"speed", "symbol", "zone", "from", "keep-time", "source", "loop"}},
		{"pipe", []string{"source"}}},
	usage: `Usage: broadcaster feed COMMAND

Produces quotes and publishes them through Redis.

  simulate        simulated quotes of 28 major and cross pairs
  replay FILE...  recorded quotes of Dukascopy, HistData, TrueFX, MetaTrader and
                  others, from files, pipes or standard input
  pipe            quotes of standard input, one JSON object a line

Set REDIS_URL to the Redis of the server. See "broadcaster feed COMMAND --help".
`,
}
