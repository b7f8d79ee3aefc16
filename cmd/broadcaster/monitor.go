package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/monitor"

var monitorCommand = command{
	name: "monitor", form: "monitor FLAGS", summary: "inspect Redis: health, all sections, live rates, advice", run: monitor.Run,
	flags: []string{"health", "all", "monitor", "optimize", "commands", "apply", "json"},
	usage: `Usage: broadcaster monitor FLAGS

Inspects the Redis of REDIS_URL. Give one of:

  --health      one line: healthy, degraded or unhealthy, with the reason
  --all         all sections: health, statistics, memory by kind of key,
                clients, slow commands, latency, differences from REDIS_CONF,
                advice
  --monitor N   command rates, slow commands and clients for N seconds; on a
                terminal redrawn in place until Ctrl-C
  --optimize    better values for settings of Redis, with reasons

  --commands    with --monitor: also the keys that commands touch. This uses
                MONITOR, which costs up to half of Redis's throughput.
  --apply       with --optimize: make the changes by CONFIG SET
  --json        with any of these: JSON; with --monitor one document per line

The output never shows values of keys or commands. The exit code is 1 if Redis
is unhealthy (--health), does not answer, or refuses a change.
`,
}
