package redisclient

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestRedisOptions(t *testing.T) {
	type want struct {
		network, addr, user, password string
		db, pool                      int
		serverName                    string // "" = no TLS
	}
	for _, tc := range []struct {
		environ []string
		want    want
	}{
		{[]string{"REDIS_URL=redis://h"}, want{"tcp", "h:6379", "", "", 0, 10, ""}},
		{[]string{"REDIS_URL=redis://u:p%40@h:1234/5?pool_size=3"}, want{"tcp", "h:1234", "u", "p@", 5, 3, ""}},
		{[]string{"REDIS_URL=redis://u:p@h:1234/5?pool_size=3", "REDIS_MAX_CONNECTIONS=7"}, want{"tcp", "h:1234", "u", "p", 5, 7, ""}},
		{[]string{"REDIS_URL=redis://u:p@h:1234/5", "REDIS_HOST=i", "REDIS_DB=0"}, want{"tcp", "i:1234", "u", "p", 0, 10, ""}},
		{[]string{"REDIS_URL=redis://u:p@h:1234/5", "REDIS_PORT=2", "REDIS_PASSWORD=q", "REDIS_USERNAME=v"}, want{"tcp", "h:2", "v", "q", 5, 10, ""}},
		{[]string{"REDIS_URL=redis://h:1234", "REDIS_PORT=tcp://10.0.0.1:6379"}, want{"tcp", "h:1234", "", "", 0, 10, ""}},
		{[]string{"REDIS_URL=rediss://h/1"}, want{"tcp", "h:6379", "", "", 1, 10, "h"}},
		{[]string{"REDIS_URL=rediss://h/1", "REDIS_HOST=i"}, want{"tcp", "i:6379", "", "", 1, 10, "i"}},
		{[]string{"REDIS_URL=redis://[::1]:7/1"}, want{"tcp", "[::1]:7", "", "", 1, 10, ""}},
		{[]string{"REDIS_URL=unix://u:p@/run/redis.sock?db=3"}, want{"unix", "/run/redis.sock", "u", "p", 3, 10, ""}},
		{[]string{"REDIS_URL=unix:///run/redis.sock", "REDIS_HOST=h"}, want{"tcp", "h:6379", "", "", 0, 10, ""}},
		{[]string{"REDIS_HOST=/run/redis.sock", "REDIS_DB=2"}, want{"unix", "/run/redis.sock", "", "", 2, 10, ""}},
		{[]string{"REDIS_HOST=h", "REDIS_PORT=9", "REDIS_PASSWORD=p", "REDIS_DB=4"}, want{"tcp", "h:9", "", "p", 4, 10, ""}},
		{[]string{"REDIS_HOST=::1"}, want{"tcp", "[::1]:6379", "", "", 0, 10, ""}},
		{[]string{"REDIS_ADDRS=h:8"}, want{"tcp", "h:8", "", "", 0, 10, ""}},
	} {
		o, err := clientOptions(programtest.Load(t, tc.environ...), Options{})
		if err != nil {
			t.Errorf("%q: %v", tc.environ, err)
			continue
		}
		got := want{o.Network, o.Addr, o.Username, o.Password, o.DB, o.PoolSize, ""}
		if got.network == "" {
			got.network = "tcp"
		}
		if o.TLSConfig != nil {
			got.serverName = o.TLSConfig.ServerName
		}
		if got != tc.want {
			t.Errorf("%q:\n got %+v\nwant %+v", tc.environ, got, tc.want)
		}
		if !o.ContextTimeoutEnabled || o.ConnMaxIdleTime != 240*time.Second || o.MaxRetries != retries {
			t.Errorf("%q: bounds are missing: %+v", tc.environ, o)
		}
	}
	o, err := clientOptions(programtest.Load(t, "REDIS_HOST=h"), Options{NoRetry: true, Name: "n"})
	if err != nil || o.MaxRetries != -1 || o.ClientName != "n" {
		t.Errorf("NoRetry: %+v, %v", o, err)
	}
}

