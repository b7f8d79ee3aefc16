package redislink

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Kind is how Redis is run.
type Kind int

// The kinds. The embedded server looks like a standalone one.
const (
	Standalone Kind = iota
	Sentinel        // one master, which sentinels name and replace
	Cluster         // several masters, each with some of the slots
	Unknown         // a client of another type
)

func (k Kind) String() string { return [...]string{"standalone", "sentinel", "cluster", "unknown"}[k] }

// Topology is which servers are behind a client. It is a small value and safe for concurrent use.
type Topology struct {
	rdb     redis.UniversalClient
	single  *redis.Client
	cluster *redis.ClusterClient
}

// TopologyOf looks at the type of a client and asks nobody.
func TopologyOf(rdb redis.UniversalClient) Topology {
	t := Topology{rdb: rdb}
	switch c := rdb.(type) {
	case *redis.Client:
		t.single = c
	case *redis.ClusterClient:
		t.cluster = c
	}
	return t
}

// Kind returns how Redis is run.
func (t Topology) Kind() Kind {
	switch {
	case t.cluster != nil:
		return Cluster
	case t.single == nil:
		return Unknown
	case t.single.Options().Addr == "FailoverClient": // as go-redis names one that follows sentinels
		return Sentinel
	}
	return Standalone
}

// Single reports whether one master is known to hold all keys: then a command may name any of them.
func (t Topology) Single() bool { return t.single != nil }

// DB returns the number of the database; it is 0 in a cluster.
func (t Topology) DB() int {
	if t.single == nil {
		return 0
	}
	return t.single.Options().DB
}

var errUnknownKind = errors.New("this type of client does not name its masters")

const (
	mastersTries = 3
	mastersTry   = time.Second
)

// Masters returns a client of each master, ordered by address; there is at least one. The clients
// belong to the one given to TopologyOf. In a cluster it asks some node, and another one if that
// hangs; the error wraps ErrUnavailable or is ctx's.
func (t Topology) Masters(ctx context.Context) ([]*redis.Client, error) {
	switch {
	case t.single != nil:
		return []*redis.Client{t.single}, nil
	case t.cluster == nil:
		return nil, errUnknownKind
	}
	for try := 1; ; try++ {
		all, err := t.clusterMasters(ctx)
		switch {
		case err == nil:
			return all, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case try == mastersTries:
			return nil, Unavailable("list the masters of the cluster", err)
		}
	}
}

func (t Topology) clusterMasters(ctx context.Context) ([]*redis.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, mastersTry)
	defer cancel()
	var mu sync.Mutex // guards all: ForEachMaster calls from goroutines of its own and waits for them
	var all []*redis.Client
	err := t.cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, c)
		return nil
	})
	if err == nil && len(all) == 0 {
		err = errors.New("it has none")
	}
	slices.SortFunc(all, func(a, b *redis.Client) int { return strings.Compare(a.Options().Addr, b.Options().Addr) })
	return all, err
}

// MasterOf returns a client of the master that holds a key. The client belongs to the one given to
// TopologyOf. An error says that nothing was sent.
func (t Topology) MasterOf(ctx context.Context, key string) (*redis.Client, error) {
	switch {
	case t.single != nil:
		return t.single, nil
	case t.cluster == nil:
		return nil, NotSent(errUnknownKind)
	}
	c, err := t.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, NotSent(err)
	}
	return c, nil
}

// Reload has a cluster's client load its slot map again, since a reply cast doubt on it. It does
// not wait, and does nothing for other kinds.
func (t Topology) Reload(ctx context.Context) {
	if t.cluster != nil {
		t.cluster.ReloadState(ctx)
	}
}
