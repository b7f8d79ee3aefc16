package redisadmin

import (
	"slices"
	"strings"
)

// confDefaults is what Redis takes for settings that matter here where its file
// does not name them: the same from 6.2 on. save and bind are left out, their
// defaults changed.
var confDefaults = map[string]string{
	"maxmemory": "0", "maxmemory-policy": "noeviction", "maxmemory-samples": "5", "maxclients": "10000",
	"appendonly": "no", "appendfsync": "everysec", "notify-keyspace-events": "", "timeout": "0", "tcp-keepalive": "300",
	"hz": "10", "dynamic-hz": "yes", "slowlog-log-slower-than": "10000", "latency-monitor-threshold": "0",
	"requirepass": "", "masterauth": "", "protected-mode": "yes", "stop-writes-on-bgsave-error": "yes",
	"lazyfree-lazy-eviction": "no", "lazyfree-lazy-expire": "no",
	"client-output-buffer-limit": "pubsub 32mb 8mb 60",
}

// confMeaning is what a difference in a setting does to this program.
var confMeaning = map[string]string{
	"maxmemory":                   "When memory is full, quotes and limiter windows are evicted, and with a lower limit earlier. 0: the machine's memory is the limit, and the system ends Redis.",
	"maxmemory-policy":            "Decides what goes first when memory is full: only volatile-ttl and noeviction leave idle sessions alone.",
	"maxmemory-samples":           "How closely eviction follows its policy; fewer samples may take a session before a quote.",
	"maxclients":                  "Above it connections are refused: nodes need a pool and subscribers each.",
	"appendonly":                  "Without the append-only file a crash brings revoked sessions back, or loses the new ones.",
	"appendfsync":                 "What a crash may lose: a second with everysec, more with no; always makes every write wait for the disk.",
	"save":                        "How often a snapshot is written; without one there is no backup beside the append-only file.",
	"notify-keyspace-events":      "Without E, x and g the sockets of a session that expires, or that another program deletes, close within 5 s instead of at once.",
	"timeout":                     "When idle connections are closed. Below 240 s the server closes pool connections that are still wanted.",
	"tcp-keepalive":               "How long a vanished subscriber holds its connection and its buffer.",
	"hz":                          "How often expired keys are looked for: lower keeps quotes and windows in memory longer, higher costs time.",
	"dynamic-hz":                  "Whether hz grows with the number of clients.",
	"requirepass":                 "Who may connect. It has no effect together with an ACL file.",
	"masterauth":                  "With another password than the master's, a replica does not follow it.",
	"masteruser":                  "With a user the master does not know, a replica does not follow it.",
	"aclfile":                     "Who may do what: with another file, other users and passwords.",
	"protected-mode":              "Off, a server without a password answers anyone who reaches it.",
	"bind":                        "On which addresses it can be reached.",
	"port":                        "Where it can be reached.",
	"client-output-buffer-limit":  "How much one slow subscriber may hold before it is cut off; unlimited, it takes the memory of the others.",
	"slowlog-log-slower-than":     "From how many microseconds on a command is in the slow log; negative: never.",
	"slowlog-max-len":             "How many slow commands are kept.",
	"latency-monitor-threshold":   "From how many milliseconds on a delay is kept; 0: none, and LATENCY has nothing to tell.",
	"stop-writes-on-bgsave-error": "Whether a failed snapshot stops all writes, and with them all quotes.",
	"replicaof":                   "Whom it follows. A failover changes it, and that is as it should be.",
	"databases":                   "REDIS_DB must be below it.",
	"dir":                         "Where the append-only file and snapshots are: with another one it starts empty.",
	"dbfilename":                  "Which snapshot it starts from.",
	"appendfilename":              "Which append-only file it starts from.",
	"appenddirname":               "Which append-only file it starts from.",
	"cluster-enabled":             "Whether it is part of a cluster; REDIS_MODE must fit.",
	"io-threads":                  "How many threads write to clients; many subscribers gain from a few.",
	"tcp-backlog":                 "How many connections may wait when all nodes connect again at once.",
}

func meaningOf(name string) string {
	if text := confMeaning[newName(name)]; text != "" {
		return text
	}
	if strings.HasPrefix(name, "lazyfree-") || strings.HasSuffix(name, "-lazy-flush") {
		return "Without it large values are freed while everybody waits."
	}
	if strings.HasPrefix(name, "tls-") {
		return "Who can connect over TLS, and with which certificates."
	}
	return "The file or the server was changed after the start; a restart takes the file's value."
}

// Settings that CONFIG SET refuses, as Redis 7.0 has them.
var confAtStart = strings.Fields(`aclfile always-show-logo aof_rewrite_cpulist appenddirname appendfilename bgsave_cpulist bio_cpulist
	cluster-config-file cluster-enabled cluster-port daemonize databases disable-thp enable-debug-command enable-module-command
	enable-protected-configs io-threads io-threads-do-reads logfile pidfile rdbchecksum replicaof server_cpulist set-proc-title
	socket-mark-id supervised syslog-enabled syslog-facility syslog-ident tcp-backlog unixsocket unixsocketperm`)

// applyOf tells how a setting can be changed.
func applyOf(name string) string {
	switch name = newName(name); {
	case slices.Contains(confAtStart, name):
		return ApplyRestart
	case name == "dir" || name == "dbfilename" || secretSetting(name):
		return ApplyByHand
	}
	return ApplyLive
}
