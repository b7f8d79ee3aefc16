package redisadmin

import (
	"slices"
	"strings"
)

// confDefaults are the values that Redis uses if its file does not name a setting. They are the same
// since 6.2, and in Valkey; serverKind.defaults adds those that are not. save and bind are left out because their defaults have changed.
var confDefaults = map[string]string{
	"maxmemory": "0", "maxmemory-policy": "noeviction", "maxmemory-samples": "5", "maxclients": "10000",
	"appendonly": "no", "appendfsync": "everysec", "notify-keyspace-events": "", "timeout": "0", "tcp-keepalive": "300",
	"hz": "10", "dynamic-hz": "yes", "slowlog-log-slower-than": "10000", "latency-monitor-threshold": "0",
	"requirepass": "", "masterauth": "", "protected-mode": "yes", "stop-writes-on-bgsave-error": "yes",
	"client-output-buffer-limit": "pubsub 32mb 8mb 60",
}

// confExplanations explain how a different value of a setting affects this program.
var confExplanations = map[string]string{
	"maxmemory":                   "A full server evicts quotes and limiter windows, and with a lower limit it is full sooner. 0 means no limit: Redis grows until the system kills it.",
	"maxmemory-policy":            "Decides what a full server evicts first. Only volatile-ttl and noeviction spare idle sessions.",
	"maxmemory-samples":           "Sets how closely eviction follows the policy. With fewer samples a session may go before a quote.",
	"maxclients":                  "Redis refuses connections above it. Each node needs a pool and its subscribers.",
	"appendonly":                  "Without the append-only file a crash loses new sessions and brings revoked ones back.",
	"appendfsync":                 "Sets how much a crash may lose: a second with everysec, more with no. With always every write waits for the disk.",
	"save":                        "Sets how often Redis writes a snapshot. Without snapshots the append-only file has no backup.",
	"notify-keyspace-events":      "Without E, x and g the sockets of a session that expires, or that another program deletes, close within 5 s instead of at once.",
	"timeout":                     "Redis closes connections that are idle for longer. Below 240 s it closes pool connections that are still in use.",
	"tcp-keepalive":               "A subscriber that has vanished keeps its connection and its buffer for about this long.",
	"hz":                          "Sets how often Redis looks for expired keys. A lower value keeps quotes and windows in memory for longer, a higher one costs processor time.",
	"dynamic-hz":                  "Decides whether hz grows with the number of clients.",
	"requirepass":                 "The password of the default user. It has no effect together with an ACL file.",
	"masterauth":                  "A replica cannot follow its master if this is not the master's password.",
	"masteruser":                  "A replica cannot follow its master if the master does not know this user.",
	"aclfile":                     "Another file means other users, passwords and permissions.",
	"protected-mode":              "When it is off, a server without a password answers anyone who reaches it.",
	"bind":                        "Redis can be reached at other addresses.",
	"port":                        "Redis can be reached at another port.",
	"client-output-buffer-limit":  "Limits the memory that one slow subscriber may use before Redis disconnects it. Without a limit it takes the memory of all the others.",
	"slowlog-log-slower-than":     "The slow log keeps commands that take at least this many microseconds. A negative value turns it off.",
	"slowlog-max-len":             "The number of slow commands that Redis keeps.",
	"latency-monitor-threshold":   "LATENCY keeps events that take at least this many milliseconds. 0 turns it off.",
	"stop-writes-on-bgsave-error": "Decides whether a failed snapshot stops all writes, and all quotes with them.",
	"replicaof":                   "The server follows another master. A failover changes this, as it should.",
	"databases":                   "REDIS_DB must be below it.",
	"dir":                         "The append-only file and snapshots are in this directory. With another one the server starts empty.",
	"dbfilename":                  "The server starts from another snapshot.",
	"appendfilename":              "The server starts from another append-only file.",
	"appenddirname":               "The server starts from another append-only file.",
	"cluster-enabled":             "Decides whether the server is part of a cluster. REDIS_MODE must match.",
	"io-threads":                  "The number of threads that write to clients. A few of them help with many subscribers.",
	"tcp-backlog":                 "The number of connections that may wait while all nodes reconnect at once.",
}

// explainSetting returns what a difference in a setting means here.
func explainSetting(name string) string {
	if text := confExplanations[newName(name)]; text != "" {
		return text
	}
	if strings.HasPrefix(name, "lazyfree-") || strings.HasSuffix(name, "-lazy-flush") {
		return "Without it every client waits while Redis frees a large value."
	}
	if strings.HasPrefix(name, "tls-") {
		return "Affects who can connect over TLS, and with which certificates."
	}
	return "The file or the server was changed after the start. A restart applies the file."
}

// confAtStart are the settings that CONFIG SET refuses in Redis 6.2 to 8 and Valkey 8.
var confAtStart = strings.Fields(`aclfile always-show-logo aof-rewrite-cpulist aof_rewrite_cpulist appenddirname appendfilename bgsave-cpulist bgsave_cpulist bio-cpulist bio_cpulist
	cluster-config-file cluster-enabled cluster-port daemonize databases disable-thp enable-debug-command enable-module-command
	enable-protected-configs io-threads io-threads-do-reads logfile pidfile rdbchecksum replicaof server-cpulist server_cpulist set-proc-title
	socket-mark-id supervised syslog-enabled syslog-facility syslog-ident tcp-backlog unixsocket unixsocketgroup unixsocketperm`)

// applyOf returns how a setting can be changed.
func applyOf(name string) string {
	switch name = newName(name); {
	case slices.Contains(confAtStart, name):
		return ApplyRestart
	case name == "dir" || name == "dbfilename" || secretSetting(name):
		return ApplyByHand
	}
	return ApplyLive
}
