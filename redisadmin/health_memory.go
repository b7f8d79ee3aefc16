package redisadmin

import (
	"fmt"
	"strings"
)

const (
	memoryWarn = 0.9  // of maxmemory
	memoryFail = 0.99 // of maxmemory, if nothing can be evicted: the next command needs memory too
	systemWarn = 0.8  // of the machine's memory, without maxmemory

	doFreeMemory = "raise maxmemory, or find what uses the memory: memory by kind of key"
)

func (o observation) checkMemory() Check {
	m := o.info.Memory
	if m == nil || !m.UsedBytes.known || !m.MaxBytes.known {
		return unknown(CheckMemory)
	}
	// The server leaves replication buffers out when it compares with maxmemory.
	used, limit := m.UsedBytes.n-min(m.NotCountedForEvictBytes.Or(0), m.UsedBytes.n), m.MaxBytes.n
	if limit == 0 {
		return checkUnlimitedMemory(used, m.SystemBytes.Or(0))
	}
	c := Check{
		Name: CheckMemory, Result: OK, Limit: Text(fmt.Sprintf("%.0f %% of maxmemory", memoryWarn*100)),
		Value: Text(fmt.Sprintf("%s of %s (%.0f %%)", bytes(used), bytes(limit), 100*float64(used)/float64(limit))),
	}
	policy := o.policy()
	full := float64(used) >= memoryWarn*float64(limit)
	refused := o.growth.outOfMemory.Or(0)
	switch {
	case policy == "noeviction" && used >= limit:
		c.Result, c.Why = Fail, "writes are refused (OOM): no quote is accepted and no session is created"
	case float64(used) >= memoryFail*float64(limit) && strings.HasPrefix(policy, "volatile-") && o.info.expiring() == Known(0):
		c.Result, c.Why = Fail, "writes are refused (OOM), or will be in a moment: only keys without expiry are left, and they cannot be evicted"
	case refused > 0:
		c.Result, c.Why = Warn, fmt.Sprintf("%d writes were refused for lack of memory in the last %s", refused, short(o.growth.over))
		if full {
			c.Result = Fail
		}
	case !full:
		return c
	case policy == "noeviction":
		c.Result, c.Why = Warn, "once memory is full, writes are refused (maxmemory-policy noeviction)"
	case EvictsSessions(policy):
		c.Result, c.Why = Warn, "a full server removes keys, and with maxmemory-policy "+policy+" also sessions that are in use"
	default:
		c.Result, c.Why = Warn, "a full server removes keys before their time"
	}
	c.Do = doFreeMemory
	return c
}

// checkUnlimitedMemory compares with the memory of the machine.
func checkUnlimitedMemory(used, system int64) Check {
	c := Check{Name: CheckMemory, Result: OK, Value: Text(bytes(used) + ", no limit (maxmemory 0)")}
	if system <= 0 {
		return c
	}
	c.Limit = Text(fmt.Sprintf("%.0f %% of the machine's %s", systemWarn*100, bytes(system)))
	if float64(used) >= systemWarn*float64(system) {
		c.Result, c.Why = Warn, "the machine is running out of memory, and the system may kill Redis"
		c.Do = "set maxmemory below the memory of the machine"
	}
	return c
}

// expiring returns the number of keys with a time to live.
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

// policy returns maxmemory-policy; "" if it is unknown.
func (o observation) policy() string {
	if m := o.info.Memory; m != nil && m.Policy != "" {
		return string(m.Policy)
	}
	return o.settings["maxmemory-policy"]
}

func (o observation) checkPolicy() Check {
	policy := o.policy()
	if policy == "" {
		return unknown(CheckPolicy)
	}
	c := Check{
		Name: CheckPolicy, Result: OK,
		Value: Text(printable(policy, 80)), Limit: "volatile-ttl or noeviction",
	}
	if EvictsSessions(policy) {
		c.Result, c.Why = Warn, "a full server removes sessions that are in use"
		if m := o.info.Memory; m != nil && m.MaxBytes == Known(0) {
			c.Why = "once maxmemory is set, " + c.Why
		}
		c.Do = "CONFIG SET maxmemory-policy volatile-ttl, and set it in redis.conf: " +
			"it removes quotes and limiter windows first, which come back automatically"
	}
	return c
}

func (o observation) checkEvictions() Check {
	if o.info.Stats == nil || !o.info.Stats.EvictedKeys.known {
		return unknown(CheckEvictions)
	}
	c := Check{Name: CheckEvictions, Result: OK, Limit: "0"}
	var grew bool
	if c.Value, grew = o.grown(o.info.Stats.EvictedKeys, o.growth.evicted); grew {
		c.Result, c.Why, c.Do = Warn, "Redis is full and removes keys before their time", doFreeMemory
		if EvictsSessions(o.policy()) {
			c.Why += ", sessions among them"
		}
	}
	return c
}
