package redisadmin

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The values from which the checks warn or fail.
const (
	latencyFail      = time.Second
	lagWarn          = 10  // seconds since a replica's last acknowledgment; it sends one a second
	clientsWarn      = 0.9 // of maxclients
	blockedWarn      = 10  // clients
	clusterAllSlots  = "16384"
	sessionEventsSet = "Exg"
)

func checkLatency(p Probe, slow time.Duration) Check {
	c := Check{
		Name: CheckLatency, Result: OK, Limit: Text(short(slow)),
		Value: Text(fmt.Sprintf("median %s, slowest %s of %d",
			short(seconds(p.MedianSeconds)), short(seconds(p.MaxSeconds)), p.Samples)),
	}
	median := seconds(p.MedianSeconds)
	if median < slow {
		return c
	}
	c.Result, c.Why = Warn, "every quote and every session check waits this long"
	if median >= latencyFail {
		c.Result = Fail
	}
	c.Do = "look for slow commands (slow log), a busy processor, swapping, or a slow network to Redis"
	return c
}

func (o observation) checkRole() Check {
	c := Check{Name: CheckRole, Result: OK, Limit: "master"}
	if v := o.info.Server; v != nil && v.Mode == "sentinel" {
		c.Result, c.Value, c.Why = Fail, "sentinel", "this is a sentinel, not a Redis that keeps data"
		c.Do = "set REDIS_MODE=sentinel, list the sentinels in REDIS_ADDRS, and name the master in REDIS_MASTER_NAME"
		return c
	}
	r := o.info.Replication
	if r == nil || r.Role == "" {
		return unknown(CheckRole)
	}
	c.Value = role(r.Role)
	if r.Role != "master" {
		c.Result, c.Why = Fail, "quotes and sessions cannot be written to a replica (READONLY)"
		if r.MasterHost != "" {
			c.Why += "; its master is " + string(r.MasterHost)
		}
		c.Do = "point REDIS_URL to the master, or use REDIS_MODE=sentinel, which follows the master"
	}
	return c
}

func (o observation) checkReplication() Check {
	r := o.info.Replication
	c := Check{Name: CheckReplication, Result: OK, Limit: Text(fmt.Sprintf("every link up, lag %d s", lagWarn))}
	if r.Role == "slave" {
		return checkMasterLink(c, r)
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
			bad = append(bad, fmt.Sprintf("%s last answered %d s ago", a.Addr, lag))
		}
	}
	c.Value = Text(fmt.Sprintf("%s, lag %d s, %s behind", plural(r.Replicas.Or(0), "replica"), worst, bytes(behind)))
	if o.lacksReplicas() {
		c.Result, c.Value = Fail, Text(plural(r.GoodReplicas.Or(0), "replica")+" in time")
		c.Why = "writes are refused (NOREPLICAS): min-replicas-to-write is " + o.settings["min-replicas-to-write"]
		c.Do = "bring the replicas back; until then CONFIG SET min-replicas-to-write 0 accepts writes that a failover may lose"
		return c
	}
	if len(bad) > 0 {
		const most = 5
		c.Result = Warn
		c.Why = strings.Join(bad[:min(most, len(bad))], ", ") + ": a failover would lose the writes that it has not received"
		c.Do = "check the replica's log and the network to it; repl-backlog-size limits how long it may be away without a full copy"
	}
	return c
}

// lacksReplicas reports whether a master refuses writes for want of replicas.
func (o observation) lacksReplicas() bool {
	good, known := o.info.Replication.GoodReplicas.Get()
	want, err := strconv.ParseInt(o.settings["min-replicas-to-write"], 10, 64)
	return known && err == nil && o.info.Replication.Role != "slave" && good < want
}

// checkMasterLink completes the replication check of a replica.
func checkMasterLink(c Check, r *ReplicationInfo) Check {
	if r.MasterLinkUp == nil {
		return unknown(CheckReplication)
	}
	c.Value = "link to its master is up"
	if !*r.MasterLinkUp {
		c.Result, c.Value = Warn, "link to its master is down"
		if n, ok := r.MasterLinkDownSeconds.Get(); ok {
			c.Value += Text(fmt.Sprintf(" for %d s", n))
		}
		c.Why = "the replica's data is getting old"
		c.Do = "check that the master runs, that the replica reaches it, and the replica's masterauth"
	}
	return c
}

// plural formats a number with its noun: "1 replica", "2 replicas".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}

