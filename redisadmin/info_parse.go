package redisadmin

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Bounds of an INFO, whatever the server sends.
const (
	maxInfoCommands  = 2000
	maxInfoReplicas  = 100
	maxInfoDatabases = 10_000
	maxInfoText      = 4096 // a path may be this long
)

// ParseInfo parses the text of INFO, of Redis 6.2 and later and of its forks. It ignores unknown
// lines. A known field with an impossible value is unknown, and the error names it.
func ParseInfo(text string) (Info, error) {
	sections := map[string]fields{}
	name := ""
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "#"); ok {
			name = strings.ToLower(strings.TrimSpace(title))
			if sections[name] == nil {
				sections[name] = fields{}
			}
			continue
		}
		if key, value, ok := strings.Cut(line, ":"); ok && name != "" && key != "" {
			sections[name][key] = value
		}
	}
	var p infoParser
	info := Info{
		Server: p.server(sections["server"]), Clients: p.clients(sections["clients"]), Memory: p.memory(sections["memory"]),
		Persistence: p.persistence(sections["persistence"]), Stats: p.stats(sections["stats"]),
		Replication: p.replication(sections["replication"]), CPU: p.cpu(sections["cpu"]), Cluster: p.cluster(sections["cluster"]),
		Keyspace: p.keyspace(sections["keyspace"]), Commands: p.commands(sections["commandstats"]),
		Percentiles: p.percentiles(sections["latencystats"]), Errors: p.errors(sections["errorstats"]),
	}
	return info, p.err
}

func (p *infoParser) server(f fields) *ServerInfo {
	if len(f) == 0 {
		return nil
	}
	s := &ServerInfo{
		Name: "redis", Version: word(f, "redis_version"), RunID: word(f, "run_id"), ConfigFile: word(f, "config_file"),
		Mode: cmp.Or(word(f, "redis_mode"), word(f, "server_mode")), UptimeSeconds: p.count(f, "uptime_in_seconds"), Hz: p.count(f, "hz"),
	}
	if name := word(f, "server_name"); name != "" {
		s.Name = string(name)
	}
	if v := word(f, s.Name+"_version"); v != "" {
		s.Version = v
	}
	return s
}

func (p *infoParser) clients(f fields) *ClientsInfo {
	if len(f) == 0 {
		return nil
	}
	return &ClientsInfo{
		Connected: p.count(f, "connected_clients"), Max: p.count(f, "maxclients"), Blocked: p.count(f, "blocked_clients"),
		Tracking: p.count(f, "tracking_clients"), PubSub: p.count(f, "pubsub_clients"),
		RecentLargestOutputEntries: p.count(f, "client_recent_max_output_buffer"),
	}
}

func (p *infoParser) memory(f fields) *MemoryInfo {
	if len(f) == 0 {
		return nil
	}
	m := &MemoryInfo{
		UsedBytes: p.count(f, "used_memory"), RSSBytes: p.count(f, "used_memory_rss"), PeakBytes: p.count(f, "used_memory_peak"),
		DatasetBytes: p.count(f, "used_memory_dataset"), MaxBytes: p.count(f, "maxmemory"), SystemBytes: p.count(f, "total_system_memory"),
		ClientsBytes: p.count(f, "mem_clients_normal"), NotCountedForEvictBytes: p.count(f, "mem_not_counted_for_evict"),
		FragmentationRatio: p.decimal(f, "mem_fragmentation_ratio"), Policy: word(f, "maxmemory_policy"),
		LuaUsedBytes: p.count(f, "used_memory_vm_eval"),
	}
	if lua := p.count(f, "used_memory_lua"); !m.LuaUsedBytes.known { // the name before 7.0
		m.LuaUsedBytes = lua
	}
	return m
}

func (p *infoParser) persistence(f fields) *PersistenceInfo {
	if len(f) == 0 {
		return nil
	}
	return &PersistenceInfo{
		Loading: p.flag(f, "loading"), ChangesSinceSave: p.count(f, "rdb_changes_since_last_save"),
		SaveInProgress: p.flag(f, "rdb_bgsave_in_progress"), LastSaveUnixSeconds: p.count(f, "rdb_last_save_time"),
		LastSaveStatus: word(f, "rdb_last_bgsave_status"), LastSaveSeconds: p.count(f, "rdb_last_bgsave_time_sec"),
		AOFEnabled: p.flag(f, "aof_enabled"), AOFRewriteInProgress: p.flag(f, "aof_rewrite_in_progress"),
		AOFRewriteScheduled: p.flag(f, "aof_rewrite_scheduled"), AOFRewriteRunningSeconds: p.count(f, "aof_current_rewrite_time_sec"),
		AOFLastRewriteStatus: word(f, "aof_last_bgrewrite_status"), AOFLastWriteStatus: word(f, "aof_last_write_status"),
		AOFBytes: p.count(f, "aof_current_size"), AOFBaseBytes: p.count(f, "aof_base_size"), AOFDelayedFsyncs: p.count(f, "aof_delayed_fsync"),
	}
}

