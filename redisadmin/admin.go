// Package redisadmin looks at a Redis server the way its operator would:
// health with reasons, numbers, clients, latency, memory by kind of key, slow
// commands, how far the server is from its configuration file, and what to
// change.
//
// # What a server does not tell
//
// A server may not offer everything: an embedded one knows little of INFO, and
// an ACL may forbid CONFIG. Such parts are unknown (a zero Number or Text, nil,
// JSON null), never zeros; a call whose whole answer is missing returns
// ErrNotOffered with the reason the server gave.
//
// # When Redis fails
//
// Slow, gone or restarting: each call ends after at most callTimeout with
// ErrUnavailable, and Health after at most healthTimeout with the status
// unhealthy and why. Nothing is cached and nothing runs in between: each call
// asks the server anew, so the next one finds it back. The client should heed
// contexts (go-redis: ContextTimeoutEnabled); otherwise its own timeouts and
// retries are added to these bounds.
//
// On a cluster every call asks each master, and what concerns one of them
// names it.
package redisadmin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	callTimeout   = 10 * time.Second // of one call of a method, whatever the context allows
	healthTimeout = 5 * time.Second  // of Health
	nodesTimeout  = time.Second      // of one try to learn a cluster's nodes

	defaultPrefix   = "fx:"
	defaultSlowPing = 25 * time.Millisecond
)

var (
	// ErrUnavailable means that Redis did not answer: it is gone, too slow,
	// still loading, or refused this user's password.
	ErrUnavailable = errors.New("redisadmin: Redis does not answer")

	// ErrNotOffered means that the server answers but does not know what was
	// asked for, or does not allow it to this user.
	ErrNotOffered = errors.New("redisadmin: " + notHere)
)

// Config says which Redis an Admin looks at. Only Redis is required.
type Config struct {
	// Redis stays the caller's to close: a *redis.Client (also one that
	// follows sentinels) or a *redis.ClusterClient.
	Redis redis.UniversalClient

	// Prefix is that of quote keys and channels; "" = "fx:".
	Prefix string

	// ConfPath is the redis.conf that the server is compared with; "" = none.
	ConfPath string

	// Sentinels, if any, are asked in Health whether they agree on the master
	// named MasterName. They stay the caller's to close.
	Sentinels  []*redis.SentinelClient
	MasterName string

	// SlowPing is the median round trip from which Health warns; 0 = 25 ms.
	SlowPing time.Duration

	// Logger is told, once, of an answer that could not be understood; nil = nobody.
	Logger *slog.Logger
}

// Admin asks one Redis, or one cluster. It is safe for concurrent use.
type Admin struct {
	// Static after construction.
	client     redis.UniversalClient
	prefix     string
	confPath   string
	sentinels  []*redis.SentinelClient
	masterName string
	slowPing   time.Duration
	window     time.Duration // how far back Health looks for losses
	countMost  int64         // keys of a node that are looked at
	log        *slog.Logger

	strange sync.Once // an INFO that could not be understood was logged

	mu    sync.Mutex        // guards looks
	looks map[string][]look // what Health saw before, by node; see looks.go
}

// New returns an Admin. Nothing is asked before the first call.
func New(cfg Config) *Admin {
	a := &Admin{
		client: cfg.Redis, prefix: cfg.Prefix, confPath: cfg.ConfPath, sentinels: slices.Clone(cfg.Sentinels), masterName: cfg.MasterName,
		slowPing: cfg.SlowPing, window: lookWindow, countMost: countKeysMost, log: cfg.Logger, looks: map[string][]look{},
	}
	if a.prefix == "" {
		a.prefix = defaultPrefix
	}
	if a.slowPing <= 0 {
		a.slowPing = defaultSlowPing
	}
	if a.log == nil {
		a.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return a
}

// NodeInfo is INFO of one master.
type NodeInfo struct {
	Addr string `json:"addr,omitempty"` // empty unless it is one of a cluster
	Info Info   `json:"info"`
	Err  error  `json:"-"` // ErrUnavailable: this one did not answer
}

// Info reads INFO of the server; of a cluster, that of its first master.
// sections are read in addition to those the server sends unasked:
// "commandstats", "latencystats". Sections the server lacks, or does not let
// this user read, are nil, possibly all of them. The error is ErrUnavailable.
func (a *Admin) Info(ctx context.Context, sections ...string) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	n, err := a.first(ctx)
	if err != nil {
		return Info{}, err
	}
	return a.info(ctx, n, sections...)
}

// Nodes reads INFO of every master, ordered by address. The error is
// ErrUnavailable if none could be asked; a node that did not answer is listed
// with its Err.
func (a *Admin) Nodes(ctx context.Context, sections ...string) ([]NodeInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]NodeInfo, len(nodes))
	each(nodes, func(i int, n node) {
		info, err := a.info(ctx, n, sections...)
		list[i] = NodeInfo{Addr: n.addr, Info: info, Err: err}
	})
	return list, allLost(list)
}

// allLost returns the first fault if no node answered.
func allLost(list []NodeInfo) error {
	if slices.ContainsFunc(list, func(n NodeInfo) bool { return n.Err == nil }) {
		return nil
	}
	return list[0].Err
}

// info reads the sections a server sends unasked, and those named. A server
// that offers none is no error.
func (a *Admin) info(ctx context.Context, n node, sections ...string) (Info, error) {
	var text strings.Builder
	for _, section := range append([]string{""}, sections...) {
		// One section a call: servers before 7.0 take only one.
		var args []string
		if section != "" {
			args = []string{section}
		}
		part, err := n.client.Info(ctx, args...).Result()
		switch err = ask(ctx, "info "+section, err); {
		case errors.Is(err, ErrNotOffered):
			continue
		case err != nil:
			return Info{}, err
		}
		text.WriteString(part)
		text.WriteString("\r\n")
	}
	info, err := ParseInfo(text.String())
	if err != nil { // that field is unknown; the others are good
		a.strange.Do(func() { a.log.Warn("redis tells something that is not understood", "node", n.addr, "err", err) })
	}
	return info, nil
}

// EvictionPolicy returns maxmemory-policy: from INFO, else by CONFIG GET. The
// error is ErrNotOffered where neither tells.
func (a *Admin) EvictionPolicy(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	n, err := a.first(ctx)
	if err != nil {
		return "", err
	}
	info, err := a.info(ctx, n)
	if err != nil {
		return "", err
	}
	if info.Memory != nil && info.Memory.Policy != "" {
		return string(info.Memory.Policy), nil
	}
	values, err := n.config(ctx, "maxmemory-policy")
	return values["maxmemory-policy"], err
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
