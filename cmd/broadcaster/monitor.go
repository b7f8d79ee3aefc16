package main

import "github.com/fxcast/fxcast/cmd/broadcaster/internal/monitor"

var monitorCommand = command{
	name: "monitor", form: "monitor FLAGS", summary: "look at Redis: health, everything, live, what to change", run: monitor.Run,
	usage: `Usage: broadcaster monitor FLAGS

Looks at the Redis that REDIS_URL names. One of:

  --health      one line: healthy, degraded or unhealthy, and why
  --all         everything: health, numbers, memory by kind of key, clients,
                slow commands, latency, differences to REDIS_CONF, advice
  --monitor N   N seconds of commands per second, slow ones and clients; on a
                terminal redrawn in place, Ctrl-C ends it
  --optimize    the settings of Redis that would be better otherwise, and why

  --commands    with --monitor: also which keys are touched. This uses MONITOR,
                which takes up to half of the throughput of Redis while it runs.
  --apply       with --optimize: make the changes by CONFIG SET
  --json        with each: JSON; with --monitor one document a line

Values of keys and of commands are never shown. Exit code 1: with --health,
Redis is unhealthy; else it does not answer, or a change was refused.
`,
}
