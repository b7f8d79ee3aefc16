package redisadmin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// fill writes keys of every kind.
func fill(t *testing.T, client redis.UniversalClient, quotes, sessions, cached int) {
	t.Helper()
	ctx := t.Context()
	set := func(key string) { must(t, client.Set(ctx, key, "v", time.Hour).Err()) }
	for i := range quotes {
		set(fmt.Sprintf("fx:{%d}:quote", i))
		must(t, client.HSet(ctx, fmt.Sprintf("fx:{%d}:seq", i), "seq", i).Err())
	}
	for i := range sessions {
		set(fmt.Sprintf("session:%064x", i))
	}
	for i := range cached {
		set(fmt.Sprintf("cache:default:1:k%d", i))
	}
	must(t, client.SAdd(ctx, "session:user:7", "x").Err())
	set("session:ticket:" + strings.Repeat("a", 64))
	set("ratelimit:{ip:192.0.2.1}:60:1")
	set("fx:inbox:lease")
	set("other")
}

func counted(n int64) redisadmin.KeyCount {
	return redisadmin.KeyCount{Count: redisadmin.Known(n), PlusMinus: redisadmin.Known(0)}
}

func TestStats(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "64mb")
	client := quick(t, server.Addr())
	admin := newAdmin(client)
	fresh, err := admin.Stats(t.Context())
	if err != nil || fresh.HitRatio != nil || fresh.Hits != redisadmin.Known(0) {
		t.Errorf("without look-ups: hits %v, ratio %v, %v, want 0 and no ratio", fresh.Hits, fresh.HitRatio, err)
	}
	if text, _ := json.Marshal(fresh); !strings.Contains(string(text), `"hit_ratio":null`) {
		t.Errorf("%s", text)
	}
	fill(t, client, 20, 30, 40)
	client.Get(t.Context(), "other")
	client.Get(t.Context(), "other")
	client.Get(t.Context(), "other")
	client.Get(t.Context(), "missing")
	sub := client.Subscribe(t.Context(), "a", "b")
	t.Cleanup(func() { sub.Close() })
	for range 2 {
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s, err := admin.Stats(t.Context())
	must(t, err)
	if s.Quotes != counted(20) || s.Sessions != counted(30) || s.Cache != counted(40) || s.RateLimits != counted(1) ||
		s.Total != redisadmin.Known(115) || !s.Exact || s.Scanned != redisadmin.Known(115) {
		t.Errorf("keys: %+v", s.Keys)
	}
	if s.Hits != redisadmin.Known(3) || s.Misses != redisadmin.Known(1) || s.HitRatio == nil || *s.HitRatio != 0.75 {
		t.Errorf("hits %v misses %v ratio %v", s.Hits, s.Misses, s.HitRatio)
	}
	if s.PubSub.Channels != redisadmin.Known(2) || s.Clients.PubSub != redisadmin.Known(1) || s.Clients.Connected.Or(0) < 2 ||
		s.Memory.MaxBytes != redisadmin.Known(64<<20) || s.Memory.UsedBytes.Or(0) == 0 || s.Nodes != 1 || s.Version == "" {
		t.Errorf("%+v", s)
	}
	if len(s.Keyspace) != 1 || s.Keyspace[0].Keys != redisadmin.Known(115) || s.Keyspace[0].Expiring.Or(0) != 94 {
		t.Errorf("keyspace: %+v", s.Keyspace)
	}
	h, err := admin.HitRatio(t.Context())
	if err != nil || h.Ratio == nil || *h.Ratio != 0.75 {
		t.Errorf("HitRatio = %+v, %v", h, err)
	}
	must(t, client.ConfigResetStat(t.Context()).Err())
	if h, err := admin.HitRatio(t.Context()); err != nil || h.Ratio != nil || h.Hits != redisadmin.Known(0) {
		t.Errorf("after CONFIG RESETSTAT: HitRatio = %+v, %v, want no ratio", h, err)
	}
	if list, err := admin.Keyspace(t.Context()); err != nil || len(list) != 1 || list[0].Number != 0 {
		t.Errorf("Keyspace = %+v, %v", list, err)
	}
}

