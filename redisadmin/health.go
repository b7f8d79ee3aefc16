package redisadmin

import (
	"context"
	"strings"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Status sums up all checks.
type Status string

// The worst check decides.
const (
	Healthy   Status = "healthy"
	Degraded  Status = "degraded"  // Redis works, and somebody should look at it
	Unhealthy Status = "unhealthy" // Redis cannot do its work
)

// Result is the outcome of a check.
type Result string

// Only Warn and Fail affect the status.
const (
	OK      Result = "ok"
	Warn    Result = "warn"
	Fail    Result = "fail"
	Unknown Result = "unknown" // the server does not report it
)

// CheckName names a check.
type CheckName string

// All checks. A check that does not apply to this kind of Redis is left out.
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

// Check is the result of one check, worded for a person.
type Check struct {
	Name   CheckName `json:"name"`
	Node   string    `json:"node,omitempty"` // address of the server, in a cluster only
	Result Result    `json:"result"`
	Value  Text      `json:"value"`                // with its unit
	Limit  Text      `json:"limit"`                // the value from which the check warns
	Why    string    `json:"why,omitempty"`        // what the result means
	Do     string    `json:"what_to_do,omitempty"` // advice to the operator
}

// Health is the state of a Redis server, or of a cluster with all its masters.
type Health struct {
	Status         Status    `json:"status"`
	Reason         string    `json:"reason"` // the checks that decided; "" when healthy
	At             time.Time `json:"at"`
	LatencySeconds *float64  `json:"latency_seconds"` // median round trip, of the slowest server
	Server         Text      `json:"server"`          // redis, valkey, …; of the first server
	Version        Text      `json:"version"`
	Role           Text      `json:"role"` // master or replica
	Mode           Text      `json:"mode"` // standalone, cluster or sentinel, as the server reports it
	Checks         []Check   `json:"checks"`
}

// Health checks everything that could keep Redis from doing its work here, within 5 seconds. A
// Redis that does not answer is Unhealthy, with the reason. A loss, such as an eviction or a
// refused connection, counts if it happened since the previous call or within the last minute.
//
//	Health            asks the servers and sums up their checks
//	* serverHealth    one server: PING, then
//	  * observe       INFO, CONFIG GET, CLIENT LIST, CLUSTER INFO
//	  * checks        each a function of that observation
//	* checkSentinels
func (a *Admin) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	h := Health{At: time.Now().UTC()}
	servers, err := a.servers(ctx)
	if err != nil {
		h.Checks = []Check{unreachable("", err)}
		h.conclude()
		return h
	}
	a.forgetSamples(servers)
	parts := make([]Health, len(servers))
	forEach(servers, func(i int, srv server) { parts[i] = a.serverHealth(ctx, srv) })
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

// reason returns the check in one line: "evictions on 10.0.0.3:6379: 17 in the last 12s, …".
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
	if redislink.Code(err) == "BUSY" {
		return Check{Name: CheckReachable, Node: addr, Result: Fail, Why: reasonOf(err),
			Do: "SCRIPT KILL ends a script that has written nothing; find the program that runs it (slow log)"}
	}
	return Check{
		Name: CheckReachable, Node: addr, Result: Fail, Why: reasonOf(err),
		Do: "check that the server runs (redis-cli ping), then REDIS_URL with its user and password",
	}
}

// unknown returns a check of something that the server does not report.
func unknown(name CheckName) Check { return Check{Name: name, Result: Unknown, Why: notAvailable} }
