package redisadmin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/redisadmin"
)

// TestClusterMonitoring monitors all masters, and the remaining ones after one was killed.
func TestClusterMonitoring(t *testing.T) {
	t.Parallel()
	client, servers := startCluster(t)
	fill(t, client, 20, 30, 40)
	path := writeConf(t, "slowlog-log-slower-than 10000\n")
	admin := redisadmin.New(redisadmin.Config{Redis: client, ConfPath: path})
	ctx := t.Context()

	m, err := admin.Memory(ctx)
	if err != nil || !m.Complete || m.Keys.Or(0) != 115 || m.Silent != nil {
		t.Errorf("Memory = %+v, %v", m, err)
	}
	for kind, keys := range map[redisadmin.Kind]int64{redisadmin.KindQuote: 20, redisadmin.KindSession: 30, redisadmin.KindCache: 40} {
		i := slices.IndexFunc(m.Kinds, func(k redisadmin.KindMemory) bool { return k.Kind == kind })
		if i < 0 || m.Kinds[i].Keys != keys || m.Kinds[i].Bytes == 0 {
			t.Errorf("%s: %+v", kind, m.Kinds)
		}
	}
	must(t, servers[1].Client().ConfigSet(ctx, "slowlog-log-slower-than", "0").Err())
	must(t, servers[1].Client().Ping(ctx).Err())
	if d, err := admin.Drift(ctx); err != nil || len(d.Differences) != 1 || d.Differences[0].Node != servers[1].Addr() {
		t.Errorf("Drift = %+v, %v", d, err)
	}
	if list, err := admin.SlowLog(ctx, 5); err != nil || len(list) == 0 || list[0].Node != servers[1].Addr() {
		t.Errorf("SlowLog = %+v, %v", list, err)
	}
	advice, err := admin.Optimize(ctx)
	advice = slices.DeleteFunc(advice, func(a redisadmin.Advice) bool { return a.Setting != "slowlog-log-slower-than" })
	if err != nil || len(advice) != 1 || advice[0].Node != servers[1].Addr() {
		t.Fatalf("Optimize = %+v, %v", advice, err)
	}
	if done, err := admin.Apply(ctx, advice); err != nil || len(done) != 1 || !done[0].Done {
		t.Errorf("Apply = %+v, %v", done, err)
	}
	if d, err := admin.Drift(ctx); err != nil || len(d.Differences) != 0 {
		t.Errorf("after Apply: %+v, %v", d, err)
	}

	short, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	seen := map[string]bool{}
	for c, err := range admin.Commands(short) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Node] = true; len(seen) == 3 {
			break
		}
		for _, s := range servers {
			s.Client().Ping(ctx)
		}
	}
	killed := false
	for s, err := range admin.Watch(short, redisadmin.WatchConfig{Every: 100 * time.Millisecond}) {
		switch {
		case err != nil && !killed:
			t.Fatal(err)
		case err == nil && !killed:
			if s.Silent != nil || s.Clients.Or(0) < 3 {
				t.Errorf("%+v", s)
			}
			servers[2].Kill()
			killed = true
			continue
		case err == nil && len(s.Silent) == 1 && s.Silent[0] == servers[2].Addr() && s.OpsPerSecond != nil:
		default:
			continue
		}
		break
	}
	if short.Err() != nil {
		t.Error("no sample without the server that was killed")
	}
	if m, err := admin.Memory(ctx); err != nil || !slices.Equal(m.Silent, []string{servers[2].Addr()}) || len(m.Kinds) == 0 {
		t.Errorf("Memory with one server killed: %+v, %v", m, err)
	}
	if d, err := admin.Drift(ctx); err != nil || !slices.Equal(d.Silent, []string{servers[2].Addr()}) {
		t.Errorf("Drift with one server killed: %+v, %v", d, err)
	}
	if _, err := admin.SlowLog(ctx, 5); err != nil {
		t.Errorf("SlowLog with one server killed: %v", err)
	}
	for _, s := range servers {
		s.Kill()
	}
	if _, err := admin.Memory(ctx); !errors.Is(err, redisadmin.ErrUnavailable) || strings.Contains(err.Error(), "%!") {
		t.Errorf("Memory with all killed: %v", err)
	}
}
