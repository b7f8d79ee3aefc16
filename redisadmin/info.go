package redisadmin

// Info is a parsed INFO. A section that was not in the text is nil. Within a section, a value that
// the server does not report is unknown (JSON null).
type Info struct {
	Server      *ServerInfo                   `json:"server"`
	Clients     *ClientsInfo                  `json:"clients"`
	Memory      *MemoryInfo                   `json:"memory"`
	Persistence *PersistenceInfo              `json:"persistence"`
	Stats       *StatsInfo                    `json:"stats"`
	Replication *ReplicationInfo              `json:"replication"`
	CPU         *CPUInfo                      `json:"cpu"`
	Cluster     *ClusterInfo                  `json:"cluster"`
	Keyspace    []Database                    `json:"keyspace"` // by number; empty and not nil: no keys
	Commands    map[string]CommandStat        `json:"commands"` // by lower-case name, "config|get" for a subcommand
	Percentiles map[string]LatencyPercentiles `json:"latency_percentiles"`
	Errors      map[string]Number             `json:"errors"` // replies by error code, "NOPERM"
}

// ServerInfo is the section "server".
type ServerInfo struct {
	Name          string `json:"name"`        // "redis", or the name of a fork ("valkey")
	Version       Text   `json:"version"`     // of the fork, if it is one; "7.0.15"
	RunID         Text   `json:"run_id"`      // changes with every start of the process
	Mode          Text   `json:"mode"`        // standalone, sentinel or cluster
	ConfigFile    Text   `json:"config_file"` // empty: the server was started without one
	UptimeSeconds Number `json:"uptime_seconds"`
	Hz            Number `json:"hz"`
}

// ClientsInfo is the section "clients".
type ClientsInfo struct {
	Connected                  Number `json:"connected_clients"` // without replicas
	Max                        Number `json:"max_clients"`       // maxclients
	Blocked                    Number `json:"blocked_clients"`   // waiting in BLPOP and the like
	Tracking                   Number `json:"tracking_clients"`  // with client-side caching
	PubSub                     Number `json:"pubsub_clients"`    // subscribers; since Redis 7.4 and Valkey 8
	RecentLargestOutputEntries Number `json:"recent_largest_output_entries"`
}

// MemoryInfo is the section "memory".
type MemoryInfo struct {
	UsedBytes               Number   `json:"used_bytes"`
	RSSBytes                Number   `json:"rss_bytes"` // as the operating system sees it
	PeakBytes               Number   `json:"peak_bytes"`
	DatasetBytes            Number   `json:"dataset_bytes"`  // keys and values
	MaxBytes                Number   `json:"max_bytes"`      // 0 = no limit
	SystemBytes             Number   `json:"system_bytes"`   // of the machine
	LuaUsedBytes            Number   `json:"lua_used_bytes"` // of the script engine
	ClientsBytes            Number   `json:"clients_bytes"`  // buffers of ordinary clients
	NotCountedForEvictBytes Number   `json:"not_counted_for_evict_bytes"`
	FragmentationRatio      *float64 `json:"fragmentation_ratio"` // RSS / used; nil = unknown
	Policy                  Text     `json:"maxmemory_policy"`    // maxmemory-policy
}

// PersistenceInfo is the section "persistence".
type PersistenceInfo struct {
	Loading                  *bool  `json:"loading"` // the data is still being read from disk
	ChangesSinceSave         Number `json:"changes_since_save"`
	SaveInProgress           *bool  `json:"save_in_progress"`
	LastSaveUnixSeconds      Number `json:"last_save_unix_seconds"`
	LastSaveStatus           Text   `json:"last_save_status"`  // ok or err
	LastSaveSeconds          Number `json:"last_save_seconds"` // its duration; unknown if there was none
	AOFEnabled               *bool  `json:"aof_enabled"`
	AOFRewriteInProgress     *bool  `json:"aof_rewrite_in_progress"`
	AOFRewriteScheduled      *bool  `json:"aof_rewrite_scheduled"`
	AOFRewriteRunningSeconds Number `json:"aof_rewrite_running_seconds"` // unknown if none is running
	AOFLastRewriteStatus     Text   `json:"aof_last_rewrite_status"`     // ok or err
	AOFLastWriteStatus       Text   `json:"aof_last_write_status"`       // ok or err
	AOFBytes                 Number `json:"aof_bytes"`                   // known if enabled
	AOFBaseBytes             Number `json:"aof_base_bytes"`              // after the last rewrite
	AOFDelayedFsyncs         Number `json:"aof_delayed_fsyncs"`
}

