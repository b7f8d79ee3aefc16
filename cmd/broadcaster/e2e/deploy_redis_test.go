package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// A deployedRedis is a server as docker-compose.yml starts it: redis.conf, and
// users made from secret files by deploy/redis-start.sh.
type deployedRedis struct {
	t       *testing.T
	port    string
	secrets string // directory of the secret files
	acl     string // what redis-start.sh made
	log     *programtest.Buffer
}

// startDeployed starts one until the test ends. environ goes to redis-start.sh.
func startDeployed(t *testing.T, environ ...string) *deployedRedis {
	t.Helper()
	needProgram(t, "redis-server")
	d := &deployedRedis{t: t, secrets: makeSecrets(t), port: programtest.FreePort(t)}
	d.acl = filepath.Join(t.TempDir(), "users.acl")
	cmd, log := d.start(environ...)
	d.log = log
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	programtest.Eventually(t, "redis is ready", func() bool {
		select {
		case <-ended:
			t.Fatalf("redis-start.sh ended:\n%s", log)
		default:
		}
		return strings.Contains(log.String(), "Ready to accept connections")
	})
	return d
}

// start runs redis-start.sh.
func (d *deployedRedis) start(environ ...string) (*exec.Cmd, *programtest.Buffer) {
	d.t.Helper()
	log := &programtest.Buffer{}
	cmd := exec.Command("sh", root+"/deploy/redis-start.sh", "--port", d.port, "--dir", d.t.TempDir())
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "SECRETS_DIR=" + d.secrets, "ACL_FILE=" + d.acl,
		"USERS_ACL=" + root + "/deploy/users.acl", "REDIS_CONF=" + root + "/redis.conf"}, environ...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	return cmd, log
}

// as is a client of this user; "" has none.
func (d *deployedRedis) as(user string) *redis.Client {
	o := &redis.Options{Addr: "127.0.0.1:" + d.port, Username: user, DisableIdentity: true, MaxRetries: -1}
	if user != "" {
		o.Password = d.secret("redis_" + user + "_password")
	}
	c := redis.NewClient(o)
	d.t.Cleanup(func() { c.Close() })
	return c
}

func (d *deployedRedis) secret(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.secrets, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// refused counts what users were not allowed to do.
func (d *deployedRedis) refused() string {
	d.t.Helper()
	text, err := d.as("monitor").Info(d.t.Context(), "errorstats").Result()
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "errorstat_NOPERM") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func needProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatalf("no %s on PATH, and FXCAST_REQUIRE_ALL=1 requires one", name)
		}
		t.Skipf("no %s on PATH", name)
	}
}

// makeSecrets runs the commands of docs/deployment.md that make the secrets.
func makeSecrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", blocks(t, "deployment.md", "sh")[0])
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("making secrets: %v\n%s", err, out)
	}
	return filepath.Join(dir, "secrets")
}

