package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redistest"
)

type user struct {
	Name string
	Tags []string
}

func TestValuesAndNamespaces(t *testing.T) { onBoth(t, universal(testValuesAndNamespaces)) }

func testValuesAndNamespaces(t *testing.T, client redis.UniversalClient) {
	ctx := t.Context()
	c := newCache(t, patient(client))
	users, rates := namespace(t, c, "users", time.Hour), namespace(t, c, "rates", time.Minute)

	if _, err := users.Get(ctx, "1"); !errors.Is(err, cache.ErrMiss) {
		t.Fatalf("Get of nothing: %v, want ErrMiss", err)
	}
	for _, value := range []string{"", "Ann", "\x00fx", "\x00fx\x01", "\x00fx\x04rubbish", strings.Repeat("long", 1000)} {
		must(t, users.Set(ctx, "1", []byte(value)))
		got, err := users.Get(ctx, "1")
		if err != nil || string(got.Value) != value || got.Source != cache.SourceRedis {
			t.Errorf("Get = %.20q from %s, %v, want %.20q", got.Value, got.Source, err, value)
		}
	}
	if ok, err := users.Exists(ctx, "1"); !ok || err != nil {
		t.Errorf("Exists = %v, %v", ok, err)
	}
	if _, err := rates.Get(ctx, "1"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("a key of another namespace: %v, want ErrMiss", err)
	}
	ttl, err := client.TTL(ctx, "cache:users:1:1").Result()
	if err != nil || ttl > time.Hour || ttl < 53*time.Minute {
		t.Errorf("TTL of cache:users:1:1 = %v, %v, want an hour less at most a tenth", ttl, err)
	}
	if ok, err := users.Delete(ctx, "1"); !ok || err != nil {
		t.Errorf("Delete = %v, %v, want true", ok, err)
	}
	if ok, err := users.Delete(ctx, "1"); ok || err != nil {
		t.Errorf("Delete again = %v, %v, want false", ok, err)
	}
	if ok, err := users.Exists(ctx, "1"); ok || err != nil {
		t.Errorf("Exists after Delete = %v, %v", ok, err)
	}
}

