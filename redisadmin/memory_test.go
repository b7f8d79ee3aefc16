package redisadmin_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// fillKinds writes keys of every kind, named like those of the broadcaster.
func fillKinds(t *testing.T, rdb *redis.Client, sessions int) {
	t.Helper()
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range sessions {
			p.Set(t.Context(), fmt.Sprintf("session:%064x", i), strings.Repeat("x", 100+i%300), 0)
		}
		for i := range 20 {
			symbol := fmt.Sprintf("fx:{AA%c/USD}", 'A'+i)
			p.Set(t.Context(), symbol+":quote", "q", 0)
			p.Set(t.Context(), symbol+":seq", "1", 0)
			for range 200 {
				p.XAdd(t.Context(), &redis.XAddArgs{Stream: symbol + ":ticks", Values: []any{"q", strings.Repeat("y", 100)}})
			}
			p.Set(t.Context(), fmt.Sprintf("cache:users:1:%d", i), strings.Repeat("z", 1000), 0)
			p.Set(t.Context(), fmt.Sprintf("cache:pages:1:%d", i), "z", 0)
			p.Set(t.Context(), fmt.Sprintf("ratelimit:{%d}:60", i), "z", 0)
		}
		p.SAdd(t.Context(), "session:user:1", "a")
		p.Set(t.Context(), "session:ticket:"+strings.Repeat("c", 64), "a", 0)
		p.HSet(t.Context(), "fx:symbols", "EUR/USD", "x")
		p.Set(t.Context(), "fx:inbox:lease", "x", 0)
		p.Set(t.Context(), "else", "x", 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// usage returns the number and the true size of the keys that match a pattern.
func usage(t *testing.T, rdb *redis.Client, pattern string) (keys, bytes int64) {
	t.Helper()
	all, err := rdb.Keys(t.Context(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	cmds, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for _, key := range all {
			p.MemoryUsage(t.Context(), key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range cmds {
		bytes += cmd.(*redis.IntCmd).Val()
	}
	return int64(len(all)), bytes
}

func TestMemory(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl")
	rdb := server.Client()
	fillKinds(t, rdb, 5000)
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	m, err := admin.Memory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.UsedBytes.Or(0) == 0 || m.PeakBytes.Or(0) == 0 || m.MaxBytes.Or(0) != 64<<20 || m.FragmentationRatio == nil || m.Policy != "volatile-ttl" || m.Missing != "" {
		t.Errorf("%+v", m)
	}
	if want, _ := rdb.DBSize(t.Context()).Result(); m.Keys.Or(0) != want || int64(m.Scanned) != want || !m.Complete {
		t.Errorf("%d keys: %+v", want, m)
	}
	got := map[string]redisadmin.KindMemory{}
	for i, k := range m.Kinds {
		got[string(k.Kind)+k.Namespace] = k
		if i > 0 && k.Bytes > m.Kinds[i-1].Bytes {
			t.Errorf("not the largest first: %+v", m.Kinds)
		}
	}
	for kind, pattern := range map[string]string{
		"quotes": "*:quote", "sequences": "*:seq", "history": "*:ticks", "cacheusers": "cache:users:*", "cachepages": "cache:pages:*",
		"rate_limits": "ratelimit:*", "session_indexes": "session:user:*", "tickets": "session:ticket:*", "symbols": "fx:symbols",
		"control": "fx:inbox:lease", "other": "else",
	} {
		keys, bytes := usage(t, rdb, pattern)
		if k := got[kind]; k.Keys != keys || k.Bytes != bytes || k.ErrorBytes != 0 || int64(k.Sampled) != keys {
			t.Errorf("%s: %+v, want exactly %d keys of %d bytes", kind, k, keys, bytes)
		}
	}
	keys, bytes := usage(t, rdb, "session:0*")
	k := got["sessions"]
	if k.Keys != keys || k.ErrorBytes == 0 || k.ErrorBytes > bytes/10 || math.Abs(float64(k.Bytes-bytes)) > 2.5*float64(k.ErrorBytes) || k.Sampled != 256 {
		t.Errorf("sessions: %+v, want about %d bytes of %d keys", k, bytes, keys)
	}
}

// TestMemoryErrorIsHonest repeats a survey of a part of the names. The true size lies within the
// interval about 19 times in 20.
func TestMemoryErrorIsHonest(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	fillKinds(t, rdb, 6000)
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	_, sessions := usage(t, rdb, "session:0*")
	_, history := usage(t, rdb, "*:ticks")
	const rounds = 20
	outside := 0
	for range rounds {
		kinds, seen, err := admin.SurveyPart(t.Context(), 3000)
		if err != nil {
			t.Fatal(err)
		}
		if seen < 3000 || seen > 4500 {
			t.Fatalf("%d names seen, want about 3000", seen)
		}
		for kind, want := range map[redisadmin.Kind]int64{redisadmin.KindSession: sessions, redisadmin.KindHistory: history} {
			k := kinds[kind]
			if k.ErrorBytes == 0 || k.ErrorBytes > want {
				t.Errorf("%s: %+v, want %d", kind, k, want)
			}
			if math.Abs(float64(k.Bytes-want)) > float64(k.ErrorBytes) {
				outside++
			}
		}
	}
	// Each round reads the names in the same order, so an unlucky part of them counts in every
	// round. Allow half of the estimates to be outside.
	if outside > rounds+4 {
		t.Errorf("%d of %d estimates were outside of their interval", outside, 2*rounds)
	}
}

func TestMemoryUnknown(t *testing.T) {
	t.Parallel()
	embedded, _ := redistest.Embedded(t)
	embedded.Set(t.Context(), "session:a", "x", 0)
	m, err := redisadmin.New(redisadmin.Config{Redis: embedded}).Memory(t.Context())
	if err != nil || m.Missing != "not available here" || m.Kinds != nil || m.UsedBytes.String() != "not available here" || m.Complete {
		t.Errorf("embedded: %+v, %v", m, err)
	}
	server := redistest.Start(t)
	rdb := server.Client()
	fillKinds(t, rdb, 1)
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "default", "-memory|usage").Err(); err != nil {
		t.Fatal(err)
	}
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	if m, err = admin.Memory(t.Context()); err != nil || !strings.Contains(m.Missing, "NOPERM") || m.Kinds != nil || m.UsedBytes.Or(0) == 0 {
		t.Errorf("forbidden: %+v, %v", m, err)
	}
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "default", "+@all", "-info").Err(); err != nil {
		t.Fatal(err)
	}
	if m, err = admin.Memory(t.Context()); err != nil || m.Missing != "" || len(m.Kinds) == 0 || m.UsedBytes.String() != "not available here" {
		t.Errorf("INFO forbidden: %+v, %v", m, err)
	}
	server.Kill()
	if _, err := admin.Memory(t.Context()); !errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("killed: %v, want ErrUnavailable", err)
	}
	empty, err := redisadmin.New(redisadmin.Config{Redis: redistest.Start(t).Client()}).Memory(t.Context())
	if err != nil || empty.Kinds == nil || len(empty.Kinds) != 0 || !empty.Complete || empty.Keys.Or(-1) != 0 {
		t.Errorf("no keys: %+v, %v", empty, err)
	}
}