func TestRedisModes(t *testing.T) {
	for mode, environ := range map[string][]string{
		"*redis.ClusterClient": {"REDIS_MODE=cluster", "REDIS_ADDRS=127.0.0.1:1,127.0.0.1:2"},
		"*redis.Client":        {"REDIS_MODE=sentinel", "REDIS_ADDRS=127.0.0.1:1", "REDIS_MASTER_NAME=m"},
	} {
		path := filepath.Join(t.TempDir(), "password")
		programtest.WriteFile(t, path, "first")
		cfg := programtest.Load(t, append(environ, "REDIS_PASSWORD_FILE="+path)...)
		o, err := clientOptions(cfg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		client := newClient(cfg.Redis, o, false)
		defer client.Close()
		programtest.WriteFile(t, path, "second")
		switch c := client.(type) {
		case *redis.ClusterClient:
			if _, password, _ := c.Options().CredentialsProviderContext(t.Context()); password != "second" {
				t.Errorf("cluster: password %q after the file has changed", password)
			}
			if mode != "*redis.ClusterClient" || len(c.Options().Addrs) != 2 || c.Options().PoolSize != 10 {
				t.Errorf("%s: %T %+v", mode, c, c.Options())
			}
		case *redis.Client:
			if _, password, _ := c.Options().CredentialsProviderContext(t.Context()); password != "second" {
				t.Errorf("sentinel: password %q after the file has changed", password)
			}
			if mode != "*redis.Client" || c.Options().Addr != "FailoverClient" {
				t.Errorf("%s: %T %s", mode, c, c.Options().Addr)
			}
		}
	}
}

func TestOpenRedis(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "s3cret")
	logger, log := programtest.Log()
	client, err := Open(t.Context(), programtest.Load(t, "REDIS_URL="+server.URL(), "REDIS_PASSWORD=s3cret", "REDIS_MAX_CONNECTIONS=3"),
		Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	name, err := client.ClientGetName(t.Context()).Result()
	if err != nil || name != "broadcaster" {
		t.Errorf("client name %q, %v", name, err)
	}

	// A wrong password is final, also where the server need not be there.
	for _, password := range []string{"s3cretx", ""} {
		_, err = Open(t.Context(), programtest.Load(t, "REDIS_URL="+server.URL(), "REDIS_PASSWORD="+password), Options{Logger: logger})
		if err == nil || !strings.Contains(err.Error(), "REDIS_PASSWORD") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("password %q: %v, want an error that names REDIS_PASSWORD", password, err)
		}
	}
	// A server that is not there is final only where it is required.
	server.Kill()
	cfg := programtest.Load(t, "REDIS_URL="+server.URL(), "REDIS_PASSWORD=s3cret")
	if _, err = Open(t.Context(), cfg, Options{Require: true}); err == nil || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("no server, required: %v, want an error with the address", err)
	}
	later, err := Open(t.Context(), cfg, Options{Logger: logger})
	if err != nil {
		t.Fatalf("no server, not required: %v", err)
	}
	defer later.Close()
	if !strings.Contains(log.String(), "not reachable yet") {
		t.Errorf("log: %s", log)
	}
	server.Restart()
	programtest.Eventually(t, "the client connects once the server is there", func() bool { return later.Ping(t.Context()).Err() == nil })
	if strings.Contains(log.String(), "s3cret") {
		t.Errorf("the log shows the password: %s", log)
	}
}

// TestOpenRefusing: a server that answers and refuses is reachable, and the log has its reason.
func TestOpenRefusing(t *testing.T) {
	t.Parallel()
	for code, refuse := range map[string]func(*redistest.Server){"MISCONF": (*redistest.Server).BreakSnapshots, "BUSY": (*redistest.Server).Busy} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--save", "900 1", "--enable-protected-configs", "yes", "--busy-reply-threshold", "20")
			refuse(server)
			logger, log := programtest.Log()
			client, err := Open(t.Context(), programtest.Load(t, "REDIS_URL="+server.URL()), Options{Require: true, Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			client.Close()
			if text := log.String(); !strings.Contains(text, code) || !strings.Contains(text, "redis refuses commands") || strings.Contains(text, "reachable") {
				t.Errorf("the log does not name %s:\n%s", code, text)
			}
		})
	}
}

// A silent server costs at most the bound of the first PING.
func TestOpenRedisBounded(t *testing.T) {
	server := redistest.Start(t)
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Open(ctx, programtest.Load(t, "REDIS_URL="+server.URL()), Options{Require: true})
	if took := time.Since(start); err == nil || took > 8*time.Second {
		t.Errorf("after %v: %v, want an error at the deadline", took, err)
	}
}

// TestRedisTLS runs itself again as a process of its own, because the trusted
// certificates are read from SSL_CERT_FILE once per process.
func TestRedisTLS(t *testing.T) {
	if url := os.Getenv("BROADCASTER_TEST_TLS_URL"); url != "" {
		client, err := Open(t.Context(), programtest.Load(t, "REDIS_URL="+url), Options{Require: true})
		if err != nil {
			t.Fatalf("openRedis: %v", err)
		}
		defer client.Close()
		if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	programtest.Certificate(t, certFile, keyFile, 1)
	port := programtest.FreePort(t)
	server := redistest.Start(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-auth-clients", "no")
	child := func(url, trusted string) (string, error) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRedisTLS$", "-test.v")
		cmd.Env = append(os.Environ(), "BROADCASTER_TEST_TLS_URL="+url, "SSL_CERT_FILE="+trusted, "SSL_CERT_DIR="+dir+"/none")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := child("rediss://localhost:"+port, certFile); err != nil {
		t.Errorf("with a trusted certificate: %v\n%s", err, out)
	}
	if n, err := server.Client().Exists(t.Context(), "k").Result(); n != 1 || err != nil {
		t.Errorf("what was written over TLS is not there: %d, %v", n, err)
	}
	empty := filepath.Join(dir, "empty.pem")
	programtest.WriteFile(t, empty, "")
	if out, err := child("rediss://localhost:"+port, empty); err == nil || !strings.Contains(out, "SSL_CERT_FILE") {
		t.Errorf("with an unknown certificate: %v, want an error that names SSL_CERT_FILE\n%s", err, out)
	}
	// The certificate is not for this name.
	if out, err := child("rediss://127.0.0.2:"+port, certFile); err == nil || !strings.Contains(out, "127.0.0.2") {
		t.Errorf("another name: %v\n%s", err, out)
	}
	// TLS asked of a port without it is final and says so.
	_, err := Open(t.Context(), programtest.Load(t, "REDIS_URL=rediss://"+server.Addr()), Options{Require: true})
	if err == nil {
		t.Error("TLS to a plain port worked")
	}
}
