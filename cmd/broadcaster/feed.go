package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/producer"

var feedCommand = command{
	name: "feed", form: "feed COMMAND", summary: "produce quotes: simulate, replay recorded ones, pipe them in, or connect to a vendor", lasting: true, run: producer.Run,
	parts: []part{{"simulate", []string{"rate", "symbols", "seed", "count", "duration", "source"}},
		{"replay", []string{"speed", "symbol", "zone", "from", "keep-time", "source", "loop"}},
		{"pipe", []string{"source"}},
		{"connect", []string{"symbols", "url", "key-file", "account", "source", "metrics"}}},
	usage: `Usage: broadcaster feed COMMAND

Produces quotes and publishes them through Redis.

  simulate        simulated quotes of 28 major and cross pairs
  replay FILE...  recorded quotes of Dukascopy, HistData, TrueFX, MetaTrader and
                  others, from files, pipes or standard input
  pipe            quotes of standard input, one JSON object a line
  connect VENDOR  quotes of OANDA, Kraken, Massive or the European Central Bank

Set REDIS_URL to the Redis of the server. See "broadcaster feed COMMAND --help".
`,
}
