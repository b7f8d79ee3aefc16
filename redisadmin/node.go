package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// node is one server that holds keys of its own.
type node struct {
	addr   string // empty unless it is one of a cluster
	client *redis.Client
}

// nodes returns the servers to ask, ordered by address: there is at least one.
func (a *Admin) nodes(ctx context.Context) ([]node, error) {
	switch c := a.client.(type) {
	case *redis.Client:
		return []node{{client: c}}, nil
	case *redis.ClusterClient:
		return clusterNodes(ctx, c)
	}
	return nil, fmt.Errorf("%w: a client of type %T", ErrNotOffered, a.client)
}

// clusterNodes asks a node for the masters. The client picks which one, so that
// one that hangs must not take all the time there is.
func clusterNodes(ctx context.Context, c *redis.ClusterClient) (list []node, err error) {
	for range 3 {
		var mu sync.Mutex // guards list: ForEachMaster calls from goroutines of its own and waits for them
		list = nil
		try, cancel := context.WithTimeout(ctx, nodesTimeout)
		err = c.ForEachMaster(try, func(_ context.Context, n *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			list = append(list, node{addr: n.Options().Addr, client: n})
			return nil
		})
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, lost(ctx, "cluster nodes", err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: the cluster has no master", ErrUnavailable)
	}
	slices.SortFunc(list, func(a, b node) int { return strings.Compare(a.addr, b.addr) })
	return list, nil
}

// first returns one node.
func (a *Admin) first(ctx context.Context) (node, error) {
	list, err := a.nodes(ctx)
	if err != nil {
		return node{}, err
	}
	return list[0], nil
}

// each calls do for every node at once and waits.
func each(nodes []node, do func(i int, n node)) {
	if len(nodes) == 1 {
		do(0, nodes[0])
		return
	}
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { do(i, n) })
	}
	all.Wait()
}

// config reads one setting, or several by a pattern. No such setting is
// ErrNotOffered.
func (n node) config(ctx context.Context, pattern string) (map[string]string, error) {
	values, err := n.client.ConfigGet(ctx, pattern).Result()
	if err = ask(ctx, "config get "+pattern, err); err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%w: no setting %s", ErrNotOffered, pattern)
	}
	return values, nil
}

// ask turns the error of a command into ErrNotOffered or ErrUnavailable.
func ask(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case refused(err):
		return fmt.Errorf("%w: %s", ErrNotOffered, plain(err.Error(), maxReason))
	}
	return lost(ctx, what, err)
}

// lost words what kept an answer away. The caller's own cancellation stays
// visible.
func lost(ctx context.Context, what string, err error) error {
	what = strings.TrimSpace(what)
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("redisadmin: %s: %w", what, context.Canceled)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s: no answer in time", ErrUnavailable, what)
	}
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, what, plain(err.Error(), maxReason))
}

// refused reports whether the server itself said no (unknown command or
// section, no permission), in contrast to one that cannot answer now.
func refused(err error) bool {
	if redis.IsAuthError(err) {
		return false
	}
	for _, code := range []string{"LOADING", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MOVED", "ASK", "UNKILLABLE"} {
		if redis.HasErrorPrefix(err, code) {
			return false
		}
	}
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

const maxReason = 160 // bytes of another program's words in an error

// why returns an error of this package as a user reads it:
// "not available here: NOPERM …".
func why(err error) string { return strings.TrimPrefix(err.Error(), "redisadmin: ") }

// plain cuts a text of the server or of another program to n bytes and takes
// out what could move a terminal's cursor.
func plain(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
