package session_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// bindSessions makes and binds n sessions. They are written in pipelines, as another program would.
func bindSessions(tb testing.TB, m *session.Manager, rdb *redis.Client, n int) {
	tb.Helper()
	ids := make([]string, n)
	for at := 0; at < n; at += 1000 {
		pipe := rdb.Pipeline()
		for i := at; i < min(n, at+1000); i++ {
			ids[i] = session.ID(fmt.Sprint(i))
			pipe.Set(tb.Context(), "session:"+ids[i], fmt.Sprintf(`{"user_id":"%d","role":"user","absolute_expires_at":"2100-01-01T00:00:00Z"}`, i), time.Hour)
		}
		if _, err := pipe.Exec(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	for _, id := range ids {
		s, err := m.LoadID(tb.Context(), id)
		if err != nil {
			tb.Fatal(err)
		}
		m.Bind(s, func(c session.Cause) { tb.Errorf("ended: %s", c.Reason) })
	}
}

// 10,000 bound sessions cost a few round trips per re-check.
func TestCheckCost(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	rdb := srv.Client()
	m := manager(rdb)
	bindSessions(t, m, rdb, 10_000)
	hook := &countingHook{}
	rdb.AddHook(hook)
	m.CheckOnce(t.Context())
	// One more is a second look at what a busy machine answered late.
	if hook.trips.Load() > 5 || hook.n.Load() < 10_000 || hook.n.Load() > 11_000 {
		t.Errorf("%d round trips with %d commands", hook.trips.Load(), hook.n.Load())
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rdb := redistest.Start(b).Client()
			m := manager(rdb)
			bindSessions(b, m, rdb, n)
			before := redisCPU(b, rdb)
			b.ReportAllocs()
			for b.Loop() {
				m.CheckOnce(b.Context())
			}
			b.ReportMetric((redisCPU(b, rdb)-before)*1000/float64(b.N), "redis-cpu-ms/op")
		})
	}
}

// redisCPU is the processor time the server has used, in seconds.
func redisCPU(b *testing.B, rdb *redis.Client) (seconds float64) {
	b.Helper()
	info, err := rdb.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
				var f float64
				if _, err := fmt.Sscan(v, &f); err != nil {
					b.Fatal(err)
				}
				seconds += f
			}
		}
	}
	return seconds
}

func BenchmarkLoad(b *testing.B) {
	m := manager(redistest.Start(b).Client())
	_, token := create(b, m, session.Draft{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Load(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// What a connection costs here: of its session only what bindings need, and its lease.
func TestBoundSessionIsSmall(t *testing.T) {
	const n, most = 1000, 600
	srv := redistest.Start(t)
	m := manager(srv.Client())
	heap := func() int {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int(s.HeapAlloc)
	}
	bound := func(data string) int {
		s, _, err := m.Create(t.Context(), session.Draft{UserID: "somebody", Role: "user", Data: json.RawMessage(data)})
		if err != nil {
			t.Fatal(err)
		}
		bindings := make([]*session.Binding, n)
		before := heap()
		for i := range bindings {
			loaded, err := m.LoadID(t.Context(), s.ID)
			if err != nil {
				t.Fatal(err)
			}
			loaded.ID = fmt.Sprintf("%064x", i) // each another session
			bindings[i] = m.Bind(loaded, func(session.Cause) {})
		}
		each := (heap() - before) / n
		for _, b := range bindings {
			b.Close()
		}
		return each
	}
	if each := bound(`{"k":"` + strings.Repeat("x", 4000) + `"}`); each > most {
		t.Errorf("%d bytes for each bound session, want at most %d whatever data it has", each, most)
	}
}
