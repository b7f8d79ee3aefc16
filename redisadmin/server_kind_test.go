package redisadmin_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/redisadmin"
)

// recordedServer answers INFO and CONFIG GET as a server did whose answers were recorded.
func recordedServer(t *testing.T, dir string) *redis.Client {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return string(text)
	}
	info, settings := read("info.txt"), map[string]string{}
	for line := range strings.Lines(read("config.tsv")) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		settings[name] = value
	}
	bulk := func(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
	answer := func(args []string) string {
		switch strings.ToLower(strings.Join(args[:min(2, len(args))], " ")) {
		case "ping":
			return "+PONG\r\n"
		case "config get":
			out := ""
			n := 0
			for name, value := range settings {
				if args[2] == "*" || args[2] == name {
					out += bulk(name) + bulk(value)
					n += 2
				}
			}
			return fmt.Sprintf("*%d\r\n%s", n, out)
		}
		if strings.EqualFold(args[0], "info") {
			return bulk(info)
		}
		return "-ERR unknown command\r\n"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	serve := func(conn net.Conn) {
		defer func() { conn.Close(); done <- struct{}{} }()
		r := bufio.NewReader(conn)
		number := func() int {
			line, _ := r.ReadString('\n')
			n, _ := strconv.Atoi(strings.Trim(line, "*$\r\n"))
			return n
		}
		for {
			args := make([]string, number())
			for i := range args {
				text := make([]byte, number()+2)
				if _, err := io.ReadFull(r, text); err != nil {
					return
				}
				args[i] = string(text[:len(text)-2])
			}
			if len(args) == 0 {
				return
			}
			io.WriteString(conn, answer(args))
		}
	}
	accepted := make(chan int)
	go func() {
		n := 0
		for {
			conn, err := l.Accept()
			if err != nil {
				accepted <- n
				return
			}
			n++
			go serve(conn)
		}
	}()
	client := redis.NewClient(&redis.Options{Addr: l.Addr().String(), Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true})
	t.Cleanup(func() {
		client.Close()
		l.Close()
		for range <-accepted {
			<-done
		}
	})
	return client
}

// recordedServers returns the folders of what newer servers answered, by server.
func recordedServers(t *testing.T) map[string]string {
	t.Helper()
	data := os.Getenv("FXCAST_DATA")
	if data == "" {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("FXCAST_DATA is not set")
		}
		t.Skip("FXCAST_DATA is not set: no answers of newer servers")
	}
	dirs := map[string]string{}
	for _, name := range []string{"redis-7.4.1", "valkey-8.0.1"} {
		dirs[name] = filepath.Join(data, "servers", name)
	}
	return dirs
}

// TestOtherServers asks Redis 7.4 and Valkey 8 with default settings: no default is a difference,
// texts have the server's name, and advice does not name CONFIG SET where the server refuses it.
func TestOtherServers(t *testing.T) {
	for name, dir := range recordedServers(t) {
		file := filepath.Join(t.TempDir(), "redis.conf")
		must(t, os.WriteFile(file, []byte("hz 50\n"), 0o600))
		admin := redisadmin.New(redisadmin.Config{Redis: recordedServer(t, dir), ConfPath: file})
		drift, err := admin.Drift(t.Context())
		if err != nil || len(drift.Differences) != 1 || drift.Differences[0].Setting != "hz" || drift.Compared < 20 {
			t.Errorf("%s: drift %+v, %v; want hz alone", name, drift, err)
		}
		text := ""
		for _, d := range drift.Differences {
			text += d.Meaning + "\n"
		}
		advice, err := admin.Optimize(t.Context())
		if err != nil || len(advice) < 3 {
			t.Errorf("%s: advice %+v, %v", name, advice, err)
		}
		for _, a := range advice {
			text += a.Why + "\n"
			if strings.HasPrefix(name, "valkey") && strings.HasPrefix(a.Setting, "lazyfree-") {
				t.Errorf("%s: advice on %s, which is %s", name, a.Setting, a.Current)
			}
		}
		health := admin.Health(t.Context())
		for _, c := range health.Checks {
			text += c.Why + "\n" + c.Do + "\n"
		}
		server, version, _ := strings.Cut(name, "-")
		if string(health.Server) != server || string(health.Version) != version {
			t.Errorf("%s: health of %s %s", name, health.Server, health.Version)
		}
		if valkey := server == "valkey"; strings.Contains(text, "Redis") == valkey || strings.Contains(text, "Valkey") != valkey || valkey && strings.Contains(text, "redis.conf") {
			t.Errorf("%s: texts have another name:\n%s", name, text)
		}
		immutable, err := os.ReadFile(filepath.Join(dir, "immutable.txt"))
		must(t, err)
		for setting := range strings.FieldsSeq(string(immutable)) {
			if how := redisadmin.ApplyOf(setting); how != redisadmin.ApplyRestart {
				t.Errorf("%s: %s by %s, but the server refuses CONFIG SET", name, setting, how)
			}
		}
	}
}

// TestPrimaryAuthIsSecret has the name that Valkey gives masterauth kept secret too.
func TestPrimaryAuthIsSecret(t *testing.T) {
	for _, name := range []string{"masterauth", "primaryauth", "requirepass", "tls-key-file-pass"} {
		if got := redisadmin.Shown(name, "hunter2"); strings.Contains(got, "hunter2") {
			t.Errorf("%s is shown as %q", name, got)
		}
	}
}
