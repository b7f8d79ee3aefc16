package node

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
)

func TestEmbeddedExpires(t *testing.T) {
	addr, stop, err := startEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	client, err := redisclient.Open(t.Context(), programtest.Load(t), redisclient.Options{Addr: addr, Require: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Set(t.Context(), "short", "v", 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "long", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	programtest.Eventually(t, "the short key expires", func() bool { return errors.Is(client.Get(t.Context(), "short").Err(), redis.Nil) })
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("it expired after %v, of 300ms", took)
	}
	if ttl, err := client.TTL(t.Context(), "long").Result(); err != nil || ttl < 59*time.Minute || ttl > time.Hour {
		t.Errorf("the long key has %v, %v left, want almost an hour", ttl, err)
	}
}

func TestEmbeddedStops(t *testing.T) {
	addr, stop, err := startEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := startEmbedded(addr); err == nil || !strings.HasPrefix(err.Error(), "EMBEDDED_REDIS_ADDR: ") {
		t.Errorf("on a taken address: %v, want an error that names the setting", err)
	}
	stop()
	stop() // twice is fine
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("it still accepts connections after stop")
	}
}
