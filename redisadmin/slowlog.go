package redisadmin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxSlowEntries bounds what SlowLog reads from one server.
const maxSlowEntries = 1000

// SlowEntry is one command that took longer than slowlog-log-slower-than. It
// is measured without waiting for the network or for other commands.
type SlowEntry struct {
	ID     int64     `json:"id"` // grows by one with each entry of a server's life
	At     time.Time `json:"at"`
	Micros int64     `json:"duration_us"`
	// Command is its name, the prefixes of its keys and how many arguments are
	// hidden: values are never shown, since any of them may be a secret.
	Command    string `json:"command"`
	Client     string `json:"client"`      // address; empty if the server does not tell
	ClientName string `json:"client_name"` // as CLIENT SETNAME set it
	Node       string `json:"node,omitempty"`
}

// SlowLog returns at most limit of the newest entries, newest first; of a
// cluster, from all nodes that answer. limit is taken as 1 to 1000. The error is
// ErrNotOffered where the server has no slow log or does not let this user read
// it, and ErrUnavailable if no node answers.
func (a *Admin) SlowLog(ctx context.Context, limit int) ([]SlowEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return nil, err
	}
	limit = min(max(limit, 1), maxSlowEntries)
	lists, faults := make([][]SlowEntry, len(nodes)), make([]error, len(nodes))
	each(nodes, func(i int, n node) { lists[i], faults[i] = n.slowLog(ctx, limit) })
	if _, err := silent(nodes, faults); err != nil {
		return nil, err
	}
	all := append([]SlowEntry{}, slices.Concat(lists...)...)
	slices.SortStableFunc(all, func(a, b SlowEntry) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
	})
	return all[:min(limit, len(all))], nil
}

func (n node) slowLog(ctx context.Context, limit int) ([]SlowEntry, error) {
	raw, err := n.client.SlowLogGet(ctx, int64(limit)).Result()
	if err := ask(ctx, "slowlog get", err); err != nil {
		return nil, err
	}
	list := make([]SlowEntry, 0, len(raw))
	for _, entry := range raw {
		list = append(list, slowEntry(entry, n.addr))
	}
	return list, nil
}

func slowEntry(raw redis.SlowLog, addr string) SlowEntry {
	return SlowEntry{
		ID: raw.ID, At: raw.Time.UTC(), Micros: raw.Duration.Microseconds(), Command: conceal(raw.Args),
		Client: plain(raw.ClientAddr, 64), ClientName: plain(raw.ClientName, 64), Node: addr,
	}
}

// silent returns the nodes that did not answer. The error is the first fault
// that is another one, or the loss of all.
func silent(nodes []node, faults []error) (addrs []string, err error) {
	for i, fault := range faults {
		switch {
		case errors.Is(fault, ErrUnavailable):
			addrs = append(addrs, nodes[i].addr)
		case fault != nil && err == nil:
			err = fault
		}
	}
	if err == nil && len(addrs) == len(nodes) {
		err = faults[0]
	}
	return addrs, err
}
