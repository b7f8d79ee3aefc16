package e2e

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
)

// A mode is one way to have a Redis.
type mode struct {
	name string

	// start starts it and returns the settings of a node and a client that may
	// do everything.
	start func(t *testing.T) ([]string, redis.UniversalClient)
}

// rights are what a node's user needs: nothing that is dangerous but INFO.
const rights = "~fx:* ~forex_stream ~session:* ~ratelimit:* ~cache:* resetchannels &fx:* &forex_updates &news &__keyevent@0__:* +@all -@admin -@dangerous +info"

var (
	plain   = redistest.Options{}
	secured = redistest.Options{TLS: true, User: "fx", Password: "p@ss/w:rd", Rules: rights}
)

// modes are all but the embedded one, which only one node can be.
var modes = []mode{
	{"standalone", standalone(plain)},
	{"standalone with TLS and a user", standalone(secured)},
	{"sentinel", sentinel(plain)},
	{"sentinel with TLS and a user", sentinel(secured)},
	{"cluster", cluster(plain)},
	{"cluster with TLS and a user", cluster(secured)},
}

func standalone(opts redistest.Options) func(*testing.T) ([]string, redis.UniversalClient) {
	return func(t *testing.T) ([]string, redis.UniversalClient) {
		s := opts.Start(t)
		return append(trust(s.Security), "REDIS_URL="+s.URL()), s.Client()
	}
}

func sentinel(opts redistest.Options) func(*testing.T) ([]string, redis.UniversalClient) {
	return func(t *testing.T) ([]string, redis.UniversalClient) {
		s := opts.StartSentinel(t)
		return sentinelSettings(s, opts), s.Client()
	}
}

func sentinelSettings(s *redistest.Sentinel, opts redistest.Options) []string {
	return append(credentials(s.Security, opts), "REDIS_MODE=sentinel", "REDIS_ADDRS="+strings.Join(s.Addrs(), ","), "REDIS_MASTER_NAME="+s.MasterName())
}

func cluster(opts redistest.Options) func(*testing.T) ([]string, redis.UniversalClient) {
	return func(t *testing.T) ([]string, redis.UniversalClient) {
		c := opts.StartCluster(t)
		return clusterSettings(c, opts), c.Client()
	}
}

func clusterSettings(c *redistest.Cluster, opts redistest.Options) []string {
	return append(credentials(c.Security, opts), "REDIS_MODE=cluster", "REDIS_ADDRS="+strings.Join(c.Addrs()[:2], ","))
}

func trust(s *redistest.Security) []string {
	if s.CertFile == "" {
		return nil
	}
	return []string{"SSL_CERT_FILE=" + s.CertFile}
}

// credentials are the user, and the URL where only its scheme counts.
func credentials(s *redistest.Security, opts redistest.Options) (environ []string) {
	environ = trust(s)
	if opts.TLS {
		environ = append(environ, "REDIS_URL=rediss://127.0.0.1")
	}
	if opts.User != "" {
		environ = append(environ, "REDIS_USERNAME="+opts.User, "REDIS_PASSWORD="+opts.Password)
	}
	return environ
}
