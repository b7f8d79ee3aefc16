// Package redisadmin looks at a Redis server the way its operator would.
//
// A server may not offer everything: an embedded one knows little of INFO, and
// an ACL may forbid CONFIG. Such parts are reported as missing (nil, or
// ErrUnavailable), never as zeros. Nothing here is cached: each call asks the
// server, within the caller's context.
package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable means that the server answers but does not offer what was
// asked for, or does not allow it to this user.
var ErrUnavailable = errors.New("redisadmin: not available on this server")

// Conn is what Admin needs of a client; every go-redis client has it.
type Conn interface {
	Info(ctx context.Context, sections ...string) *redis.StringCmd
	ConfigGet(ctx context.Context, parameter string) *redis.MapStringStringCmd
}

// Admin asks one server. It is safe for concurrent use.
type Admin struct {
	conn Conn
}

// New returns an Admin over conn, which stays the caller's to close.
func New(conn Conn) *Admin { return &Admin{conn: conn} }

// Info reads the sections server, memory and replication. Sections the server
// lacks are nil; if it offers none of them the error is ErrUnavailable.
func (a *Admin) Info(ctx context.Context) (Info, error) {
	// One section a call: servers before 7.0 take only one, and an embedded one
	// fails as a whole for a section it does not know.
	var info Info
	var missing error
	got := false
	for _, section := range []string{"server", "memory", "replication"} {
		text, err := a.conn.Info(ctx, section).Result()
		if err != nil {
			if !refused(err) {
				return Info{}, fmt.Errorf("redisadmin: info %s: %w", section, err)
			}
			missing = fmt.Errorf("%w: info %s: %w", ErrUnavailable, section, err)
			continue
		}
		part, err := ParseInfo(text)
		if err != nil {
			return Info{}, err
		}
		got = info.merge(part) || got
	}
	if !got && missing == nil {
		missing = ErrUnavailable
	}
	if !got {
		return Info{}, missing
	}
	return info, nil
}

// EvictionPolicy returns maxmemory-policy: from INFO, else by CONFIG GET. The
// error is ErrUnavailable where neither tells.
func (a *Admin) EvictionPolicy(ctx context.Context) (string, error) {
	info, err := a.Info(ctx)
	if err == nil && info.Memory != nil && info.Memory.Policy != "" {
		return info.Memory.Policy, nil
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		return "", err
	}
	values, err := a.conn.ConfigGet(ctx, "maxmemory-policy").Result()
	switch {
	case err != nil && refused(err):
		return "", fmt.Errorf("%w: config get maxmemory-policy: %w", ErrUnavailable, err)
	case err != nil:
		return "", fmt.Errorf("redisadmin: config get maxmemory-policy: %w", err)
	case values["maxmemory-policy"] == "":
		return "", ErrUnavailable
	}
	return values["maxmemory-policy"], nil
}

// EvictsSessions reports whether a full server with this maxmemory-policy may
// remove sessions that are still in use. volatile-ttl removes the keys that
// would expire soonest, which are quotes and limiter windows; noeviction
// removes nothing and refuses writes.
func EvictsSessions(policy string) bool {
	switch policy {
	case "volatile-lru", "volatile-lfu", "volatile-random":
		return true
	}
	return strings.HasPrefix(policy, "allkeys-")
}

// refused reports whether the server itself said no (unknown command or
// section, no permission), in contrast to a lost connection.
func refused(err error) bool {
	if redis.IsLoadingError(err) || redis.IsAuthError(err) {
		return false
	}
	_, ok := errors.AsType[redis.Error](err)
	return ok
}
