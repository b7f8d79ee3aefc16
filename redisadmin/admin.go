// Package redisadmin reports on a Redis server to its operator: health with reasons, statistics,
// clients, latency, memory by kind of key, slow commands, differences from the configuration
// file, and advice on settings.
//
// # Unknown values
//
// A server may not offer everything: an embedded one implements little of INFO, and an ACL may
// forbid CONFIG. A value that the server does not report is unknown (a zero Number or Text, nil,
// JSON null), never 0. A call whose whole answer is missing returns ErrNotOffered with the
// server's reason.
//
// # When Redis fails
//
// A call to a server that is slow, gone or restarting ends after at most 10 seconds with
// ErrUnavailable. Health ends after at most 5 seconds with the status unhealthy and the reason.
// Nothing is cached and nothing runs between calls, so the next call sees the recovery. The
// client should honor contexts (go-redis: ContextTimeoutEnabled); otherwise its own timeouts and
// retries are added to these bounds.
//
// On a cluster every call asks each master, and a value that belongs to one master names it.
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

	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	callTimeout   = 10 * time.Second // of one call, whatever the context allows
	healthTimeout = 5 * time.Second  // of Health

	defaultPrefix   = "fx:"
	defaultSlowPing = 25 * time.Millisecond
)

var (
	// ErrUnavailable means that Redis did not answer: it is gone, too slow, still loading, or
	// rejected the password.
	ErrUnavailable = redislink.ErrUnavailable

	// ErrNotOffered means that the server answers, but does not know the command or does not
	// allow it to this user.
	ErrNotOffered = errors.New("redisadmin: " + notAvailable)
)

// Config configures an Admin. Only Redis is required.
type Config struct {
	// Redis is a *redis.Client (also one that follows sentinels) or a *redis.ClusterClient.
	// The caller closes it.
	Redis redis.UniversalClient

	// Prefix is the prefix of quote keys and channels; "" = "fx:".
	Prefix string

	// ConfPath is the redis.conf that the server is compared with; "" = none.
	ConfPath string

	// Health asks Sentinels, if any, whether they agree on the master named MasterName. The
	// caller closes them.
	Sentinels  []*redis.SentinelClient
	MasterName string

	// SlowPing is the median round trip from which Health warns; 0 = 25 ms.
	SlowPing time.Duration

	// Logger receives one line when an INFO cannot be parsed; nil = no log.
	Logger *slog.Logger
}

// Admin reports on one Redis server or one cluster. It is safe for concurrent use.
type Admin struct {
	// Static after construction.
	topology   redislink.Topology
	prefix     string
	confPath   string
	sentinels  []*redis.SentinelClient
	masterName string
	slowPing   time.Duration
	window     time.Duration // how far back Health looks for losses
	maxCounted int64         // keys of a server that Stats looks at
	log        *slog.Logger

	unparsed sync.Once // logs the first INFO that cannot be parsed

	mu      sync.Mutex            // guards samples
	samples map[string][]counters // earlier counters, by server; see samples.go
}

// New returns an Admin. It sends nothing before the first call.
func New(cfg Config) *Admin {
	a := &Admin{
		topology: redislink.TopologyOf(cfg.Redis), prefix: cfg.Prefix, confPath: cfg.ConfPath,
		sentinels: slices.Clone(cfg.Sentinels), masterName: cfg.MasterName, slowPing: cfg.SlowPing,
		window: sampleWindow, maxCounted: maxCountedKeys, log: cfg.Logger, samples: map[string][]counters{},
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

// MasterInfo is the INFO of one master.
type MasterInfo struct {
	Addr string `json:"addr,omitempty"` // empty unless Redis is a cluster
	Info Info   `json:"info"`
	Err  error  `json:"-"` // ErrUnavailable: this master did not answer
}

// Info reads INFO of the server, or of a cluster's first master. It adds sections, such as
// "commandstats" and "latencystats", to those that the server sends by default. A section that
// the server lacks, or does not let this user read, is nil; all of them may be. The error is
// ErrUnavailable.
func (a *Admin) Info(ctx context.Context, sections ...string) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	srv, err := a.first(ctx)
	if err != nil {
		return Info{}, err
	}
	return a.info(ctx, srv, sections...)
}

// Masters reads INFO of every master, ordered by address. A master that did not answer is listed
// with its Err. The error is ErrUnavailable if none answered.
func (a *Admin) Masters(ctx context.Context, sections ...string) ([]MasterInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]MasterInfo, len(servers))
	forEach(servers, func(i int, srv server) {
		info, err := a.info(ctx, srv, sections...)
		list[i] = MasterInfo{Addr: srv.addr, Info: info, Err: err}
	})
	return list, allLost(list)
}

// allLost returns the first error if no master answered.
func allLost(list []MasterInfo) error {
	if slices.ContainsFunc(list, func(m MasterInfo) bool { return m.Err == nil }) {
		return nil
	}
	return list[0].Err
}

// info reads the default sections and the named ones. A server that offers none is no error.
func (a *Admin) info(ctx context.Context, srv server, sections ...string) (Info, error) {
	var text strings.Builder
	for _, section := range append([]string{""}, sections...) {
		// One section per call: servers before 7.0 accept only one.
		var args []string
		if section != "" {
			args = []string{section}
		}
		part, err := srv.client.Info(ctx, args...).Result()
		switch err = classify(ctx, "info "+section, err); {
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
		a.unparsed.Do(func() { a.log.Warn("redis sent an INFO that cannot be parsed", "node", srv.addr, "err", err) })
	}
	return info, nil
}

// EvictionPolicy returns maxmemory-policy, from INFO or else from CONFIG GET. The error is
// ErrNotOffered if neither reports it.
func (a *Admin) EvictionPolicy(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	srv, err := a.first(ctx)
	if err != nil {
		return "", err
	}
	info, err := a.info(ctx, srv)
	if err != nil {
		return "", err
	}
	if info.Memory != nil && info.Memory.Policy != "" {
		return string(info.Memory.Policy), nil
	}
	values, err := srv.config(ctx, "maxmemory-policy")
	return values["maxmemory-policy"], err
}

// EvictsSessions reports whether a full server with this maxmemory-policy may remove sessions
// that are still in use. volatile-ttl removes the keys that would expire soonest, which are
// quotes and limiter windows. noeviction removes nothing and refuses writes.
func EvictsSessions(policy string) bool {
	switch policy {
	case "volatile-lru", "volatile-lfu", "volatile-random":
		return true
	}
	return strings.HasPrefix(policy, "allkeys-")
}
