package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bounds of every Redis client. A command takes at most about three read
// timeouts and two pauses; callers bound that further by their contexts.
const (
	redisDialTimeout = 3 * time.Second
	redisIOTimeout   = 3 * time.Second
	redisRetries     = 2
	redisMinBackoff  = 10 * time.Millisecond
	redisMaxBackoff  = 250 * time.Millisecond
	redisKeepAlive   = 30 * time.Second
	redisPingTimeout = 3 * time.Second

	// How old the client's picture of a cluster may be when it is used. While a
	// master is dead nothing else makes the client look for the one that follows.
	redisClusterReload = time.Second

	// Less than the 300 s after which redis.conf has the server close an idle
	// connection.
	redisMaxIdle = 240 * time.Second
)

// openOptions are the differences between the clients that one process opens.
type openOptions struct {
	Addr   string       // the embedded server; overrides everything configured
	Name   string       // client name, shown by CLIENT LIST; "" = broadcaster
	Logger *slog.Logger // nil = none

	// Require makes an unreachable server an error. Without it only a fault
	// that time does not mend is one (wrong password, TLS), and the client
	// connects when the server is there.
	Require bool

	// NoRetry is for commands that must not be sent twice, such as the
	// publishing of quotes.
	NoRetry bool

	// OnConnect is called for each new connection before it is used.
	OnConnect func(ctx context.Context, cn *redis.Conn) error
}

// openRedis opens a client of the configured Redis; it is the only place that
// does. It sends one PING and waits for it at most redisPingTimeout. The caller
// closes the client. Errors never hold the password.
func openRedis(ctx context.Context, cfg Config, opts openOptions) (redis.UniversalClient, error) {
	o, err := redisOptions(cfg, opts)
	if err != nil {
		return nil, err
	}
	client := newRedisClient(cfg.Redis, o, opts.Addr != "")
	ctx, cancel := context.WithTimeout(ctx, redisPingTimeout)
	defer cancel()
	err = client.Ping(ctx).Err()
	if err == nil {
		return client, nil
	}
	if opts.Require || permanent(err) {
		client.Close()
		return nil, fmt.Errorf("redis at %s: %w", redisWhere(cfg.Redis, o), explain(err))
	}
	if opts.Logger != nil {
		opts.Logger.Warn("redis is not reachable yet", "addr", redisWhere(cfg.Redis, o), "err", err)
	}
	return client, nil
}

// newRedisClient makes the client of the configured mode.
func newRedisClient(cfg RedisConfig, o *redis.Options, embedded bool) redis.UniversalClient {
	if embedded || cfg.Mode == "standalone" {
		return redis.NewClient(o)
	}
	u := &redis.UniversalOptions{
		Addrs: cfg.Addrs, MasterName: cfg.MasterName, ClientName: o.ClientName, DB: o.DB,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, Dialer: o.Dialer, OnConnect: o.OnConnect,
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
		return redis.NewFailoverClient(u.Failover())
	}
	c := u.Cluster()
	// A cluster's client tries a command on other nodes by itself, MaxRedirects
	// times; each node's own attempts would multiply that.
	c.MaxRetries = -1
	c.ClusterStateReloadInterval = redisClusterReload
	return redis.NewClusterClient(c)
}

// newSentinels makes a client of each sentinel, none outside the mode sentinel.
// The caller closes them. They connect when they are asked.
func newSentinels(cfg RedisConfig, o *redis.Options) (list []*redis.SentinelClient) {
	if cfg.Mode != "sentinel" {
		return nil
	}
	for _, addr := range cfg.Addrs {
		list = append(list, redis.NewSentinelClient(&redis.Options{
			Addr: addr, Dialer: o.Dialer, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
			ConnMaxIdleTime: o.ConnMaxIdleTime, MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true,
		}))
	}
	return list
}

// redisOptions turns the settings into options: the URL first, then each
// variable that is set.
func redisOptions(cfg Config, opts openOptions) (*redis.Options, error) {
	r := cfg.Redis
	o := &redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(r.Port)}
	switch {
	case opts.Addr != "":
		o.Addr = opts.Addr
	case r.URL != "":
		var err error
		if o, err = parseRedisURL(r.URL); err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
	}
	if opts.Addr == "" {
		overrideParts(o, cfg)
	}
	if o.PoolSize == 0 || cfg.set["REDIS_MAX_CONNECTIONS"] {
		o.PoolSize = r.MaxConnections
	}
	if o.PipelinePoolSize == 0 {
		o.PipelinePoolSize = -1 // one pool, so that its size is the bound
	}
	if o.MaxRetries == 0 {
		o.MaxRetries = redisRetries
	}
	if opts.NoRetry {
		o.MaxRetries = -1
	}
	o.ClientName = "broadcaster"
	if opts.Name != "" {
		o.ClientName = opts.Name
	}
	o.OnConnect = opts.OnConnect
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true // CLIENT SETINFO is unknown before Redis 7.2
	o.DialerRetries = 2
	setIfZero(&o.MinRetryBackoff, redisMinBackoff)
	setIfZero(&o.MaxRetryBackoff, redisMaxBackoff)
	setIfZero(&o.DialTimeout, redisDialTimeout)
	setIfZero(&o.ReadTimeout, redisIOTimeout)
	setIfZero(&o.WriteTimeout, redisIOTimeout)
	setIfZero(&o.ConnMaxIdleTime, redisMaxIdle)
	o.Dialer = redisDialer(o.DialTimeout, o.TLSConfig)
	return o, nil
}