func TestSerializationByType(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ctx := t.Context()
	ns := namespace(t, newCache(t, patient(client)), "users", time.Hour)
	raw := func(key string) string { return client.Get(ctx, "cache:users:1:"+key).Val() }

	must(t, ns.Set(ctx, "bytes", []byte("as it is")))
	must(t, ns.Set(ctx, "string", "also"))
	must(t, ns.Set(ctx, "struct", user{Name: "Ann"}))
	must(t, ns.Set(ctx, "long", strings.Repeat("compressible ", 1000)))
	for key, want := range map[string]string{
		"bytes": "as it is", "string": "also", "struct": "\x00fx\x02" + `{"Name":"Ann","Tags":null}`,
	} {
		if got := raw(key); got != want {
			t.Errorf("stored for %s: %q, want %q", key, got, want)
		}
	}
	if got := raw("long"); !strings.HasPrefix(got, "\x00fx\x03") || len(got) > 200 {
		t.Errorf("13,000 repetitive bytes are stored as %d beginning %.8q", len(got), got)
	}
	random := make([]byte, 5000)
	for i := range random {
		random[i] = byte(i * i >> 3 * 7919 >> 5)
	}
	must(t, cache.As[[]byte](ns).Set(ctx, "random", random))
	if got, err := cache.As[[]byte](ns).Get(ctx, "random"); err != nil || !bytes.Equal(got.Value, random) {
		t.Errorf("random bytes: %v", err)
	}

	users := cache.As[user](ns)
	big := user{Name: "Bob", Tags: strings.Split(strings.Repeat("tag ", 2000), " ")}
	must(t, users.SetMany(ctx, map[string]user{"a": {Name: "Ann"}, "b": big}))
	if !strings.HasPrefix(raw("b"), "\x00fx\x04") {
		t.Errorf("a large struct begins %.8q, want compressed JSON", raw("b"))
	}
	if got, err := users.Get(ctx, "b"); err != nil || len(got.Value.Tags) != len(big.Tags) {
		t.Errorf("Get of b: %d tags, %v", len(got.Value.Tags), err)
	}

	// What another program wrote.
	must(t, client.Set(ctx, "cache:users:1:json", `{"Name":"Cid"}`, 0).Err())
	must(t, client.Set(ctx, "cache:users:1:text", "no json", 0).Err())
	must(t, client.Set(ctx, "cache:users:1:newer", "\x00fx\xf0what is this", 0).Err())
	must(t, client.Set(ctx, "cache:users:1:torn", raw("b")[:30], 0).Err())
	must(t, client.LPush(ctx, "cache:users:1:list", "x").Err())
	if got, err := users.Get(ctx, "json"); err != nil || got.Value.Name != "Cid" {
		t.Errorf("JSON of another program = %v, %v", got, err)
	}
	for _, key := range []string{"text", "newer", "torn"} {
		if got, err := ns.Get(ctx, key); err != nil || string(got.Value) != raw(key) {
			t.Errorf("%s as bytes = %q, %v, want all of it", key, got.Value, err)
		}
		if _, err := users.Get(ctx, key); !errors.Is(err, cache.ErrFormat) {
			t.Errorf("%s as a user: %v, want ErrFormat", key, err)
		}
	}
	if _, err := ns.Get(ctx, "list"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("a list: %v, want ErrMiss", err)
	}
	if ok, err := ns.Exists(ctx, "list"); ok || err != nil {
		t.Errorf("Exists of a list = %v, %v, want false as Get says", ok, err)
	}
	found, err := users.GetMany(ctx, "a", "text", "none", "list")
	partial, ok := errors.AsType[*cache.PartialError](err)
	if !ok || len(partial.Failed) != 1 || !errors.Is(partial.Failed["text"], cache.ErrFormat) || !errors.Is(err, cache.ErrFormat) {
		t.Errorf("GetMany with one that is no user: %v", err)
	}
	if len(found) != 1 || found["a"].Value.Name != "Ann" {
		t.Errorf("GetMany = %v, want a", found)
	}
}

func TestBulk(t *testing.T) { onBoth(t, universal(testBulk)) }

