package redisadmin_test

import (
	"os"
	"testing"

	"github.com/fxcast/fxcast/redisadmin"
)

func read(t *testing.T, file string) redisadmin.Info {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	must(t, err)
	info, err := redisadmin.ParseInfo(string(text))
	must(t, err)
	return info
}

// TestChecksOfAFullMaster covers states that a test cannot easily cause: a long rewrite, a replica
// that lags, failed snapshots.
func TestChecksOfAFullMaster(t *testing.T) {
	h := redisadmin.Judge(read(t, "redis-7.2.txt"), map[string]string{
		"save": "900 1", "stop-writes-on-bgsave-error": "no", "notify-keyspace-events": "AKE",
	})
	if h.Status != redisadmin.Degraded {
		t.Errorf("%s: %s", h.Status, h.Reason)
	}
	want(t, h, redisadmin.CheckAOFRewrite, "", redisadmin.Warn, "running for 71 s")
	want(t, h, redisadmin.CheckReplication, "", redisadmin.Warn, "2 replicas, lag 31 s, 7.0 MiB behind", "[fd00::7]:6379 is in state send_bulk")
	want(t, h, redisadmin.CheckMemory, "", redisadmin.Warn, "255.9 MiB of 256.0 MiB (100 %)", "before their time")
	want(t, h, redisadmin.CheckPersistence, "", redisadmin.Warn, "last snapshot failed")
	want(t, h, redisadmin.CheckPolicy, "", redisadmin.OK, "volatile-ttl")
	want(t, h, redisadmin.CheckEvictions, "", redisadmin.OK, "48120 since the server started")
	want(t, h, redisadmin.CheckConnections, "", redisadmin.OK, "214 of 1000")
	want(t, h, redisadmin.CheckEvents, "", redisadmin.OK, "AKE")
	if c := find(t, h, redisadmin.CheckEvents, ""); c.Why != "" {
		t.Errorf("%+v: A stands for all classes", c)
	}
}

func TestChecksOfAReplica(t *testing.T) {
	h := redisadmin.Judge(read(t, "redis-6.2.txt"), nil)
	if h.Status != redisadmin.Unhealthy {
		t.Errorf("%s: %s", h.Status, h.Reason)
	}
	want(t, h, redisadmin.CheckRole, "", redisadmin.Fail, "its master is 10.0.0.5:6379")
	want(t, h, redisadmin.CheckReplication, "", redisadmin.Warn, "down for 17 s")
	want(t, h, redisadmin.CheckEvents, "", redisadmin.Unknown)
}

func TestChecksOfPersistence(t *testing.T) {
	yes, no := true, false
	good := redisadmin.PersistenceInfo{
		Loading: &no, LastSaveStatus: "ok", AOFEnabled: &yes, AOFRewriteInProgress: &no, AOFLastRewriteStatus: "ok", AOFLastWriteStatus: "ok",
	}
	for name, test := range map[string]struct {
		change func(*redisadmin.PersistenceInfo)
		result redisadmin.Result
		word   string
	}{
		"good":         {func(*redisadmin.PersistenceInfo) {}, redisadmin.OK, "last write ok"},
		"loading":      {func(p *redisadmin.PersistenceInfo) { p.Loading = &yes }, redisadmin.Fail, "read from disk"},
		"write failed": {func(p *redisadmin.PersistenceInfo) { p.AOFLastWriteStatus = "err" }, redisadmin.Fail, "cannot be written"},
		"rewrite failed": {func(p *redisadmin.PersistenceInfo) { p.AOFLastRewriteStatus = "err" }, redisadmin.Warn,
			"could not be rewritten"},
		"save failed": {func(p *redisadmin.PersistenceInfo) { p.LastSaveStatus = "err" }, redisadmin.Fail, "writes are refused until"},
		"write failed, file off": {func(p *redisadmin.PersistenceInfo) { p.AOFEnabled, p.AOFLastWriteStatus = &no, "err" }, redisadmin.OK,
			"snapshots, last one ok"},
	} {
		p := good
		test.change(&p)
		h := redisadmin.Judge(redisadmin.Info{Persistence: &p}, map[string]string{"save": "60 1", "stop-writes-on-bgsave-error": "yes"})
		t.Run(name, func(t *testing.T) { want(t, h, redisadmin.CheckPersistence, "", test.result, test.word) })
	}
}