// overrideParts lets the variables that are set win over the URL's parts.
func overrideParts(o *redis.Options, cfg Config) {
	r := cfg.Redis
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil || o.Network == "unix" {
		host, port = "127.0.0.1", strconv.Itoa(r.Port)
	}
	if cfg.set["REDIS_PORT"] || r.URL == "" {
		port = strconv.Itoa(r.Port)
	}
	switch {
	case strings.HasPrefix(r.Host, "/"):
		o.Network, o.Addr, o.TLSConfig = "unix", r.Host, nil
	case r.Host != "":
		host = strings.Trim(r.Host, "[]")
		o.Network, o.Addr = "tcp", net.JoinHostPort(host, port)
	case o.Network != "unix":
		o.Addr = net.JoinHostPort(host, port)
	}
	if r.Mode == "standalone" && len(r.Addrs) == 1 {
		o.Network, o.Addr = "tcp", r.Addrs[0]
		host, _, _ = net.SplitHostPort(o.Addr)
	}
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = host
		if r.Mode != "standalone" && len(r.Addrs) > 0 {
			o.TLSConfig.ServerName = "" // that of each node
		}
	}
	if cfg.set["REDIS_USERNAME"] {
		o.Username = r.Username
	}
	if cfg.set["REDIS_PASSWORD"] {
		o.Password = r.Password
	}
	if cfg.set["REDIS_DB"] {
		o.DB = r.DB
	}
}

// parseRedisURL is redis.ParseURL with errors that are fit to be shown: the
// original ones quote the URL, and with it the password.
func parseRedisURL(text string) (*redis.Options, error) {
	const want = "want redis://user:password@host:port/db, rediss://… (TLS) or unix:///path/to/socket"
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL: " + want + "; special characters in the password must be percent-encoded")
	}
	if !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return nil, errors.New("unknown kind of URL: " + want)
	}
	if u.Opaque != "" || u.Fragment != "" || u.Scheme != "unix" && u.Host == "" {
		return nil, errors.New("not complete: " + want + "; special characters in the password must be percent-encoded")
	}
	if path := strings.Trim(u.Path, "/"); u.Scheme != "unix" && path != "" {
		if n, err := strconv.Atoi(path); err != nil || n < 0 {
			return nil, errors.New("the path must be the number of a database, such as /0: " + want)
		}
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, errors.New("the port must be a number from 1 to 65535: " + want)
		}
	}
	o, err := redis.ParseURL(text)
	if err != nil {
		return nil, errors.New("an option after ? is unknown or not valid: " + want)
	}
	return o, nil
}

// redisDialer connects with a keepalive that notices a vanished server, and
// speaks TLS if the configuration is not nil.
func redisDialer(timeout time.Duration, config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: redisKeepAlive, Interval: redisKeepAlive / 3, Count: 3,
	}}
	if config == nil {
		return d.DialContext
	}
	return (&tls.Dialer{NetDialer: d, Config: config}).DialContext
}

// permanent reports whether trying again would not help.
func permanent(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	return redis.IsAuthError(err)
}

// explain adds what to do to the errors whose own words do not say it.
func explain(err error) error {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%w; the server does not speak TLS there, want redis:// instead of rediss://", err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w; SSL_CERT_FILE can name a file with the certificate of your authority", err)
	}
	if redis.IsAuthError(err) {
		return fmt.Errorf("%w; see REDIS_URL, REDIS_USERNAME and REDIS_PASSWORD", err)
	}
	return err
}

// redisWhere names the server in messages, without user and password.
func redisWhere(cfg RedisConfig, o *redis.Options) string {
	if cfg.Mode != "standalone" && len(cfg.Addrs) > 0 {
		return cfg.Mode + " " + strings.Join(cfg.Addrs, ",")
	}
	return o.Addr
}

func setIfZero(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// redisLogger is the go-redis library's way into our log. The library has one
// logger per process: main sets it once.
type redisLogger struct{ logger *slog.Logger }

func (l redisLogger) Printf(_ context.Context, format string, args ...any) {
	const longest = 500
	text := strings.TrimPrefix(fmt.Sprintf(format, args...), "redis: ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	l.logger.Warn("redis client: " + text)
}