func (p *infoParser) stats(f fields) *StatsInfo {
	if len(f) == 0 {
		return nil
	}
	return &StatsInfo{
		ConnectionsReceived: p.count(f, "total_connections_received"), RejectedConnections: p.count(f, "rejected_connections"),
		CommandsProcessed: p.count(f, "total_commands_processed"), OpsPerSecond: p.count(f, "instantaneous_ops_per_sec"),
		InputBytes: p.count(f, "total_net_input_bytes"), OutputBytes: p.count(f, "total_net_output_bytes"),
		ExpiredKeys: p.count(f, "expired_keys"), EvictedKeys: p.count(f, "evicted_keys"), EvictedClients: p.count(f, "evicted_clients"),
		OutputLimitDisconnects: p.count(f, "client_output_buffer_limit_disconnections"),
		Hits:                   p.count(f, "keyspace_hits"), Misses: p.count(f, "keyspace_misses"),
		PubSubChannels: p.count(f, "pubsub_channels"), PubSubPatterns: p.count(f, "pubsub_patterns"),
		PubSubShardChannels: p.count(f, "pubsubshard_channels"),
		LatestForkMicros:    p.count(f, "latest_fork_usec"), ErrorReplies: p.count(f, "total_error_replies"),
	}
}

func (p *infoParser) replication(f fields) *ReplicationInfo {
	if len(f) == 0 {
		return nil
	}
	r := &ReplicationInfo{Role: word(f, "role"), Replicas: p.count(f, "connected_slaves"), OffsetBytes: p.count(f, "master_repl_offset"),
		GoodReplicas: p.count(f, "min_slaves_good_slaves")}
	for i := range min(r.Replicas.Or(0), maxInfoReplicas) {
		name := "slave" + strconv.FormatInt(i, 10)
		line, ok := f[name]
		if !ok {
			continue
		}
		v := pairs(line)
		r.Attached = append(r.Attached, Replica{
			Addr: printable(net.JoinHostPort(v["ip"], v["port"]), maxInfoText), State: printable(v["state"], maxInfoText), OffsetBytes: p.count(v, "offset"), LagSeconds: p.count(v, "lag"),
		})
	}
	if r.Role != "slave" {
		return r
	}
	if host := f["master_host"]; host != "" {
		r.MasterHost = Text(printable(net.JoinHostPort(host, f["master_port"]), maxInfoText))
	}
	if status, ok := f["master_link_status"]; ok {
		r.MasterLinkUp = new(status == "up")
	}
	r.MasterSilentSeconds = p.count(f, "master_last_io_seconds_ago")
	r.MasterLinkDownSeconds = p.count(f, "master_link_down_since_seconds")
	r.SyncInProgress = p.flag(f, "master_sync_in_progress")
	r.MasterSyncPendingBytes = p.count(f, "master_sync_left_bytes")
	r.ReadOnly = p.flag(f, "slave_read_only")
	r.ReplicatedOffsetBytes = p.count(f, "slave_repl_offset")
	return r
}

func (p *infoParser) cpu(f fields) *CPUInfo {
	if len(f) == 0 {
		return nil
	}
	return &CPUInfo{SystemSeconds: p.decimal(f, "used_cpu_sys"), UserSeconds: p.decimal(f, "used_cpu_user")}
}

func (p *infoParser) cluster(f fields) *ClusterInfo {
	if len(f) == 0 {
		return nil
	}
	return &ClusterInfo{Enabled: p.flag(f, "cluster_enabled")}
}

// keyspace returns nil only if the section is missing. A server without keys sends its title and
// no line.
func (p *infoParser) keyspace(f fields) []Database {
	if f == nil {
		return nil
	}
	list := []Database{}
	for name, line := range f {
		number, ok := strings.CutPrefix(name, "db")
		n, err := strconv.ParseUint(number, 10, 31)
		if !ok || err != nil || len(list) >= maxInfoDatabases {
			continue
		}
		v := pairs(line)
		list = append(list, Database{Number: int(n), Keys: p.count(v, "keys"), Expiring: p.count(v, "expires"), AverageMillis: p.count(v, "avg_ttl")})
	}
	slices.SortFunc(list, func(a, b Database) int { return a.Number - b.Number })
	return list
}

func (p *infoParser) commands(f fields) map[string]CommandStat {
	if len(f) == 0 {
		return nil
	}
	out := map[string]CommandStat{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		command, ok := strings.CutPrefix(name, "cmdstat_")
		if !ok || len(out) >= maxInfoCommands {
			continue
		}
		v := pairs(f[name])
		out[strings.ToLower(command)] = CommandStat{
			Calls: p.count(v, "calls"), Micros: p.count(v, "usec"), Rejected: p.count(v, "rejected_calls"), Failed: p.count(v, "failed_calls"),
		}
	}
	return out
}

func (p *infoParser) percentiles(f fields) map[string]LatencyPercentiles {
	if len(f) == 0 {
		return nil
	}
	out := map[string]LatencyPercentiles{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		command, ok := strings.CutPrefix(name, "latency_percentiles_usec_")
		if !ok || len(out) >= maxInfoCommands {
			continue
		}
		v := pairs(f[name])
		out[strings.ToLower(command)] = LatencyPercentiles{P50: p.decimal(v, "p50"), P99: p.decimal(v, "p99"), P999: p.decimal(v, "p99.9")}
	}
	return out
}

func (p *infoParser) errors(f fields) map[string]Number {
	if len(f) == 0 {
		return nil
	}
	out := map[string]Number{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if code, ok := strings.CutPrefix(name, "errorstat_"); ok && len(out) < maxInfoCommands {
			out[code] = p.count(pairs(f[name]), "count")
		}
	}
	return out
}
