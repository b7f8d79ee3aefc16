package redislink

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Processes knows which processes of Redis are the masters. A master that was not there before has
// taken a part over, or has restarted: it may lack the last writes. Only one goroutine may use it.
type Processes struct {
	t     Topology
	known map[string]bool // by identity; nil until all masters have answered once
}

// NewProcesses returns a Processes for the masters of rdb. It does not touch Redis.
func NewProcesses(rdb redis.UniversalClient) *Processes { return &Processes{t: TopologyOf(rdb)} }

// Look asks every master who it is, each for at most OpTimeout. changed reports that one of them
// was not a master at the last look. sure reports that all answered as masters; otherwise a
// failover may be under way.
func (p *Processes) Look(ctx context.Context) (changed, sure bool) {
	ctx, cancel := context.WithTimeout(ctx, OpTimeout)
	defer cancel()
	masters, err := p.t.Masters(ctx)
	if err != nil {
		return false, false
	}
	names := make([]string, len(masters))
	var asked sync.WaitGroup
	for i, m := range masters {
		asked.Go(func() { names[i] = identity(ctx, m) })
	}
	asked.Wait()
	found, sure := map[string]bool{}, true
	for _, name := range names {
		if name == "" {
			sure = false
			continue
		}
		found[name] = true
		changed = changed || p.known != nil && !p.known[name]
	}
	switch {
	case sure:
		p.known = found
	case p.known != nil:
		for name := range found {
			p.known[name] = true
		}
	}
	if !sure {
		p.t.Reload(ctx)
	}
	return changed, sure
}

// identity returns what identifies a master and its data: the process, and the history of writes
// that each promotion of a replica begins anew. It is "" if c is not known to be a master. A server
// that does not permit INFO, or shows none of this, has its address.
func identity(ctx context.Context, c *redis.Client) string {
	pipe := c.Pipeline()
	server, replication := pipe.Info(ctx, "server"), pipe.Info(ctx, "replication")
	err := errors.Join(Exec(ctx, pipe), server.Err(), replication.Err())
	if code := Code(err); err != nil && code != "NOPERM" && code != "ERR" {
		return ""
	}
	name := c.Options().Addr
	for line := range strings.Lines(server.Val() + "\n" + replication.Val()) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch field {
		case "role":
			if value != "master" {
				return ""
			}
		case "run_id", "master_replid":
			name += " " + value
		}
	}
	return name
}