// TestStatsOfAnEmbeddedServer checks that values which the server does not report are null, and
// that the others are counted.
func TestStatsOfAnEmbeddedServer(t *testing.T) {
	client, _ := redistest.Embedded(t)
	fill(t, client, 3, 4, 5)
	s, err := newAdmin(client).Stats(t.Context())
	must(t, err)
	if s.Quotes != counted(3) || s.Sessions != counted(4) || s.Cache != counted(5) || s.Total != redisadmin.Known(20) || !s.Exact {
		t.Errorf("keys: %+v", s.Keys)
	}
	text, err := json.Marshal(s)
	must(t, err)
	for _, null := range []string{`"hits":null`, `"used_bytes":null`, `"evictions":null`, `"keyspace":null`, `"ops_per_second":null`, `"version":null`, `"hit_ratio":null`} {
		if !strings.Contains(string(text), null) {
			t.Errorf("no %s in %s", null, text)
		}
	}
	if s.Clients.Connected.Or(0) < 1 || s.Commands.Or(0) < 1 {
		t.Errorf("known values are missing: %s", text)
	}
}

// TestStatsOfManyKeys counts a part of the keys and checks the stated error.
func TestStatsOfManyKeys(t *testing.T) {
	server := redistest.Start(t)
	client := quick(t, server.Addr())
	fill(t, client, 2, 0, 0)
	const sessions, cached = 6000, 18000
	pipe := client.Pipeline()
	for i := range cached {
		pipe.Set(t.Context(), fmt.Sprintf("cache:users:1:%d", i), "v", 0)
		if i < sessions {
			pipe.Set(t.Context(), fmt.Sprintf("session:%064x", i), "v", 0)
		}
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
	admin := newAdmin(client)
	admin.SetMaxCounted(5000)
	s, err := admin.Stats(t.Context())
	must(t, err)
	if scanned := s.Scanned.Or(0); s.Exact || scanned < 5000 || scanned > 7000 {
		t.Errorf("exact %v, %v scanned, want an estimate from 5000", s.Exact, s.Scanned)
	}
	for name, of := range map[string]struct {
		got  redisadmin.KeyCount
		want int64
	}{"sessions": {s.Sessions, sessions}, "cache": {s.Cache, cached}, "quotes": {s.Quotes, 2}} {
		// 3.5 times the 95 % interval: exceeded once in a hundred billion.
		off := max(of.got.Count.Or(0)-of.want, of.want-of.got.Count.Or(0))
		if pm := of.got.PlusMinus.Or(0); pm == 0 || pm > 1000 || off*2 > pm*7 {
			t.Errorf("%s: %v ± %v, want %d", name, of.got.Count, of.got.PlusMinus, of.want)
		}
	}
}

func TestCountsForbidden(t *testing.T) {
	server := redistest.Start(t)
	must(t, server.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-scan").Err())
	s, err := newAdmin(quick(t, server.Addr())).Stats(t.Context())
	if err != nil || s.Quotes != (redisadmin.KeyCount{}) || s.Exact || s.Total != redisadmin.Known(0) {
		t.Errorf("without SCAN: %+v, %v, want unknown counts", s.Keys, err)
	}
}

func TestClients(t *testing.T) {
	server := redistest.Start(t)
	named := redis.NewClient(&redis.Options{Addr: server.Addr(), ClientName: "a=b", DisableIdentity: true})
	t.Cleanup(func() { named.Close() })
	must(t, named.Ping(t.Context()).Err())
	admin := newAdmin(quick(t, server.Addr()))
	list, err := admin.Clients(t.Context(), redisadmin.NormalClients)
	must(t, err)
	found := false
	for _, c := range list.Clients {
		if c.Name == "a=b" {
			found = c.Command == "ping" && c.Addr != "" && c.ID.Or(0) > 0 && c.User == "default" && c.DB == redisadmin.Known(0) &&
				c.OutputBufferBytes == redisadmin.Known(0) && c.TotalMemoryBytes.Or(0) > 0 && c.AgeSeconds.Or(99) < 60
		}
	}
	if !found || list.Total != len(list.Clients) {
		t.Errorf("Clients = %+v, want a=b among them", list)
	}
	if list, err := admin.Clients(t.Context(), redisadmin.PubSubClients); err != nil || list.Total != 0 || list.Clients == nil {
		t.Errorf("subscribers: %+v, %v, want an empty list", list, err)
	}
	if _, err := admin.Clients(t.Context(), "x y"); err == nil || !strings.Contains(err.Error(), "want normal, pubsub") {
		t.Errorf("an invalid type: %v", err)
	}
}

func FuzzParseClients(f *testing.F) {
	f.Add("id=3 addr=127.0.0.1:40614 laddr=127.0.0.1:6379 fd=8 name= age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 omem=0 tot-mem=22298 events=r cmd=client|list user=default redir=-1 resp=2\n")
	f.Add("id=4 addr=/tmp/s:0 name=x=y omem=-5 age=1.5\nid=99999999999999999999 \x1b[2J cmd=NULL")
	f.Fuzz(func(t *testing.T, text string) {
		list := redisadmin.ParseClients(text)
		if len(list) > strings.Count(text, "\n")+1 {
			t.Errorf("%d clients of %d lines", len(list), strings.Count(text, "\n")+1)
		}
		for _, c := range list {
			if c.OutputBufferBytes.Or(0) < 0 || c.AgeSeconds.Or(0) < 0 || strings.ContainsAny(string(c.Name+c.Addr+c.Command), "\x1b\n") {
				t.Errorf("%+v", c)
			}
		}
		if _, err := json.Marshal(list); err != nil {
			t.Error(err)
		}
	})
}

func TestLatency(t *testing.T) {
	server := redistest.Start(t)
	client := quick(t, server.Addr())
	admin := newAdmin(client)
	l, err := admin.Latency(t.Context())
	if err != nil || l.Monitoring == nil || *l.Monitoring || l.Events != nil || !strings.Contains(l.Why, "monitoring is off") ||
		!strings.Contains(l.Do, "latency-monitor-threshold") {
		t.Errorf("off: %+v, %v", l, err)
	}
	must(t, client.ConfigSet(t.Context(), "latency-monitor-threshold", "5").Err())
	if l, err = admin.Latency(t.Context()); err != nil || l.Events == nil || len(l.Events) != 0 || *l.ThresholdSeconds != 0.005 || l.Why != "" {
		t.Errorf("on, no event yet: %+v, %v", l, err)
	}
	must(t, client.Eval(t.Context(), "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1]-t[1])*1000000+(n[2]-t[2]) > 20000 return 1", nil).Err())
	l, err = admin.Latency(t.Context())
	if err != nil || len(l.Events) == 0 || l.Events[0].Event == "" || l.Events[0].MaxSeconds < 0.02 || l.Events[0].MaxSeconds > 10 || time.Since(l.Events[0].At) > time.Minute {
		t.Errorf("a slow command: %+v, %v", l, err)
	}
	embedded, _ := redistest.Embedded(t)
	if l, err = newAdmin(embedded).Latency(t.Context()); err != nil || l.Monitoring != nil || l.Events != nil || !strings.Contains(l.Why, "not available here") {
		t.Errorf("embedded: %+v, %v", l, err)
	}
	probes, err := admin.LatencyProbe(t.Context(), 50)
	if err != nil || len(probes) != 1 {
		t.Fatalf("LatencyProbe = %+v, %v", probes, err)
	}
	if p := probes[0]; p.Samples != 50 || !(0 < p.MinSeconds && p.MinSeconds <= p.MedianSeconds && p.MedianSeconds <= p.P99Seconds && p.P99Seconds <= p.MaxSeconds) {
		t.Errorf("LatencyProbe = %+v", p)
	}
	if _, err := admin.LatencyProbe(t.Context(), 0); err == nil || errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("zero round trips: %v", err)
	}
}
