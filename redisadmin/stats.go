package redisadmin

import (
	"context"
	"slices"
	"time"
)

// Stats are the statistics of a server, or sums over the masters of a cluster. Counters start at
// the start of the process or at CONFIG RESETSTAT. A value that the server does not report is null
// in JSON.
type Stats struct {
	At            time.Time     `json:"at"`
	Nodes         int           `json:"nodes"`            // masters asked
	Silent        []string      `json:"silent,omitempty"` // masters that did not answer; sums leave them out
	Version       Text          `json:"version"`          // of the first master
	UptimeSeconds Number        `json:"uptime_seconds"`   // the shortest
	Clients       StatsClients  `json:"clients"`
	Memory        StatsMemory   `json:"memory"`
	OpsPerSecond  Number        `json:"ops_per_second"` // over about the last 1.6 s
	Commands      Number        `json:"commands_processed"`
	InputBytes    Number        `json:"network_input_bytes"`
	OutputBytes   Number        `json:"network_output_bytes"`
	Keyspace      []Database    `json:"keyspace"` // nil = unknown
	Hits          Number        `json:"hits"`
	Misses        Number        `json:"misses"`
	HitRatio      *float64      `json:"hit_ratio"` // null without look-ups
	Evictions     Number        `json:"evictions"`
	Expired       Number        `json:"expired_keys"`
	Rejected      Number        `json:"rejected_connections"`
	PubSub        StatsChannels `json:"pubsub"`
	Keys
}

// StatsClients counts connections.
type StatsClients struct {
	Connected Number `json:"connected"`
	Max       Number `json:"max"`
	Blocked   Number `json:"blocked"`
	PubSub    Number `json:"pubsub"` // subscribers
}

// StatsMemory is the memory of the servers.
type StatsMemory struct {
	UsedBytes          Number   `json:"used_bytes"`
	PeakBytes          Number   `json:"peak_bytes"`
	RSSBytes           Number   `json:"rss_bytes"`
	MaxBytes           Number   `json:"max_bytes"`           // 0 = no limit
	FragmentationRatio *float64 `json:"fragmentation_ratio"` // RSS / used; the largest of the masters
	Policy             Text     `json:"maxmemory_policy"`    // of the first master
}

// StatsChannels counts channels with subscribers.
type StatsChannels struct {
	Channels      Number `json:"channels"`
	Patterns      Number `json:"patterns"`
	ShardChannels Number `json:"shard_channels"` // since Redis 7.0
}

// Stats reads the statistics and counts the keys of each kind. The error is ErrUnavailable if no
// master answered.
func (a *Admin) Stats(ctx context.Context) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return Stats{}, err
	}
	list, parts := make([]MasterInfo, len(servers)), make([]Stats, len(servers))
	counts := make([]keyCounts, len(servers))
	forEach(servers, func(i int, srv server) {
		info, err := a.info(ctx, srv)
		list[i] = MasterInfo{Addr: srv.addr, Info: info, Err: err}
		if err != nil {
			return
		}
		parts[i] = statsOf(info)
		srv.fillStats(ctx, &parts[i])
		counts[i] = a.countKeys(ctx, srv)
	})
	if err := allLost(list); err != nil {
		return Stats{}, err
	}
	s := Stats{At: time.Now().UTC(), Nodes: len(servers)}
	first := true
	for i, part := range parts {
		if list[i].Err != nil {
			s.Silent = append(s.Silent, list[i].Addr)
			continue
		}
		if first {
			at, all, silent := s.At, s.Nodes, s.Silent
			s = part
			s.At, s.Nodes, s.Silent, first = at, all, silent, false
			continue
		}
		s.add(part)
	}
	if ratio, ok := hitRatio(s.Hits, s.Misses); ok {
		s.HitRatio = &ratio
	}
	s.Keys = sumKeys(counts)
	return s, nil
}

// statsOf returns the statistics that INFO holds.
func statsOf(info Info) Stats {
	s := Stats{Keyspace: info.Keyspace}
	if v := info.Server; v != nil {
		s.Version, s.UptimeSeconds = v.Version, v.UptimeSeconds
	}
	if c := info.Clients; c != nil {
		s.Clients = StatsClients{Connected: c.Connected, Max: c.Max, Blocked: c.Blocked, PubSub: c.PubSub}
	}
	if m := info.Memory; m != nil {
		s.Memory = StatsMemory{
			UsedBytes: m.UsedBytes, PeakBytes: m.PeakBytes, RSSBytes: m.RSSBytes, MaxBytes: m.MaxBytes,
			FragmentationRatio: m.FragmentationRatio, Policy: m.Policy,
		}
	}
	if t := info.Stats; t != nil {
		s.OpsPerSecond, s.Commands, s.InputBytes, s.OutputBytes = t.OpsPerSecond, t.CommandsProcessed, t.InputBytes, t.OutputBytes
		s.Hits, s.Misses, s.Evictions, s.Expired, s.Rejected = t.Hits, t.Misses, t.EvictedKeys, t.ExpiredKeys, t.RejectedConnections
		s.PubSub = StatsChannels{Channels: t.PubSubChannels, Patterns: t.PubSubPatterns, ShardChannels: t.PubSubShardChannels}
	}
	return s
}

