package redisadmin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const maxSlowEntries = 1000 // that SlowLog reads from one server

// SlowEntry is one command that took longer than slowlog-log-slower-than. The duration leaves out
// the network and the wait for other commands.
type SlowEntry struct {
	ID     int64     `json:"id"` // grows by one per entry until the server restarts
	At     time.Time `json:"at"`
	Micros int64     `json:"duration_us"`
	// Command is the name of the command, the prefixes of its keys and the number of hidden
	// arguments. It never contains a value, since any value may be a secret.
	Command    string `json:"command"`
	Client     string `json:"client"`      // address; empty if unknown
	ClientName string `json:"client_name"` // from CLIENT SETNAME
	Node       string `json:"node,omitempty"`
}

// SlowLog returns the newest entries, at most limit, newest first. On a cluster they come from all
// masters that answer. SlowLog clamps limit to 1 to 1000. The error is ErrNotOffered if the server
// has no slow log or does not let this user read it, and ErrUnavailable if no server answers.
func (a *Admin) SlowLog(ctx context.Context, limit int) ([]SlowEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return nil, err
	}
	limit = min(max(limit, 1), maxSlowEntries)
	lists, errs := make([][]SlowEntry, len(servers)), make([]error, len(servers))
	forEach(servers, func(i int, srv server) { lists[i], errs[i] = srv.slowLog(ctx, limit) })
	if _, err := silentServers(servers, errs); err != nil {
		return nil, err
	}
	all := append([]SlowEntry{}, slices.Concat(lists...)...)
	slices.SortStableFunc(all, func(a, b SlowEntry) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
	})
	return all[:min(limit, len(all))], nil
}

func (srv server) slowLog(ctx context.Context, limit int) ([]SlowEntry, error) {
	raw, err := srv.client.SlowLogGet(ctx, int64(limit)).Result()
	if err := classify(ctx, "slowlog get", err); err != nil {
		return nil, err
	}
	list := make([]SlowEntry, 0, len(raw))
	for _, entry := range raw {
		list = append(list, slowEntry(entry, srv.addr))
	}
	return list, nil
}

func slowEntry(raw redis.SlowLog, addr string) SlowEntry {
	return SlowEntry{
		ID: raw.ID, At: raw.Time.UTC(), Micros: raw.Duration.Microseconds(), Command: conceal(raw.Args),
		Client: printable(raw.ClientAddr, 64), ClientName: printable(raw.ClientName, 64), Node: addr,
	}
}
