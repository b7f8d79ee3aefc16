package redisadmin_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/redisadmin"
)

var update = flag.Bool("update", false, "write the golden files")

// TestParseInfoGolden parses the INFO texts in testdata. A real server sent that of 7.0. The others
// have the fields of their version with made-up values: 6.2 is a replica, 7.2 a full master with
// replicas, Valkey 8.0 a server of a cluster.
func TestParseInfoGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no INFO texts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// Servers end lines with CRLF. Both forms must parse alike.
		info, err := redisadmin.ParseInfo(strings.ReplaceAll(string(text), "\n", "\r\n"))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		plain, err := redisadmin.ParseInfo(string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		got, err := json.MarshalIndent(info, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := json.MarshalIndent(plain, "", "  "); string(again) != string(got) {
			t.Errorf("%s: read differently without CR: %s", file, again)
		}
		golden := strings.TrimSuffix(file, ".txt") + ".golden.json"
		if *update {
			if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != string(want) {
			t.Errorf("%s:\n got %s\nwant %s", file, got, want)
		}
	}
}

func TestParseInfo(t *testing.T) {
	fork, err := redisadmin.ParseInfo("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nserver_mode:cluster\r\nuptime_in_seconds:90\r\n")
	if err != nil || *fork.Server != (redisadmin.ServerInfo{Name: "valkey", Version: "8.0.1", Mode: "cluster", UptimeSeconds: redisadmin.Known(90)}) {
		t.Errorf("a fork: %+v, %v", fork.Server, err)
	}
	if fork.Memory != nil || fork.Replication != nil || fork.Keyspace != nil {
		t.Errorf("sections that are not in the text: %+v", fork)
	}
	replica, err := redisadmin.ParseInfo("# Replication\nrole:slave\nmaster_host:::1\nmaster_port:6379\nmaster_link_status:up\nmaster_last_io_seconds_ago:-1\n\n# Unknown\nx:y\nno colon\n")
	if r := replica.Replication; err != nil || r.Role != "slave" || !*r.MasterLinkUp || r.MasterHost != "[::1]:6379" ||
		r.MasterSilentSeconds != (redisadmin.Number{}) || r.SyncInProgress != nil {
		t.Errorf("a replica: %+v, %v", replica.Replication, err)
	}
	master, err := redisadmin.ParseInfo("# Replication\nrole:master\nconnected_slaves:2\nslave0:ip=10.0.0.2,port=6379,state=online,offset=56,lag=1\nslave1:ip=10.0.0.3,port=6380,state=wait_bgsave,offset=0,lag=0\nmaster_repl_offset:60\n")
	want := []redisadmin.Replica{
		{Addr: "10.0.0.2:6379", State: "online", OffsetBytes: redisadmin.Known(56), LagSeconds: redisadmin.Known(1)},
		{Addr: "10.0.0.3:6380", State: "wait_bgsave", OffsetBytes: redisadmin.Known(0), LagSeconds: redisadmin.Known(0)},
	}
	if err != nil || !slices.Equal(master.Replication.Attached, want) {
		t.Errorf("a master: %+v, %v", master.Replication, err)
	}
	if empty, err := redisadmin.ParseInfo("# Keyspace\r\n"); err != nil || empty.Keyspace == nil || len(empty.Keyspace) != 0 {
		t.Errorf("no keys: %+v, %v, want an empty keyspace, not an unknown one", empty.Keyspace, err)
	}
	for _, text := range []string{"", "x:y", "# Server", "#\n:", ":\n#"} {
		if info, err := redisadmin.ParseInfo(text); err != nil || !reflect.DeepEqual(info, redisadmin.Info{}) {
			t.Errorf("%q: %+v, %v, want no section", text, info, err)
		}
	}
	for _, value := range []string{"-2", "1.5", "", "99999999999999999999", "12kb"} {
		info, err := redisadmin.ParseInfo("# Memory\nused_memory:" + value + "\nmaxmemory:7\n")
		if err == nil || !strings.Contains(err.Error(), "used_memory is") {
			t.Errorf("used_memory:%s: %v, want an error that names it", value, err)
		}
		if info.Memory.UsedBytes != (redisadmin.Number{}) || info.Memory.MaxBytes != redisadmin.Known(7) {
			t.Errorf("used_memory:%s: %+v, want it unknown and the rest parsed", value, info.Memory)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("# Memory\nused_memory:-1\n# Server\nserver_name:x\nx_version:1\nuptime_in_seconds:9223372036854775807\n")
	f.Fuzz(func(t *testing.T, text string) {
		info, err := redisadmin.ParseInfo(text)
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if len(info.Commands) > 2000 || len(info.Errors) > 2000 || len(info.Keyspace) > 10_000 {
			t.Errorf("%d commands, %d errors, %d databases", len(info.Commands), len(info.Errors), len(info.Keyspace))
		}
		if m := info.Memory; m != nil && min(m.UsedBytes.Or(0), m.MaxBytes.Or(0), m.PeakBytes.Or(0), m.LuaUsedBytes.Or(0)) < 0 {
			t.Errorf("negative bytes: %+v", m)
		}
		if ratio, ok := info.HitRatio(); ok && !(ratio >= 0 && ratio <= 1) {
			t.Errorf("hit ratio %v", ratio)
		}
		data, err := json.Marshal(info)
		if err != nil {
			t.Fatalf("no JSON: %v", err)
		}
		var back redisadmin.Info
		if err := json.Unmarshal(data, &back); err != nil {
			t.Errorf("JSON that cannot be decoded: %v", err)
		}
	})
}
