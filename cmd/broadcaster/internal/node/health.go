package node

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/redisadmin"
)

const (
	redisCheckEvery = 30 * time.Second
	redisPingWait   = 3 * time.Second
	redisInfoWait   = 2 * time.Second // for the line at start
)

// redisHealth pings Redis periodically, measures the round trip, and logs each change of the
// outcome. It serves the operator; faster probes elsewhere decide whether Redis is lost.
type redisHealth struct {
	client   redis.UniversalClient
	admin    *redisadmin.Admin
	logger   *slog.Logger
	interval time.Duration
	up       prometheus.GaugeFunc
	ping     prometheus.Histogram
	failures prometheus.Counter
	memory   prometheus.Gauge
	bad      prometheus.Gauge
	was      redisadmin.Status // of the previous check
}

// newRedisHealth returns a redisHealth that checks client every 30 s. lost decides whether Redis is
// lost, so that fx_redis_up agrees with it. reg may be nil.
func newRedisHealth(client redis.UniversalClient, admin *redisadmin.Admin, lost func() bool, logger *slog.Logger, reg prometheus.Registerer) *redisHealth {
	h := &redisHealth{
		client: client, admin: admin, logger: logger, interval: redisCheckEvery,
		ping: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "fx_redis_ping_seconds",
			Help:    "Round trip of the periodic PING that succeeded. Above 0.01 the server or the network is slow.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fx_redis_ping_failures_total",
			Help: "Periodic PINGs without an answer in time. Growing: Redis is down, overloaded or unreachable.",
		}),
		memory: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fx_redis_memory_used_ratio",
			Help: "Fraction of maxmemory that the fullest master uses; NaN if not known. Above 0.9: Redis will soon evict, quotes first and sessions later.",
		}),
	}
	h.bad = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fx_redis_unhealthy",
		Help: "1 if the health of Redis is unhealthy at the last check (every 30 s): it is gone, or refuses writes. The log and GET /api/v1/redis/health have the reason.",
	})
	h.up = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fx_redis_up",
		Help: "1 if Redis is not lost, else 0: clients receive degraded, and /readyz is red. 0: quotes stop, sessions cannot be checked.",
	}, func() float64 {
		if lost() {
			return 0
		}
		return 1
	})
	h.memory.Set(math.NaN())
	if reg != nil {
		reg.MustRegister(h.up, h.ping, h.failures, h.memory, h.bad)
	}
	return h
}

// Run checks at once and then every interval until ctx ends; it returns nil.
func (h *redisHealth) Run(ctx context.Context) error {
	tick := time.NewTicker(h.interval)
	defer tick.Stop()
	up := true // opening the client has already logged a server that is down
	for {
		up = h.check(ctx, up)
		h.judge(ctx, up)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// check returns whether Redis is up. was is the result of the previous check.
func (h *redisHealth) check(ctx context.Context, was bool) bool {
	pingCtx, cancel := context.WithTimeout(ctx, redisPingWait)
	defer cancel()
	start := time.Now()
	err := h.client.Ping(pingCtx).Err()
	took := time.Since(start)
	if ctx.Err() != nil {
		return was // the program ends, not Redis
	}
	if err != nil {
		h.failures.Inc()
		h.memory.Set(math.NaN())
		if refusal := redislink.Trouble(err); was && refusal != "" {
			h.logger.Error("redis refuses commands", "reason", refusal, "err", err)
		} else if was {
			h.logger.Error("redis does not answer", "err", err)
		}
		return false
	}
	h.ping.Observe(took.Seconds())
	h.memory.Set(memoryUsed(pingCtx, h.client))
	if !was {
		h.logger.Info("redis answers again", "ping", took)
	}
	return true
}

// judge asks for the health of a Redis that answers, and logs when it becomes unhealthy, and when it
// no longer is. A Redis that refuses writes answers PING, and is of no use.
func (h *redisHealth) judge(ctx context.Context, up bool) {
	if !up {
		h.bad.Set(1)
		return
	}
	health := h.admin.Health(ctx)
	if ctx.Err() != nil {
		return
	}
	if health.Status == redisadmin.Unhealthy {
		h.bad.Set(1)
		if h.was != health.Status {
			h.logger.Error("redis is unhealthy", "reason", health.Reason)
		}
	} else {
		h.bad.Set(0)
		if h.was == redisadmin.Unhealthy {
			h.logger.Info("redis is no longer unhealthy", "status", health.Status)
		}
	}
	h.was = health.Status
}

// logRedis logs the kind and version of Redis at start, and warns of an eviction policy that can
// end sessions. A server that reports less is not a fault.
func logRedis(ctx context.Context, client redis.UniversalClient, cfg config.Config, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, redisInfoWait)
	defer cancel()
	if cfg.Embedded() {
		logger.Info("redis", "mode", "embedded", "version", "embedded")
		return
	}
	admin := redisadmin.New(redisadmin.Config{Redis: client, Prefix: cfg.Redis.Prefix, Logger: logger})
	attrs := []any{"mode", cfg.Redis.Mode}
	info, err := admin.Info(ctx)
	switch {
	case err == nil && info.Server != nil:
		attrs = append(attrs, "server", info.Server.Name, "version", info.Server.Version.String(), "server_mode", info.Server.Mode.String())
		if info.Replication != nil {
			attrs = append(attrs, "role", info.Replication.Role.String())
		}
		if info.Memory != nil {
			attrs = append(attrs, "maxmemory", info.Memory.MaxBytes)
		}
	case err == nil || errors.Is(err, redisadmin.ErrNotOffered):
		attrs = append(attrs, "version", "not reported")
	default:
		logger.Warn("redis: version not known yet", "mode", cfg.Redis.Mode, "err", err)
		return
	}
	policy, err := admin.EvictionPolicy(ctx)
	if err != nil {
		policy = "not reported"
	}
	logger.Info("redis", append(attrs, "maxmemory_policy", policy)...)
	if redisadmin.EvictsSessions(policy) {
		logger.Warn("redis: with this maxmemory-policy a full server removes sessions that are in use; volatile-ttl removes quotes first",
			"maxmemory_policy", policy, "want", "volatile-ttl")
	}
	if info.Replication != nil && info.Replication.Role == "slave" && cfg.Redis.Mode == "standalone" {
		logger.Warn("redis: the server is a replica and refuses to write; point REDIS_URL to its master, or use REDIS_MODE=sentinel",
			"master", info.Replication.MasterHost)
	}
	if info.Server != nil && cfg.Redis.Mode != "cluster" && info.Server.Mode == "cluster" {
		logger.Warn("redis: the server is part of a cluster, but REDIS_MODE is not cluster", "mode", cfg.Redis.Mode)
	}
}