// grown words the growth of a counter. warn reports whether it grew.
func (o observation) grown(total, since Number) (value Text, warn bool) {
	if o.growth.over == 0 {
		return Text(fmt.Sprintf("%s since the server started, no earlier sample to compare with", total)), false
	}
	return Text(fmt.Sprintf("%s in the last %s", since, short(o.growth.over))), since.Or(0) > 0
}

func (o observation) checkConnections() Check {
	t, cl := o.info.Stats, o.info.Clients
	if t == nil || !t.RejectedConnections.known {
		return unknown(CheckConnections)
	}
	c := Check{Name: CheckConnections, Result: OK, Limit: "0 refused"}
	refused, warn := o.grown(t.RejectedConnections, o.growth.rejected)
	c.Value = "refused: " + refused
	if cl != nil && cl.Connected.known && cl.Max.Or(0) > 0 {
		c.Value = Text(fmt.Sprintf("%d of %d, ", cl.Connected.n, cl.Max.n)) + c.Value
		c.Limit += Text(fmt.Sprintf(", %.0f %% of maxclients", clientsWarn*100))
		if float64(cl.Connected.n) >= clientsWarn*float64(cl.Max.n) {
			c.Result, c.Why = Warn, "once maxclients is reached, no further client can connect"
		}
	}
	if warn {
		c.Result, c.Why = Warn, "maxclients was reached, and clients were turned away"
	}
	if c.Result != OK {
		c.Do = "raise maxclients and the system's limit of open files, or find the owner of the connections (CLIENT LIST)"
	}
	return c
}

func (o observation) checkBlocked() Check {
	cl := o.info.Clients
	if cl == nil || !cl.Blocked.known {
		return unknown(CheckBlocked)
	}
	c := Check{
		Name: CheckBlocked, Result: OK,
		Value: Text(cl.Blocked.String()), Limit: Text(strconv.Itoa(blockedWarn)),
	}
	if cl.Blocked.n >= blockedWarn {
		c.Result = Warn
		c.Why = "the broadcaster never blocks in Redis: other programs use this server for queues, or it is paused (CLIENT PAUSE)"
		c.Do = "find the blocked clients: CLIENT LIST, flag b"
	}
	return c
}

func (o observation) checkEvents() Check {
	set, ok := o.settings["notify-keyspace-events"]
	if !ok {
		return unknown(CheckEvents)
	}
	c := Check{Name: CheckEvents, Result: OK, Value: Text(set), Limit: "at least " + sessionEventsSet}
	if set == "" {
		c.Value = "off"
	}
	if !sendsSessionEvents(set) {
		c.Why = "optional; without it a session that expires, or that another program deletes, ends within 5 s instead of at once"
		c.Do = "CONFIG SET notify-keyspace-events " + sessionEventsSet + ", and set it in redis.conf"
	}
	return c
}

// sendsSessionEvents reports whether a notify-keyspace-events covers deleted and expired keys:
// events by key (E) of generic commands (g) and of expiry (x). A stands for all classes.
func sendsSessionEvents(set string) bool {
	all := strings.Contains(set, "A")
	return strings.Contains(set, "E") && (all || strings.Contains(set, "g") && strings.Contains(set, "x"))
}

func (o observation) checkCluster() Check {
	c := Check{Name: CheckCluster, Result: OK, Limit: "state ok"}
	if o.noCluster != nil {
		c.Result, c.Why = Unknown, reasonOf(o.noCluster)
		return c
	}
	state := o.cluster["cluster_state"]
	slots := o.cluster["cluster_slots_ok"]
	c.Value = Text(printable(fmt.Sprintf("state %s, %s of %s slots served, %s nodes",
		state, slots, clusterAllSlots, o.cluster["cluster_known_nodes"]), maxReason))
	switch {
	case !o.clusterClient:
		c.Result, c.Why = Fail, "this server is part of a cluster, but is used as a single server"
		c.Do = "set REDIS_MODE=cluster"
	case state != "ok":
		c.Result, c.Why = Fail, "this server sees slots that no master serves, and may refuse every command"
		c.Do = "bring the missing masters back, or assign their slots to other masters (redis-cli --cluster fix)"
	case slots != clusterAllSlots:
		c.Result, c.Why = Warn, "some slots have no master, or their master does not answer: symbols and sessions in them fail"
		c.Do = "find the failing server with CLUSTER NODES"
	}
	return c
}