// StatsInfo is the section "stats". Counters start at the start of the process or at CONFIG
// RESETSTAT.
type StatsInfo struct {
	ConnectionsReceived    Number `json:"connections_received"`
	RejectedConnections    Number `json:"rejected_connections"` // over maxclients
	CommandsProcessed      Number `json:"commands_processed"`
	OpsPerSecond           Number `json:"ops_per_second"`
	InputBytes             Number `json:"input_bytes"`
	OutputBytes            Number `json:"output_bytes"`
	ExpiredKeys            Number `json:"expired_keys"`
	EvictedKeys            Number `json:"evicted_keys"`
	EvictedClients         Number `json:"evicted_clients"`          // since Redis 7.0
	OutputLimitDisconnects Number `json:"output_limit_disconnects"` // for a full output buffer; since Redis 7.2 and Valkey 8
	Hits                   Number `json:"hits"`
	Misses                 Number `json:"misses"`
	PubSubChannels         Number `json:"pubsub_channels"`
	PubSubPatterns         Number `json:"pubsub_patterns"`
	PubSubShardChannels    Number `json:"pubsub_shard_channels"` // since Redis 7.0
	LatestForkMicros       Number `json:"latest_fork_micros"`
	ErrorReplies           Number `json:"error_replies"` // since Redis 6.2
}

// ReplicationInfo is the section "replication".
type ReplicationInfo struct {
	Role     Text      `json:"role"`     // master or slave
	Replicas Number    `json:"replicas"` // connected ones, of a master
	Attached []Replica `json:"attached"` // of a master

	// Replicas that answered within min-replicas-max-lag; unknown unless min-replicas-to-write is set.
	GoodReplicas Number `json:"good_replicas"`
	OffsetBytes  Number `json:"offset_bytes"`

	// Of a replica.
	MasterHost             Text   `json:"master_host"`
	MasterLinkUp           *bool  `json:"master_link_up"`
	MasterSilentSeconds    Number `json:"master_silent_seconds"` // since its last message; unknown while the link is down
	MasterLinkDownSeconds  Number `json:"master_link_down_seconds"`
	SyncInProgress         *bool  `json:"sync_in_progress"`
	ReadOnly               *bool  `json:"read_only"`
	ReplicatedOffsetBytes  Number `json:"replicated_offset_bytes"`
	MasterSyncPendingBytes Number `json:"master_sync_pending_bytes"`
}

// Replica is a replica that is connected to a master.
type Replica struct {
	Addr        string `json:"addr"`
	State       string `json:"state"` // online when it is up to date
	OffsetBytes Number `json:"offset_bytes"`
	LagSeconds  Number `json:"lag_seconds"` // since its last acknowledgment
}

// CPUInfo is the section "cpu": processor seconds since the start.
type CPUInfo struct {
	SystemSeconds *float64 `json:"system_seconds"`
	UserSeconds   *float64 `json:"user_seconds"`
}

// ClusterInfo is the section "cluster".
type ClusterInfo struct {
	Enabled *bool `json:"enabled"`
}

// Database is one line of the section "keyspace".
type Database struct {
	Number        int    `json:"db"`
	Keys          Number `json:"keys"`
	Expiring      Number `json:"expiring"`           // keys with a time to live
	AverageMillis Number `json:"average_ttl_millis"` // estimated by the server; 0 = no estimate
}

// CommandStat is one line of the section "commandstats".
type CommandStat struct {
	Calls    Number `json:"calls"`
	Micros   Number `json:"total_micros"` // of all calls together
	Rejected Number `json:"rejected"`     // not executed: wrong arguments, no permission; since Redis 6.2
	Failed   Number `json:"failed"`       // executed, and failed; since Redis 6.2
}

// LatencyPercentiles is one line of the section "latencystats", in microseconds. Redis sends it
// since 7.0.
type LatencyPercentiles struct {
	P50  *float64 `json:"p50_micros"`
	P99  *float64 `json:"p99_micros"`
	P999 *float64 `json:"p999_micros"`
}

// HitRatio returns the share of look-ups that found their key, from 0 to 1. ok is false without
// look-ups, or if the server does not count them.
func (i Info) HitRatio() (ratio float64, ok bool) {
	if i.Stats == nil {
		return 0, false
	}
	return hitRatio(i.Stats.Hits, i.Stats.Misses)
}

func hitRatio(hits, misses Number) (ratio float64, ok bool) {
	h, known := hits.Get()
	m, both := misses.Get()
	if !known || !both || h < 0 || m < 0 || float64(h)+float64(m) == 0 {
		return 0, false
	}
	return float64(h) / (float64(h) + float64(m)), true
}
