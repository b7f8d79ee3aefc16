package redisadmin_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/redisadmin"
)

var update = flag.Bool("update", false, "write the golden files")

// TestParseInfoGolden parses the INFO texts in testdata, as servers sent them.
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
		// Servers end lines with CRLF; both must read the same.
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
	if err != nil || *fork.Server != (redisadmin.ServerInfo{Name: "valkey", Version: "8.0.1", Mode: "cluster", Uptime: 90 * time.Second}) {
		t.Errorf("a fork: %+v, %v", fork.Server, err)
	}
	if fork.Memory != nil || fork.Replication != nil {
		t.Errorf("sections that were not there: %+v", fork)
	}
	replica, err := redisadmin.ParseInfo("# Replication\nrole:slave\nmaster_link_status:up\n\n# Unknown\nx:y\nno colon\n")
	if err != nil || *replica.Replication != (redisadmin.ReplicationInfo{Role: "slave", MasterLinkUp: true}) {
		t.Errorf("a replica: %+v, %v", replica.Replication, err)
	}
	for _, text := range []string{"", "x:y", "# Server", "# Clients\nconnected_clients:1\n", "#\n:", ":\n#"} {
		if info, err := redisadmin.ParseInfo(text); err != nil || info != (redisadmin.Info{}) {
			t.Errorf("%q: %+v, %v, want nothing", text, info, err)
		}
	}
	for _, value := range []string{"-1", "1.5", "", "99999999999999999999", "12kb"} {
		if _, err := redisadmin.ParseInfo("# Memory\nused_memory:" + value + "\n"); err == nil || !strings.Contains(err.Error(), "used_memory is") {
			t.Errorf("used_memory:%s: %v, want an error that names it", value, err)
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
		if m := info.Memory; m != nil && (m.UsedBytes < 0 || m.MaxBytes < 0 || m.PeakBytes < 0 || m.LuaUsedBytes < 0) {
			t.Errorf("negative bytes: %+v", m)
		}
		if s := info.Server; s != nil && s.Uptime < 0 {
			t.Errorf("negative uptime: %v", s.Uptime)
		}
	})
}
