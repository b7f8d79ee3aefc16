package redisadmin

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// From where checks warn.
const (
	latencyFail      = time.Second
	lagWarn          = 10   // seconds since a replica's last acknowledgement; it sends one a second
	memoryWarn       = 0.9  // of maxmemory
	memoryFail       = 0.99 // of maxmemory, where nothing can be evicted: what is asked for counts too
	systemWarn       = 0.8  // of the machine, where there is no maxmemory
	clientsWarn      = 0.9  // of maxclients
	bufferWarn       = 0.8  // of client-output-buffer-limit
	rewriteWarn      = 60   // seconds
	blockedWarn      = 10   // clients
	clusterAllSlots  = "16384"
	sessionEventsSet = "Exg"
)

// checks looks at what a node told; checks that do not concern it are left out.
func (s seen) checks() []Check {
	list := []Check{s.checkRole()}
	if r := s.info.Replication; r != nil && (r.Role == "slave" || r.Replicas.Or(0) > 0) {
		list = append(list, s.checkReplication())
	}
	list = append(list,
		s.checkMemory(), s.checkPolicy(), s.checkEvictions(), s.checkConnections(), s.checkPersistence(), s.checkAOFRewrite(),
		s.checkBlocked(), s.checkOutputBuffers(), s.checkEvents(),
	)
	if s.cluster != nil {
		list = append(list, s.checkCluster())
	}
	return list
}

func checkLatency(p Probe, slow time.Duration) Check {
	c := Check{
		Name: CheckLatency, Result: OK, Limit: Text(short(slow)),
		Value: Text(fmt.Sprintf("median %s, slowest %s of %d", short(seconds(p.MedianSeconds)), short(seconds(p.MaxSeconds)), p.Samples)),
	}
	median := seconds(p.MedianSeconds)
	if median < slow {
		return c
	}
	c.Result, c.Why = Warn, "every quote and every session check waits this long"
	if median >= latencyFail {
		c.Result = Fail
	}
	c.Do = "look for slow commands (slow log), a busy processor, swapping, or a slow network between here and Redis"
	return c
}

// none is a check the server tells nothing about.
func none(name CheckName) Check { return Check{Name: name, Result: Unknown, Why: notHere} }

func (s seen) checkRole() Check {
	c := Check{Name: CheckRole, Result: OK, Limit: "master"}
	if v := s.info.Server; v != nil && v.Mode == "sentinel" {
		c.Result, c.Value, c.Why = Fail, "sentinel", "this is a sentinel, not a Redis that keeps data"
		c.Do = "set REDIS_MODE=sentinel, with sentinels in REDIS_ADDRS and the name in REDIS_MASTER_NAME"
		return c
	}
	r := s.info.Replication
	if r == nil || r.Role == "" {
		return none(CheckRole)
	}
	c.Value = role(r.Role)
	if r.Role != "master" {
		c.Result, c.Why = Fail, "quotes and sessions cannot be written to a replica"
		if r.MasterHost != "" {
			c.Why += "; its master is " + string(r.MasterHost)
		}
		c.Do = "point REDIS_URL to the master, or use REDIS_MODE=sentinel, which follows it"
	}
	return c
}

func (s seen) checkReplication() Check {
	r := s.info.Replication
	c := Check{Name: CheckReplication, Result: OK, Limit: Text(fmt.Sprintf("every link up, lag %d s", lagWarn))}
	if r.Role == "slave" {
		if r.MasterLinkUp == nil {
			return none(CheckReplication)
		}
		c.Value = "link to its master is up"
		if !*r.MasterLinkUp {
			c.Result, c.Value = Warn, "link to its master is down"
			if n, ok := r.MasterLinkDownSeconds.Get(); ok {
				c.Value += Text(fmt.Sprintf(" for %d s", n))
			}
			c.Why, c.Do = "what it holds gets older", "see that the master runs and is reached from it, and masterauth"
		}
		return c
	}
	worst, behind := int64(0), int64(0)
	var bad []string
	for _, a := range r.Attached {
		lag := a.LagSeconds.Or(0)
		worst = max(worst, lag)
		if at, ok := a.OffsetBytes.Get(); ok {
			behind = max(behind, r.OffsetBytes.Or(at)-at)
		}
		switch {
		case a.State != "online":
			bad = append(bad, fmt.Sprintf("%s is in state %s", a.Addr, a.State))
		case lag >= lagWarn:
			bad = append(bad, fmt.Sprintf("%s was last heard %d s ago", a.Addr, lag))
		}
	}
	c.Value = Text(fmt.Sprintf("%d replicas, lag %d s, %s behind", r.Replicas.Or(0), worst, bytes(behind)))
	if len(bad) > 0 {
		const most = 5
		c.Result = Warn
		c.Why = strings.Join(bad[:min(most, len(bad))], ", ") + ": a failover would lose what it has not got"
		c.Do = "see the replica's log and the network to it; repl-backlog-size bounds how long it may be away without a full copy"
	}
	return c
}

