package redisadmin

import (
	"maps"
	"strconv"
	"strings"
)

// serverKind is what decides the defaults of a server and the name in texts about it.
type serverKind struct {
	name  string // "redis", "valkey", …; "" = unknown
	major int    // 0 = unknown
}

func (i Info) kind() serverKind {
	if i.Server == nil {
		return serverKind{}
	}
	major, _, _ := strings.Cut(string(i.Server.Version), ".")
	n, _ := strconv.Atoi(major)
	return serverKind{i.Server.Name, n}
}

// lazyDefaults are the settings whose default is no in Redis and yes in Valkey since 8.0.
var lazyDefaults = []string{
	"lazyfree-lazy-eviction", "lazyfree-lazy-expire", "lazyfree-lazy-server-del", "lazyfree-lazy-user-del", "lazyfree-lazy-user-flush", "replica-lazy-flush",
}

// defaults returns the values that a server of this kind uses if its file does not name a setting.
// Those that depend on an unknown kind are left out.
func (k serverKind) defaults() map[string]string {
	all := maps.Clone(confDefaults)
	for _, name := range lazyDefaults {
		switch {
		case k.name == "valkey" && k.major >= 8:
			all[name] = "yes"
		case k.name == "redis" || k.name == "valkey" && k.major > 0:
			all[name] = "no"
		}
	}
	return all
}

var asValkey = strings.NewReplacer("redis-cli", "valkey-cli", "redis.conf", "valkey.conf", "Redis", "Valkey")

// text returns a text about a Redis server with the name of this kind.
func (k serverKind) text(about string) string {
	if k.name == "valkey" {
		return asValkey.Replace(about)
	}
	return about
}