// fillStats fills in statistics that INFO lacks but other commands report.
func (srv server) fillStats(ctx context.Context, s *Stats) {
	if !s.PubSub.Channels.known {
		if list, err := srv.client.PubSubChannels(ctx, "*").Result(); err == nil {
			s.PubSub.Channels = Known(int64(len(list)))
		}
	}
	if !s.PubSub.Patterns.known {
		if count, err := srv.client.PubSubNumPat(ctx).Result(); err == nil {
			s.PubSub.Patterns = Known(count)
		}
	}
	if !s.Clients.PubSub.known { // before Redis 7.4
		if list, err := srv.clients(ctx, PubSubClients); err == nil {
			s.Clients.PubSub = Known(int64(len(list)))
		}
	}
}

// add adds the statistics of another master.
func (s *Stats) add(o Stats) {
	for _, p := range []struct {
		to   *Number
		with Number
	}{
		{&s.Clients.Connected, o.Clients.Connected}, {&s.Clients.Max, o.Clients.Max}, {&s.Clients.Blocked, o.Clients.Blocked},
		{&s.Clients.PubSub, o.Clients.PubSub}, {&s.Memory.UsedBytes, o.Memory.UsedBytes}, {&s.Memory.PeakBytes, o.Memory.PeakBytes},
		{&s.Memory.RSSBytes, o.Memory.RSSBytes}, {&s.OpsPerSecond, o.OpsPerSecond}, {&s.Commands, o.Commands},
		{&s.InputBytes, o.InputBytes}, {&s.OutputBytes, o.OutputBytes}, {&s.Hits, o.Hits}, {&s.Misses, o.Misses},
		{&s.Evictions, o.Evictions}, {&s.Expired, o.Expired}, {&s.Rejected, o.Rejected}, {&s.PubSub.Channels, o.PubSub.Channels},
		{&s.PubSub.Patterns, o.PubSub.Patterns}, {&s.PubSub.ShardChannels, o.PubSub.ShardChannels},
	} {
		*p.to = p.to.add(p.with)
	}
	// If one master has no limit, the sum has none.
	if s.Memory.MaxBytes.Or(0) == 0 || o.Memory.MaxBytes.Or(0) == 0 {
		s.Memory.MaxBytes = Number{known: s.Memory.MaxBytes.known && o.Memory.MaxBytes.known}
	} else {
		s.Memory.MaxBytes = s.Memory.MaxBytes.add(o.Memory.MaxBytes)
	}
	if r := o.Memory.FragmentationRatio; r != nil && (s.Memory.FragmentationRatio == nil || *r > *s.Memory.FragmentationRatio) {
		s.Memory.FragmentationRatio = r
	}
	if up, ok := o.UptimeSeconds.Get(); ok {
		s.UptimeSeconds = Known(min(up, s.UptimeSeconds.Or(up)))
	}
	s.Keyspace = addDatabases(s.Keyspace, o.Keyspace)
}

// addDatabases adds two keyspaces. A nil keyspace is unknown.
func addDatabases(a, b []Database) []Database {
	sum := slices.Clone(a)
	if sum == nil {
		sum = b[:0:0]
	}
	for _, d := range b {
		i := slices.IndexFunc(sum, func(s Database) bool { return s.Number == d.Number })
		if i < 0 {
			sum = append(sum, d)
			continue
		}
		s := &sum[i]
		s.Keys, s.Expiring = s.Keys.add(d.Keys), s.Expiring.add(d.Expiring)
		s.AverageMillis = Known(max(s.AverageMillis.Or(0), d.AverageMillis.Or(0)))
	}
	return sum
}

// HitRatio is the share of look-ups that found their key.
type HitRatio struct {
	Hits   Number   `json:"hits"`
	Misses Number   `json:"misses"`
	Ratio  *float64 `json:"ratio"` // 0 to 1; null without look-ups, or if the server does not count them
}

// HitRatio reads the server's counters of look-ups, for all keys and programs, since its start or
// CONFIG RESETSTAT. The error is ErrUnavailable.
func (a *Admin) HitRatio(ctx context.Context) (HitRatio, error) {
	list, err := a.Masters(ctx)
	if err != nil {
		return HitRatio{}, err
	}
	var h HitRatio
	for _, n := range list {
		if s := n.Info.Stats; s != nil {
			h.Hits, h.Misses = h.Hits.add(s.Hits), h.Misses.add(s.Misses)
		}
	}
	if ratio, ok := hitRatio(h.Hits, h.Misses); ok {
		h.Ratio = &ratio
	}
	return h, nil
}

// Keyspace lists the databases that hold keys, summed over the masters. The error is
// ErrNotOffered if the server does not report them, or else ErrUnavailable.
func (a *Admin) Keyspace(ctx context.Context) ([]Database, error) {
	list, err := a.Masters(ctx)
	if err != nil {
		return nil, err
	}
	var all []Database
	for _, n := range list {
		if n.Info.Keyspace != nil {
			all = addDatabases(all, n.Info.Keyspace)
		}
	}
	if all == nil {
		return nil, ErrNotOffered
	}
	return all, nil
}