func (s seen) checkMemory() Check {
	m := s.info.Memory
	if m == nil || !m.UsedBytes.known || !m.MaxBytes.known {
		return none(CheckMemory)
	}
	// What the server compares with maxmemory is without replication buffers.
	used, limit := m.UsedBytes.n-min(m.NotCountedForEvictBytes.Or(0), m.UsedBytes.n), m.MaxBytes.n
	c := Check{Name: CheckMemory, Result: OK}
	if limit == 0 {
		c.Value = Text(bytes(used) + ", no limit (maxmemory 0)")
		if system := m.SystemBytes.Or(0); system > 0 {
			c.Limit = Text(fmt.Sprintf("%.0f %% of the machine's %s", systemWarn*100, bytes(system)))
			if float64(used) >= systemWarn*float64(system) {
				c.Result, c.Why = Warn, "the machine runs out of memory, and the system may end Redis"
				c.Do = "set maxmemory below the memory of the machine"
			}
		}
		return c
	}
	c.Value = Text(fmt.Sprintf("%s of %s (%.0f %%)", bytes(used), bytes(limit), 100*float64(used)/float64(limit)))
	c.Limit = Text(fmt.Sprintf("%.0f %% of maxmemory", memoryWarn*100))
	policy := s.policy()
	full := float64(used) >= memoryWarn*float64(limit)
	refused := s.growth.outOfMemory.Or(0)
	switch {
	case policy == "noeviction" && used >= limit:
		c.Result, c.Why = Fail, "writes are refused: no quote is accepted and no session is made"
	case float64(used) >= memoryFail*float64(limit) && strings.HasPrefix(policy, "volatile-") && s.info.expiring() == Known(0):
		c.Result, c.Why = Fail, "writes are refused, or will be in a moment: only keys without expiry are left, which cannot be evicted"
	case refused > 0:
		c.Result, c.Why = Warn, fmt.Sprintf("%d writes were refused for lack of memory in the last %s", refused, short(s.growth.over))
		if full {
			c.Result = Fail
		}
	case !full:
		return c
	case policy == "noeviction":
		c.Result, c.Why = Warn, "when it is full, writes are refused (maxmemory-policy noeviction)"
	case EvictsSessions(policy):
		c.Result, c.Why = Warn, "a full server removes keys, with maxmemory-policy "+policy+" also sessions that are in use"
	default:
		c.Result, c.Why = Warn, "a full server removes keys before their time"
	}
	c.Do = "raise maxmemory, or see what takes it: memory by kind of key"
	return c
}

// expiring is how many keys have a time to live.
func (i Info) expiring() Number {
	if i.Keyspace == nil {
		return Number{}
	}
	sum := int64(0)
	for _, db := range i.Keyspace {
		n, known := db.Expiring.Get()
		if !known {
			return Number{}
		}
		sum += n
	}
	return Known(sum)
}

// policy is maxmemory-policy; "" = not told.
func (s seen) policy() string {
	if m := s.info.Memory; m != nil && m.Policy != "" {
		return string(m.Policy)
	}
	return s.settings["maxmemory-policy"]
}

func (s seen) checkPolicy() Check {
	policy := s.policy()
	if policy == "" {
		return none(CheckPolicy)
	}
	c := Check{Name: CheckPolicy, Result: OK, Value: Text(plain(policy, 80)), Limit: "volatile-ttl or noeviction"}
	if EvictsSessions(policy) {
		c.Result, c.Why = Warn, "a full server removes sessions that are in use"
		if m := s.info.Memory; m != nil && m.MaxBytes == Known(0) {
			c.Why = "once maxmemory is set, " + c.Why
		}
		c.Do = "CONFIG SET maxmemory-policy volatile-ttl: it removes quotes and limiter windows first, which come back by themselves; set it in redis.conf too"
	}
	return c
}

// grown words how far a counter has come; warn says that it has.
func (s seen) grown(total, since Number) (value Text, warn bool) {
	if s.growth.over == 0 {
		return Text(fmt.Sprintf("%s since the server started, no earlier look to compare with", total)), false
	}
	return Text(fmt.Sprintf("%s in the last %s", since, short(s.growth.over))), since.Or(0) > 0
}

