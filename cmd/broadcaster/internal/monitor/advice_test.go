package monitor

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/redisadmin"
)

func TestMonitorOptimize(t *testing.T) {
	t.Parallel()
	server, rdb, environ := monitored(t)
	setting := func(name string) string { return rdb.ConfigGet(t.Context(), name).Val()[name] }
	code, out, errs := programtest.Run(t, Run, environ, "--optimize")
	if code != 0 || errs != "" || !strings.Contains(out, "maxmemory-policy: allkeys-lru → volatile-ttl\n") || !strings.Contains(out, "idle sessions") || !strings.Contains(out, "--apply") {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	checkText(t, "optimize", out)
	if setting("maxmemory-policy") != "allkeys-lru" {
		t.Error("--optimize alone changed something")
	}
	code, out, errs = programtest.Run(t, Run, environ, "--optimize", "--json")
	var doc struct {
		Advice  []redisadmin.Advice
		Applied []redisadmin.Applied
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || errs != "" || len(doc.Advice) < 5 || doc.Applied != nil {
		t.Errorf("%d %q %v\n%s", code, errs, err, out)
	}
	rdb.Do(t.Context(), "ACL", "SETUSER", "default", "-config|set")
	code, out, _ = programtest.Run(t, Run, environ, "--optimize", "--apply")
	if code != 1 || !strings.Contains(out, "not done: not available here: NOPERM") {
		t.Errorf("forbidden: %d\n%s", code, out)
	}
	rdb.Do(t.Context(), "ACL", "SETUSER", "default", "+config|set")
	code, out, errs = programtest.Run(t, Run, environ, "--optimize", "--apply")
	if code != 0 || errs != "" || !strings.Contains(out, "maxmemory-policy: allkeys-lru → volatile-ttl — done\n") || !strings.Contains(out, "To keep it: ") {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	checkText(t, "apply", out)
	if setting("maxmemory-policy") != "volatile-ttl" || setting("maxmemory") != "268435456" || setting("appendonly") != "yes" {
		t.Error("--apply did not change it")
	}
	code, out, _ = programtest.Run(t, Run, environ, "--optimize", "--apply", "--json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || doc.Applied == nil || len(doc.Applied) != 0 {
		t.Errorf("again: %d %v %s", code, err, out)
	}
	server.Kill()
	if code, out, errs := programtest.Run(t, Run, environ, "--optimize", "--apply"); code != 1 || out != "" && !strings.Contains(out, "nothing") || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "is not available") {
		t.Errorf("killed: %d %q %q", code, out, errs)
	}
}
