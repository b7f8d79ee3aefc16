package redisadmin

import (
	"context"
	"strings"
	"time"
)

// Status is the sum of all checks.
type Status string

// The worst check decides.
const (
	Healthy   Status = "healthy"
	Degraded  Status = "degraded"  // it works, and somebody should look at it
	Unhealthy Status = "unhealthy" // it does not do its work
)

// Result is how a check ended.
type Result string

// Only Warn and Fail count for the status.
const (
	OK      Result = "ok"
	Warn    Result = "warn"
	Fail    Result = "fail"
	Unknown Result = "unknown" // the server does not tell
)

// CheckName names what was looked at.
type CheckName string

// All checks. Those that do not concern this kind of Redis are left out.
const (
	CheckReachable     CheckName = "reachable"
	CheckLatency       CheckName = "latency"
	CheckRole          CheckName = "role"
	CheckReplication   CheckName = "replication" // with replicas only
	CheckMemory        CheckName = "memory"
	CheckPolicy        CheckName = "eviction_policy"
	CheckEvictions     CheckName = "evictions"
	CheckConnections   CheckName = "connections"
	CheckPersistence   CheckName = "persistence"
	CheckAOFRewrite    CheckName = "aof_rewrite"
	CheckBlocked       CheckName = "blocked_clients"
	CheckOutputBuffers CheckName = "output_buffers"
	CheckEvents        CheckName = "keyspace_events"
	CheckCluster       CheckName = "cluster"  // with a cluster client or server only
	CheckSentinel      CheckName = "sentinel" // with Config.Sentinels only
)

// Check is one thing looked at, in words for a person.
type Check struct {
	Name   CheckName `json:"name"`
	Node   string    `json:"node,omitempty"` // of a cluster
	Result Result    `json:"result"`
	Value  Text      `json:"value"`                // with its unit
	Limit  Text      `json:"limit"`                // from where it is a warning
	Why    string    `json:"why,omitempty"`        // what it means
	Do     string    `json:"what_to_do,omitempty"` // for the operator
}

// Health is the state of a Redis, or of a cluster with all its masters.
type Health struct {
	Status         Status    `json:"status"`
	Reason         string    `json:"reason"` // the checks that decided; "" when healthy
	At             time.Time `json:"at"`
	LatencySeconds *float64  `json:"latency_seconds"` // median round trip, of the slowest node
	Server         Text      `json:"server"`          // redis, valkey, …; of the first node
	Version        Text      `json:"version"`
	Role           Text      `json:"role"` // master or replica
	Mode           Text      `json:"mode"` // standalone, cluster or sentinel, as the server says
	Checks         []Check   `json:"checks"`
}

// Health looks at everything that keeps Redis from its work here. It takes at
// most 5 s. A Redis that does not answer is Unhealthy, with the reason. Losses
// (evictions, refused connections) count if they happened since the look
// before, or within a minute if that was sooner.
//
//	Health          the nodes; the sum of their checks
//	* nodeHealth    one node: reach it, INFO, and then
//	  * each check  a function of what INFO, CONFIG and CLIENT LIST said
func (a *Admin) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	h := Health{At: time.Now().UTC()}
	nodes, err := a.nodes(ctx)
	if err != nil {
		h.Checks = []Check{unreachable("", err)}
		h.conclude()
		return h
	}
	a.forget(nodes)
	parts := make([]Health, len(nodes))
	each(nodes, func(i int, n node) { parts[i] = a.nodeHealth(ctx, n) })
	for _, part := range parts {
		if h.Version == "" {
			h.Server, h.Version, h.Role, h.Mode = part.Server, part.Version, part.Role, part.Mode
		}
		if l := part.LatencySeconds; l != nil && (h.LatencySeconds == nil || *l > *h.LatencySeconds) {
			h.LatencySeconds = l
		}
		h.Checks = append(h.Checks, part.Checks...)
	}
	if len(a.sentinels) > 0 {
		h.Checks = append(h.Checks, a.checkSentinels(ctx))
	}
	h.conclude()
	return h
}

// conclude sets the status and the reason from the checks.
func (h *Health) conclude() {
	var fails, warns []string
	for _, c := range h.Checks {
		switch c.Result {
		case Fail:
			fails = append(fails, c.reason())
		case Warn:
			warns = append(warns, c.reason())
		}
	}
	switch {
	case len(fails) > 0:
		h.Status = Unhealthy
	case len(warns) > 0:
		h.Status = Degraded
	default:
		h.Status = Healthy
	}
	h.Reason = strings.Join(append(fails, warns...), "; ")
}

// reason is one line: "evictions on 10.0.0.3:6379: 17 in the last 12s, …".
func (c Check) reason() string {
	s := strings.ReplaceAll(string(c.Name), "_", " ")
	if c.Node != "" {
		s += " on " + c.Node
	}
	s += ": "
	if c.Value != "" {
		s += string(c.Value)
		if c.Why != "" {
			s += ", "
		}
	}
	return s + c.Why
}

func unreachable(addr string, err error) Check {
	return Check{
		Name: CheckReachable, Node: addr, Result: Fail, Why: why(err),
		Do: "see whether the server runs (redis-cli ping), and REDIS_URL, its user and password",
	}
}
