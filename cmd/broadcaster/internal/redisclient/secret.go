package redisclient

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
)

// certificates are those of REDIS_CA_FILE, REDIS_CERT_FILE and REDIS_KEY_FILE. Each connection reads
// them again, so a renewed certificate needs no restart. While the files cannot be loaded, those
// loaded last stay in use.
type certificates struct {
	cfg    config.Redis
	base   *tls.Config
	logger *slog.Logger               // may be nil
	loaded atomic.Pointer[tls.Config] // of the last files that were valid
}

func newCertificates(cfg config.Redis, base *tls.Config, logger *slog.Logger) (*certificates, error) {
	c := &certificates{cfg: cfg, base: base, logger: logger}
	loaded, err := cfg.ReadTLS(base)
	c.loaded.Store(loaded)
	return c, err
}

// config returns the configuration of a new connection.
func (c *certificates) config() *tls.Config {
	loaded, err := c.cfg.ReadTLS(c.base)
	if err == nil {
		c.loaded.Store(loaded)
	} else if c.logger != nil {
		c.logger.Error("redis: cannot load the changed certificates, the previous ones stay in use", "err", err)
	}
	return c.loaded.Load()
}

// credentials returns a function that reads user and password from their files, or nil if they are
// not from files. Each connection calls it, so after a change of the password new connections use the
// new one. It returns the values of o for what cannot be read.
func credentials(cfg config.Config, o *redis.Options) func(context.Context) (user, password string, err error) {
	if !cfg.FromFile("REDIS_URL") && !cfg.FromFile("REDIS_PASSWORD") {
		return nil
	}
	user, password := o.Username, o.Password
	return func(context.Context) (string, string, error) {
		user, password := user, password
		if cfg.FromFile("REDIS_URL") {
			if text, err := cfg.ReadSecret("REDIS_URL"); err == nil {
				if u, err := config.ParseRedisURL(text); err == nil {
					user, password = u.Username, u.Password
				}
			}
			if cfg.Given("REDIS_USERNAME") {
				user = cfg.Redis.Username
			}
			if cfg.Given("REDIS_PASSWORD") {
				password = cfg.Redis.Password
			}
		}
		if cfg.FromFile("REDIS_PASSWORD") {
			if text, err := cfg.ReadSecret("REDIS_PASSWORD"); err == nil {
				password = text
			}
		}
		return user, password, nil
	}
}
