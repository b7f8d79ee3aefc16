// Package redisclient is the only place that opens Redis clients. It makes them from the settings,
// for each mode of Redis.
package redisclient

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/internal/redislink"
)

// Options are the differences between the clients that one process opens.
type Options struct {
	Addr   string       // of the embedded server; overrides all settings
	Name   string       // client name, shown by CLIENT LIST; "" = broadcaster
	Logger *slog.Logger // nil = none

	// Require makes an unreachable server an error. Without it only a permanent fault is an error
	// (TLS, or a wrong password that is not from a file), and the client connects once the server
	// is up.
	Require bool

	// NoRetry is for commands that must not be sent twice, such as those that publish quotes.
	NoRetry bool
}

// Open opens a client of the configured Redis. It sends one PING and waits at most pingTimeout for
// the answer. The caller closes the client. Errors never contain the password.
func Open(ctx context.Context, cfg config.Config, opts Options) (redis.UniversalClient, error) {
	o, err := clientOptions(cfg, opts)
	if err != nil {
		return nil, err
	}
	client := newClient(cfg.Redis, o, opts.Addr != "")
	redislink.LogCommands(client, opts.Logger)
	pingCtx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err = client.Ping(pingCtx).Err()
	if err == nil {
		return client, nil
	}
	if refusal := redislink.Refusal(err); refusal != "" { // it is reachable, and may take other commands
		if opts.Logger != nil {
			opts.Logger.Warn("redis refuses commands", "addr", where(cfg.Redis, o), "reason", refusal, "err", err)
		}
		return client, nil
	}
	if cfg.Redis.Mode == "standalone" {
		if wrong := mismatch(ctx, o, err); wrong != nil {
			client.Close()
			return nil, fmt.Errorf("redis at %s: %w; %w", where(cfg.Redis, o), err, wrong)
		}
	}
	rotates := redis.IsAuthError(err) && o.CredentialsProviderContext != nil // the file may be newer than Redis
	if opts.Require || permanent(err) && !rotates {
		client.Close()
		return nil, fmt.Errorf("redis at %s: %w", where(cfg.Redis, o), explain(err))
	}
	if opts.Logger != nil {
		opts.Logger.Warn("redis is not reachable yet", "addr", where(cfg.Redis, o), "err", explain(err))
	}
	return client, nil
}

// newClient returns a client for the configured mode.
func newClient(cfg config.Redis, o *redis.Options, embedded bool) redis.UniversalClient {
	if embedded || cfg.Mode == "standalone" {
		return redis.NewClient(o)
	}
	u := &redis.UniversalOptions{
		Addrs: cfg.Addrs, MasterName: cfg.MasterName, ClientName: o.ClientName, DB: o.DB,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, Dialer: o.Dialer,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, PoolSize: o.PoolSize, PipelinePoolSize: o.PipelinePoolSize,
		MinIdleConns: o.MinIdleConns, ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		DisableIdentity: o.DisableIdentity,
	}
	if len(u.Addrs) == 0 {
		u.Addrs = []string{o.Addr}
	}
	if cfg.Mode == "sentinel" {
		if o.CredentialsProviderContext != nil {
			u.MinIdleConns = 0 // no connection before the next line but one
		}
		client := redis.NewFailoverClient(u.Failover())
		client.Options().CredentialsProviderContext = o.CredentialsProviderContext // FailoverOptions has no such field
		return client
	}
	c := u.Cluster()
	c.CredentialsProviderContext = o.CredentialsProviderContext
	// A cluster's client retries a command on other nodes, MaxRedirects times. Retries on each node
	// would multiply that.
	c.MaxRetries = -1
	c.ClusterStateReloadInterval = clusterReload
	return redis.NewClusterClient(c)
}

// Sentinels returns a client of each sentinel, or none in other modes. The caller closes them. They
// connect at their first command.
func Sentinels(cfg config.Config) (list []*redis.SentinelClient, err error) {
	options, err := sentinelOptions(cfg)
	for _, o := range options {
		list = append(list, redis.NewSentinelClient(o))
	}
	return list, err
}

// Failovers returns what follows the failovers that the sentinels announce. It is nil in other
// modes. Its Run closes the connections.
func Failovers(cfg config.Config, logger *slog.Logger) (*redislink.Failovers, error) {
	options, err := sentinelOptions(cfg)
	if err != nil || options == nil {
		return nil, err
	}
	var sentinels []*redis.Client
	for _, o := range options {
		sentinels = append(sentinels, redis.NewClient(o))
	}
	return redislink.NewFailovers(redislink.FailoversConfig{Sentinels: sentinels, Master: cfg.Redis.MasterName, Logger: logger}), nil
}

// sentinelOptions returns the options of a client of each sentinel, none in other modes.
func sentinelOptions(cfg config.Config) (options []*redis.Options, err error) {
	if cfg.Redis.Mode != "sentinel" {
		return nil, nil
	}
	o, err := clientOptions(cfg, Options{})
	if err != nil {
		return nil, err
	}
	for _, addr := range cfg.Redis.Addrs {
		options = append(options, &redis.Options{
			Addr: addr, Dialer: o.Dialer, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
			ConnMaxIdleTime: o.ConnMaxIdleTime, MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true,
		})
	}
	return options, nil
}

// Where returns the name of the configured server for messages, without user and password.
func Where(cfg config.Config) string {
	o, err := clientOptions(cfg, Options{})
	if err != nil {
		return cfg.Redis.Mode + " redis" // Load found the fault before
	}
	return where(cfg.Redis, o)
}

func where(cfg config.Redis, o *redis.Options) string {
	if cfg.Mode != "standalone" && len(cfg.Addrs) > 0 {
		return cfg.Mode + " " + strings.Join(cfg.Addrs, ",")
	}
	return o.Addr
}
