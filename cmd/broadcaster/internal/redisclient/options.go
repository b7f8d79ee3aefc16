package redisclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
)

// Bounds of every Redis client. A command takes at most about three read timeouts and two pauses.
// Callers set shorter bounds by their contexts.
const (
	dialTimeout = 3 * time.Second
	ioTimeout   = 3 * time.Second
	retries     = 2
	minBackoff  = 10 * time.Millisecond
	maxBackoff  = 250 * time.Millisecond
	keepAlive   = 30 * time.Second
	pingTimeout = 3 * time.Second

	mismatchTimeout = time.Second // for a look at a server that did not answer the first PING

	// The greatest age of the slot map. While a master is dead, nothing else makes the client
	// look for its successor.
	clusterReload = time.Second

	// Less than the 300 s after which the server closes an idle connection, by redis.conf.
	maxIdle = 240 * time.Second
)

// clientOptions converts the settings to options: the URL first, then each variable that is set.
func clientOptions(cfg config.Config, opts Options) (*redis.Options, error) {
	r := cfg.Redis
	o := &redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(r.Port)}
	var err error
	switch {
	case opts.Addr != "":
		o.Addr = opts.Addr
	case r.URL != "":
		if o, err = config.ParseRedisURL(r.URL); err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
	}
	if opts.Addr == "" {
		overrideParts(o, cfg)
	}
	if o.PoolSize == 0 || cfg.Given("REDIS_MAX_CONNECTIONS") {
		o.PoolSize = r.MaxConnections
	}
	if o.PipelinePoolSize == 0 {
		o.PipelinePoolSize = -1 // one pool, so that its size is the bound
	}
	if o.MaxRetries == 0 {
		o.MaxRetries = retries
	}
	if opts.NoRetry {
		o.MaxRetries = -1
	}
	o.ClientName = "broadcaster"
	if opts.Name != "" {
		o.ClientName = opts.Name
	}
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true // CLIENT SETINFO is unknown before Redis 7.2
	o.DialerRetries = 2
	setIfZero(&o.MinRetryBackoff, minBackoff)
	setIfZero(&o.MaxRetryBackoff, maxBackoff)
	setIfZero(&o.DialTimeout, dialTimeout)
	setIfZero(&o.ReadTimeout, ioTimeout)
	setIfZero(&o.WriteTimeout, ioTimeout)
	setIfZero(&o.ConnMaxIdleTime, maxIdle)
	o.Dialer, err = dialer(o, cfg.Redis, opts.Logger)
	o.CredentialsProviderContext = credentials(cfg, o)
	return o, err
}

// overrideParts overrides parts of the URL with the variables that are set.
func overrideParts(o *redis.Options, cfg config.Config) {
	r := cfg.Redis
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil || o.Network == "unix" {
		host, port = "127.0.0.1", strconv.Itoa(r.Port)
	}
	if cfg.Given("REDIS_PORT") || r.URL == "" {
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
	if o.TLSConfig == nil && r.OwnTLS() {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = host
		if r.Mode != "standalone" && len(r.Addrs) > 0 {
			o.TLSConfig.ServerName = "" // that of each node
		}
	}
	if cfg.Given("REDIS_USERNAME") {
		o.Username = r.Username
	}
	if cfg.Given("REDIS_PASSWORD") {
		o.Password = r.Password
	}
	if cfg.Given("REDIS_DB") {
		o.DB = r.DB
	}
}

// dialer connects with a keepalive that detects a vanished server, and with TLS if o has it.
func dialer(o *redis.Options, cfg config.Redis, logger *slog.Logger) (dialFunc, error) {
	d := &net.Dialer{Timeout: o.DialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAlive, Interval: keepAlive / 3, Count: 3,
	}}
	if o.TLSConfig == nil {
		return d.DialContext, nil
	}
	if !cfg.OwnTLS() {
		return (&tls.Dialer{NetDialer: d, Config: o.TLSConfig}).DialContext, nil
	}
	files, err := newCertificates(cfg, o.TLSConfig, logger)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&tls.Dialer{NetDialer: d, Config: files.config()}).DialContext(ctx, network, addr)
	}, nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func setIfZero(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}