func (s seen) checkEvictions() Check {
	if s.info.Stats == nil || !s.info.Stats.EvictedKeys.known {
		return none(CheckEvictions)
	}
	c := Check{Name: CheckEvictions, Result: OK, Limit: "0"}
	var lossy bool
	if c.Value, lossy = s.grown(s.info.Stats.EvictedKeys, s.growth.evicted); lossy {
		c.Result, c.Why = Warn, "Redis is full and removes keys before their time"
		c.Do = "raise maxmemory, or see what takes it: memory by kind of key"
		if EvictsSessions(s.policy()) {
			c.Why += ", sessions among them"
		}
	}
	return c
}

func (s seen) checkConnections() Check {
	t, cl := s.info.Stats, s.info.Clients
	if t == nil || !t.RejectedConnections.known {
		return none(CheckConnections)
	}
	c := Check{Name: CheckConnections, Result: OK, Limit: "0 refused"}
	refused, warn := s.grown(t.RejectedConnections, s.growth.rejected)
	c.Value = "refused: " + refused
	if cl != nil && cl.Connected.known && cl.Max.Or(0) > 0 {
		c.Value = Text(fmt.Sprintf("%d of %d, ", cl.Connected.n, cl.Max.n)) + c.Value
		c.Limit += Text(fmt.Sprintf(", %.0f %% of maxclients", clientsWarn*100))
		if float64(cl.Connected.n) >= clientsWarn*float64(cl.Max.n) {
			c.Result, c.Why = Warn, "when maxclients is reached, nobody else can connect"
		}
	}
	if warn {
		c.Result, c.Why = Warn, "maxclients was reached, and others were turned away"
	}
	if c.Result != OK {
		c.Do = "raise maxclients and the system's limit of open files, or see who holds connections (client list)"
	}
	return c
}

func (s seen) checkBlocked() Check {
	cl := s.info.Clients
	if cl == nil || !cl.Blocked.known {
		return none(CheckBlocked)
	}
	c := Check{Name: CheckBlocked, Result: OK, Value: Text(cl.Blocked.String()), Limit: Text(strconv.Itoa(blockedWarn))}
	if cl.Blocked.n >= blockedWarn {
		c.Result, c.Why = Warn, "the broadcaster never waits in Redis: others use this server for queues, or it is paused (CLIENT PAUSE)"
		c.Do = "see who it is: client list, flag b"
	}
	return c
}

func (s seen) checkEvents() Check {
	set, ok := s.settings["notify-keyspace-events"]
	if !ok {
		return none(CheckEvents)
	}
	c := Check{Name: CheckEvents, Result: OK, Value: Text(set), Limit: "at least " + sessionEventsSet}
	if set == "" {
		c.Value = "off"
	}
	if !sendsSessionEvents(set) {
		c.Why = "not needed, but a session that another program deletes, or that expires, is then noticed within 5 s instead of at once"
		c.Do = "CONFIG SET notify-keyspace-events " + sessionEventsSet + ", and in redis.conf"
	}
	return c
}

// sendsSessionEvents reports whether a notify-keyspace-events tells of keys that
// were deleted or expired: keyevents (E) of generic commands (g) and of expiry
// (x); A stands for all classes.
func sendsSessionEvents(set string) bool {
	all := strings.Contains(set, "A")
	return strings.Contains(set, "E") && (all || strings.Contains(set, "g") && strings.Contains(set, "x"))
}

func (s seen) checkCluster() Check {
	c := Check{Name: CheckCluster, Result: OK, Limit: "state ok"}
	if s.clusters != nil {
		c.Result, c.Why = Unknown, why(s.clusters)
		return c
	}
	state := s.cluster["cluster_state"]
	slots := s.cluster["cluster_slots_ok"]
	c.Value = Text(plain(fmt.Sprintf("state %s, %s of %s slots served, %s nodes", state, slots, clusterAllSlots, s.cluster["cluster_known_nodes"]), maxReason))
	switch {
	case !s.sharded:
		c.Result, c.Why = Fail, "this server is part of a cluster, and is used as if it were alone"
		c.Do = "set REDIS_MODE=cluster"
	case state != "ok":
		c.Result, c.Why = Fail, "this node finds that slots are not served, and may refuse every command"
		c.Do = "bring the missing masters back, or have the slots served by others (redis-cli --cluster fix)"
	case slots != clusterAllSlots:
		c.Result, c.Why = Warn, "some slots are not served, or their master does not answer: symbols and sessions in them fail"
		c.Do = "see CLUSTER NODES for the node that fails"
	}
	return c
}