// TestDeployedRedis: redis.conf and the users load without a warning, nobody is
// let in without a password, and no password is where others can see it.
func TestDeployedRedis(t *testing.T) {
	t.Parallel()
	d := startDeployed(t)
	for line := range strings.Lines(d.log.String()) {
		if strings.Contains(line, "WARNING") && !strings.Contains(line, "overcommit") { // of this machine's kernel
			t.Errorf("redis warns: %s", line)
		}
	}
	text, err := os.ReadFile(d.acl)
	if err != nil {
		t.Fatal(err)
	}
	acl := string(text)
	if info, err := os.Stat(d.acl); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the ACL file: %v, %v", info.Mode(), err)
	}
	if !strings.HasPrefix(acl, "user default off\n") || strings.Count(acl, " #") != 3 {
		t.Errorf("the ACL file:\n%s", acl)
	}
	for _, user := range []string{"producer", "broadcaster", "monitor"} {
		secret := d.secret("redis_" + user + "_password")
		if len(secret) < 24 || strings.Contains(acl+d.log.String(), secret) {
			t.Errorf("the password of %s is short, or in the ACL file or log", user)
		}
	}

	for _, user := range []string{"", "default", "producer", "broadcaster", "monitor"} {
		for _, password := range []string{"", "wrong-password-0123456789"} {
			if user == "default" && password == "" {
				continue // go-redis sends no AUTH then: the first case
			}
			c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + d.port, Username: user, Password: password, MaxRetries: -1, DisableIdentity: true})
			if err := c.Ping(t.Context()).Err(); !redis.IsAuthError(err) {
				t.Errorf("user %q with password %q: %v, want to be refused", user, password, err)
			}
			c.Close()
		}
	}
	// From another address too, where protected-mode would matter.
	if addr := otherAddress(t); addr != "" {
		c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort(addr, d.port), MaxRetries: -1, DisableIdentity: true})
		if err := c.Ping(t.Context()).Err(); !redis.IsAuthError(err) {
			t.Errorf("from %s: %v, want NOAUTH", addr, err)
		}
		c.Close()
	}

	client := d.as("monitor")
	for name, want := range map[string]string{
		"maxmemory": "268435456", "maxmemory-policy": "volatile-ttl", "maxmemory-samples": "5", "appendonly": "yes", "appendfsync": "everysec",
		"timeout": "300", "tcp-keepalive": "60", "notify-keyspace-events": "gxE", "hz": "10", "dynamic-hz": "yes",
		"save": "900 1 300 10 60 10000", "protected-mode": "yes", "bind": "* -::*",
		"client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
	} {
		if got, err := client.ConfigGet(t.Context(), name).Result(); err != nil || got[name] != want {
			t.Errorf("%s is %q (%v), want %q", name, got[name], err, want)
		}
	}
	for _, command := range []string{"FLUSHDB", "FLUSHALL"} {
		if err := d.as("broadcaster").Do(t.Context(), command).Err(); err == nil || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("%s: %v, want it to be unknown", command, err)
		}
	}
	// The program finds nothing to warn of.
	n := launchProcess(t, "REDIS_HOST=127.0.0.1", "REDIS_PORT="+d.port, "REDIS_USERNAME=broadcaster", "REDIS_PASSWORD="+d.secret("redis_broadcaster_password"))
	programtest.Eventually(t, "the memory is measured", func() bool {
		used, err := strconv.ParseFloat(metricOf(n.testNode, "fx_redis_memory_used_ratio"), 64)
		return err == nil && used > 0 && used < 0.5
	})
	log := n.stderr.String()
	if !strings.Contains(log, "volatile-ttl") || strings.Contains(log, "WARN") {
		t.Errorf("the log of the program: %s", log)
	}
}

// otherAddress is an IPv4 address of this machine that is not loopback.
func otherAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return ""
}

// TestDeployedRedisRefuses: a secret that is missing or short, or a channel name
// that would be a rule, stops the start by name.
func TestDeployedRedisRefuses(t *testing.T) {
	t.Parallel()
	needProgram(t, "redis-server")
	for _, tc := range []struct {
		name, want string
		spoil      func(t *testing.T, dir string)
		environ    []string
	}{
		{"missing", "redis_monitor_password is missing", func(t *testing.T, dir string) { remove(t, dir+"/redis_monitor_password") }, nil},
		{"empty", "at least 24 characters", func(t *testing.T, dir string) { writeSecret(t, dir+"/redis_producer_password", "\n") }, nil},
		{"short", "at least 24 characters", func(t *testing.T, dir string) { writeSecret(t, dir+"/redis_broadcaster_password", "letmein\n") }, nil},
		{"channel", "FEED_CHANNELS", func(*testing.T, string) {}, []string{"FEED_CHANNELS=news,*"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &deployedRedis{t: t, secrets: makeSecrets(t), port: programtest.FreePort(t), acl: filepath.Join(t.TempDir(), "users.acl")}
			tc.spoil(t, d.secrets)
			cmd, log := d.start(tc.environ...)
			timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
			err := cmd.Wait()
			timer.Stop()
			if err == nil || !strings.Contains(log.String(), tc.want) || strings.Contains(log.String(), "letmein") {
				t.Errorf("%v, printed %s, want %q", err, log, tc.want)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func writeSecret(t *testing.T, path, text string) {
	t.Helper()
	remove(t, path)
	programtest.WriteFile(t, path, text)
}