func testBulk(t *testing.T, client redis.UniversalClient) {
	ctx := t.Context()
	reg := prometheus.NewRegistry()
	cfg := patient(client)
	cfg.Registerer, cfg.Namespaces = reg, []string{"bulk"}
	ns := namespace(t, newCache(t, cfg), "bulk", time.Minute)
	keys := numbered("k", 1203) // more than two batches
	want, values := map[string]string{}, map[string]any{}
	for i := 0; i < len(keys); i += 3 {
		want[keys[i]] = fmt.Sprint("v", i)
		values[keys[i]] = want[keys[i]]
	}
	must(t, ns.SetMany(ctx, values))
	found, err := ns.GetMany(ctx, keys...)
	must(t, err)
	got := map[string]string{}
	for k, e := range found {
		got[k] = string(e.Value)
	}
	if !maps.Equal(got, want) {
		t.Errorf("GetMany found %d values, want %d", len(got), len(want))
	}
	if n := testutil.ToFloat64(counter(t, reg, "fx_cache_lookups_total", "bulk", "hit")); n != 401 {
		t.Errorf("hits = %v, want 401", n)
	}
	if ratio, ok := ns.Stats().HitRatio(); !ok || math.Abs(ratio-1./3) > 1e-9 {
		t.Errorf("HitRatio = %v, %v, want a third", ratio, ok)
	}
	if n, err := ns.DeleteMany(ctx, keys...); n != 401 || err != nil {
		t.Errorf("DeleteMany = %d, %v, want 401", n, err)
	}
	if found, err := ns.GetMany(ctx, keys...); len(found) != 0 || err != nil {
		t.Errorf("after DeleteMany: %d, %v", len(found), err)
	}
	for name, err := range map[string]error{
		"SetMany": ns.SetMany(ctx, nil), "GetMany": second(ns.GetMany(ctx)), "DeleteMany": second(ns.DeleteMany(ctx)),
	} {
		if err != nil {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// counter returns one series of a registered counter.
func counter(t *testing.T, reg prometheus.Gatherer, name string, labels ...string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if strings.Join(values, ",") == strings.Join(labels, ",") {
				c := prometheus.NewCounter(prometheus.CounterOpts{Name: "copy"})
				c.Add(m.GetCounter().GetValue() + m.GetGauge().GetValue())
				return c
			}
		}
	}
	t.Fatalf("no %s%v", name, labels)
	return nil
}

// TestBulkIsOneRoundTrip counts the round trips of bulk calls.
func TestBulkIsOneRoundTrip(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ctx := t.Context()
	cfg := patient(client)
	cfg.VersionRefresh = time.Millisecond // due in each call
	ns := namespace(t, newCache(t, cfg), "bulk", time.Minute, cache.ServeStale(time.Minute))
	trips := &tripCounter{}
	client.AddHook(trips)
	keys := numbered("k", 2000)
	values := map[string]any{}
	for _, key := range keys {
		values[key] = "v"
	}
	for _, step := range []struct {
		name string
		call func() error
	}{
		{"", func() error { return second(ns.Exists(ctx, "k1")) }}, // connects
		{"SetMany", func() error { return ns.SetMany(ctx, values) }},
		{"GetMany", func() error { return second(ns.GetMany(ctx, keys...)) }},
		{"Get", func() error { return second(ns.Get(ctx, "k1")) }},
		{"Exists", func() error { return second(ns.Exists(ctx, "k1")) }},
		{"DeleteMany", func() error { return second(ns.DeleteMany(ctx, keys...)) }},
	} {
		before := trips.n.Load()
		must(t, step.call())
		if n := trips.n.Load() - before; n != 1 && step.name != "" {
			t.Errorf("%s took %d round trips, want 1", step.name, n)
		}
	}
}

func ignoreMiss(err error) error {
	if errors.Is(err, cache.ErrMiss) {
		return nil
	}
	return err
}

func TestValuesExpire(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		ns := namespace(t, newCache(t, patient(client)), "short", 200*time.Millisecond)
		must(t, ns.Set(t.Context(), "k", "v"))
		eventually(t, "the value expires", func() bool {
			_, err := ns.Get(t.Context(), "k")
			must(t, ignoreMiss(err))
			return err != nil
		})
	})
}

func TestJitter(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ctx := t.Context()
	c := newCache(t, patient(client))
	for _, tc := range []struct {
		fraction float64
		least    time.Duration
		distinct int
	}{{0, time.Hour, 1}, {0.5, time.Hour / 2, 30}} {
		ns := namespace(t, c, fmt.Sprintf("j%v", tc.fraction), time.Hour, cache.Jitter(tc.fraction))
		values := map[string]any{}
		for _, key := range numbered("k", 40) {
			values[key] = "v"
		}
		must(t, ns.SetMany(ctx, values))
		seen := map[time.Duration]bool{}
		for key := range values {
			ttl := client.PTTL(ctx, "cache:"+ns.Name()+":1:"+key).Val()
			if ttl > time.Hour || ttl < tc.least-5*time.Second {
				t.Errorf("jitter %v: TTL %v, want %v to an hour", tc.fraction, ttl, tc.least)
			}
			seen[ttl.Truncate(10*time.Second)] = true
		}
		if tc.distinct > 1 && len(seen) < tc.distinct {
			t.Errorf("jitter %v: %d different TTLs of 40", tc.fraction, len(seen))
		}
	}
}

