package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// server is one Redis server that holds keys of its own.
type server struct {
	addr   string // empty unless Redis is a cluster
	client *redis.Client
}

// servers returns the servers to ask, ordered by address. There is at least one.
func (a *Admin) servers(ctx context.Context) ([]server, error) {
	kind := a.topology.Kind()
	if kind == redislink.Unknown {
		return nil, fmt.Errorf("%w: a client of another type", ErrNotOffered)
	}
	masters, err := a.topology.Masters(ctx)
	if err != nil {
		return nil, unavailable(ctx, "cluster nodes", err)
	}
	list := make([]server, len(masters))
	for i, client := range masters {
		list[i].client = client
		if kind == redislink.Cluster {
			list[i].addr = client.Options().Addr
		}
	}
	return list, nil
}

// first returns one server.
func (a *Admin) first(ctx context.Context) (server, error) {
	list, err := a.servers(ctx)
	if err != nil {
		return server{}, err
	}
	return list[0], nil
}

// forEach calls do for all servers at once and waits.
func forEach(servers []server, do func(i int, srv server)) {
	if len(servers) == 1 {
		do(0, servers[0])
		return
	}
	var all sync.WaitGroup
	for i, srv := range servers {
		all.Go(func() { do(i, srv) })
	}
	all.Wait()
}

// silentServers returns the addresses of the servers that did not answer. The error is the first
// one of another kind, or ErrUnavailable if no server answered.
func silentServers(servers []server, errs []error) (addrs []string, err error) {
	for i, one := range errs {
		switch {
		case errors.Is(one, ErrUnavailable):
			addrs = append(addrs, servers[i].addr)
		case one != nil && err == nil:
			err = one
		}
	}
	if err == nil && len(addrs) == len(servers) {
		err = errs[0]
	}
	return addrs, err
}

// config reads one setting, or several by a pattern. The error is ErrNotOffered if there is no
// such setting.
func (srv server) config(ctx context.Context, pattern string) (map[string]string, error) {
	values, err := srv.client.ConfigGet(ctx, pattern).Result()
	if err = classify(ctx, "config get "+pattern, err); err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%w: no setting %s", ErrNotOffered, pattern)
	}
	return values, nil
}

// classify turns the error of a command into ErrNotOffered or ErrUnavailable.
func classify(ctx context.Context, command string, err error) error {
	switch {
	case err == nil:
		return nil
	case refused(err):
		return fmt.Errorf("%w: %s", ErrNotOffered, printable(err.Error(), maxReason))
	}
	return unavailable(ctx, command, err)
}

// unavailable wraps the error that a command ended with. The caller's own cancellation stays
// visible.
func unavailable(ctx context.Context, command string, err error) error {
	command = strings.TrimSpace(command)
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("redisadmin: %s: %w", command, context.Canceled)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s: no answer in time", ErrUnavailable, command)
	}
	if code := redislink.Code(err); code != "" {
		return &redislink.ErrRefused{Code: code, Err: fmt.Errorf("%s: %s", command, printable(err.Error(), maxReason))}
	}
	text := strings.TrimPrefix(err.Error(), ErrUnavailable.Error()+": ")
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, command, printable(text, maxReason))
}

// refused reports whether the server itself refused the command (unknown command or section, no
// permission). A server that cannot answer at the moment, or rejects the password, does not count.
func refused(err error) bool {
	switch redislink.Code(err) {
	case "", "LOADING", "BUSY", "UNKILLABLE", "MAXCLIENTS", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MOVED", "ASK":
		return false
	}
	return redislink.Refusal(err) == "" && !redis.IsAuthError(err)
}

// reasonOf returns an error of this package in the words shown to a user:
// "not available here: NOPERM …".
func reasonOf(err error) string { return strings.TrimPrefix(err.Error(), "redisadmin: ") }