func TestBadInput(t *testing.T) {
	client, _ := redistest.Embedded(t)
	c := newCache(t, patient(client))
	for _, name := range []string{"a*", "A", "a:b", "a b", strings.Repeat("x", 65), "ü", "a\n"} {
		if _, err := c.Namespace(name, time.Minute); err == nil || !strings.Contains(err.Error(), "want 1 to 64") {
			t.Errorf("namespace %.10q: %v, want an error that says what is allowed", name, err)
		}
	}
	if _, err := c.Namespace("a", 0); err == nil {
		t.Error("a namespace without a ttl was accepted")
	}
	for name, cfg := range map[string]cache.Config{
		"no Redis": {}, "a bad name": {Redis: client, Namespaces: []string{"A"}}, "too many": {Redis: client, Namespaces: numbered("n", 65)},
	} {
		if _, err := cache.New(cfg); err == nil {
			t.Errorf("New accepted %s", name)
		}
	}
	ns := namespace(t, c, "", time.Minute)
	if ns.Name() != cache.DefaultNamespace {
		t.Errorf("no name means %q", ns.Name())
	}
	ctx := t.Context()
	for _, key := range []string{"", strings.Repeat("k", cache.MaxKey+1)} {
		for call, err := range map[string]error{
			"Get": second(ns.Get(ctx, key)), "GetMany": second(ns.GetMany(ctx, "fine", key)),
			"DeleteMany": second(ns.DeleteMany(ctx, "fine", key)), "Set": ns.Set(ctx, key, ""), "Exists": second(ns.Exists(ctx, key)),
			"SetMany": ns.SetMany(ctx, map[string]any{"fine": 1, key: 2}), "Fetch": second(ns.Fetch(ctx, key, nil)),
		} {
			if err == nil || errors.Is(err, cache.ErrMiss) || !strings.Contains(err.Error(), "want 1 to 512") {
				t.Errorf("%s with a key of %d bytes: %v", call, len(key), err)
			}
		}
	}
	if err := ns.Set(ctx, "k", make([]byte, cache.MaxValue+1)); err == nil {
		t.Error("a value above the limit was accepted")
	}
	if err := ns.Set(ctx, "k", math.NaN()); err == nil || !strings.Contains(err.Error(), "float64") {
		t.Errorf("a value JSON cannot hold: %v, want an error that names its type", err)
	}
	if _, err := ns.GetMany(ctx, numbered("k", cache.MaxBulk+1)...); err == nil {
		t.Error("too many keys were accepted")
	}
	if keys := allKeys(t, client); len(keys) != 0 {
		t.Errorf("refused calls stored %v", keys)
	}
	for i := range 1000 {
		if _, err := c.Namespace(fmt.Sprint("n", i), time.Minute); err != nil {
			if i < 990 {
				t.Fatalf("namespace %d: %v", i, err)
			}
			return
		}
	}
	t.Error("more than 1,000 namespaces were accepted")
}

func TestStatsAndMetrics(t *testing.T) {
	client, _ := redistest.Embedded(t)
	reg := prometheus.NewRegistry()
	cfg := patient(client)
	cfg.Registerer, cfg.Namespaces = reg, []string{"users"}
	c := newCache(t, cfg)
	users, more := namespace(t, c, "users", time.Minute), namespace(t, c, "undeclared", time.Minute)
	if ratio, ok := users.Stats().HitRatio(); ok || ratio != 0 {
		t.Errorf("HitRatio without look-ups = %v, %v, want none", ratio, ok)
	}
	ctx := t.Context()
	must(t, users.Set(ctx, "a", "1"))
	for _, key := range []string{"a", "a", "a", "b"} {
		must(t, ignoreMiss(second(users.Get(ctx, key))))
	}
	must(t, ignoreMiss(second(more.Get(ctx, "a"))))
	if ratio, ok := namespace(t, c, "users", time.Hour).Stats().HitRatio(); !ok || ratio != 0.75 {
		t.Errorf("HitRatio by another handle = %v, %v, want 0.75", ratio, ok)
	}
	all, total := c.Stats()
	if total.Hits != 3 || total.Misses != 2 || all["undeclared"].Misses != 1 || all["users"].Hits != 3 {
		t.Errorf("Stats = %v, total %v", all, total)
	}
	for labels, want := range map[[2]string]float64{{"users", "hit"}: 3, {"users", "miss"}: 1, {"other", "miss"}: 1, {"other", "memory"}: 0} {
		if got := testutil.ToFloat64(counter(t, reg, "fx_cache_lookups_total", labels[0], labels[1])); got != want {
			t.Errorf("fx_cache_lookups_total%v = %v, want %v", labels, got, want)
		}
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}
