package redisclient

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// needTLS skips the test if redis-server has no TLS. The server ends at a directive that it does not
// know, and names it.
func needTLS(t *testing.T) {
	t.Helper()
	if out, _ := exec.Command("redis-server", "--port", "0", "--tls-port", "0", "--no-such-directive", "x").CombinedOutput(); !strings.Contains(string(out), "no-such-directive") {
		t.Skipf("redis-server has no TLS: %s", out)
	}
}

// TestCertificatesOfRedis: connections use the certificates of the settings, and after all of them
// have been replaced, new connections use the new ones.
func TestCertificatesOfRedis(t *testing.T) {
	needTLS(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	programtest.Certificate(t, file("server.pem"), file("server.key"), 1)
	programtest.Certificate(t, file("client.pem"), file("client.key"), 2)
	port := programtest.FreePort(t)
	server := redistest.Start(t, "--tls-port", port, "--tls-cert-file", file("server.pem"), "--tls-key-file", file("server.key"),
		"--tls-ca-cert-file", file("client.pem"), "--tls-auth-clients", "yes")
	own := []string{"REDIS_CA_FILE=" + file("server.pem"), "REDIS_CERT_FILE=" + file("client.pem"), "REDIS_KEY_FILE=" + file("client.key")}
	logger, log := programtest.Log()
	for _, environ := range [][]string{{"REDIS_URL=rediss://localhost:" + port}, {"REDIS_HOST=localhost", "REDIS_PORT=" + port}} {
		client, err := Open(t.Context(), programtest.Load(t, append(environ, own...)...), Options{Require: true, Logger: logger})
		if err != nil {
			t.Fatalf("%q: %v", environ, err)
		}
		defer client.Close()
		if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Error(err)
		}

		programtest.Certificate(t, file("server.pem"), file("server.key"), 3)
		programtest.Certificate(t, file("client.pem"), file("client.key"), 4)
		plain := server.Client()
		for _, args := range [][]any{
			{"CONFIG", "SET", "tls-cert-file", file("server.pem"), "tls-key-file", file("server.key"), "tls-ca-cert-file", file("client.pem")},
			{"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"},
		} {
			if err := plain.Do(t.Context(), args...).Err(); err != nil {
				t.Fatalf("%v: %v", args, err)
			}
		}
		programtest.Eventually(t, "new connections use the new certificates", func() bool { return client.Ping(t.Context()).Err() == nil })

		// Files that cannot be loaded leave the previous ones in use.
		programtest.WriteFile(t, file("client.key"), "half a key")
		if err := plain.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
			t.Fatal(err)
		}
		programtest.Eventually(t, "new connections use the previous certificates", func() bool { return client.Ping(t.Context()).Err() == nil })
		if log.Find("(previous ones stay in use)") == "" {
			t.Errorf("the log has no line about the files: %s", log)
		}
		programtest.Certificate(t, file("client.pem"), file("client.key"), 5)
		if err := plain.ConfigSet(t.Context(), "tls-ca-cert-file", file("client.pem")).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPasswordRotates: after the password of Redis and its file have changed, new connections use the
// new one, in each mode and from either file. A wrong password in a file does not end a server.
func TestPasswordRotates(t *testing.T) {
	for _, tc := range []struct{ name, setting, content string }{
		{"password", "REDIS_PASSWORD_FILE", "PASSWORD\n"},
		{"URL", "REDIS_URL_FILE", "redis://:PASSWORD@ADDR/0\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			path := filepath.Join(t.TempDir(), "secret")
			write := func(password string) {
				programtest.WriteFile(t, path, strings.NewReplacer("PASSWORD", password, "ADDR", server.Addr()).Replace(tc.content))
			}
			operator := server.Client() // connected before there is a password, so it stays in
			if err := operator.ConfigSet(t.Context(), "requirepass", "first").Err(); err != nil {
				t.Fatal(err)
			}
			write("early")
			environ := []string{tc.setting + "=" + path}
			if tc.name == "password" {
				environ = append(environ, "REDIS_URL="+server.URL())
			}
			logger, log := programtest.Log()
			cfg := programtest.Load(t, environ...)
			if _, err := Open(t.Context(), cfg, Options{Require: true}); !redis.IsAuthError(err) {
				t.Errorf("a command with a wrong password: %v", err)
			}
			client, err := Open(t.Context(), cfg, Options{Logger: logger})
			if err != nil {
				t.Fatalf("a server with a wrong password in a file: %v", err)
			}
			defer client.Close()
			if log.Find("(not reachable yet.*WRONGPASS.*REDIS_PASSWORD)") == "" {
				t.Errorf("the log has no clear line: %s", log)
			}
			messages := client.Subscribe(t.Context(), "news")
			defer messages.Close()
			for _, password := range []string{"first", "second"} {
				write(password)
				if err := operator.ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
					t.Fatal(err)
				}
				for _, kind := range []string{"normal", "pubsub"} {
					if err := operator.ClientKillByFilter(t.Context(), "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
						t.Fatal(err)
					}
				}
				programtest.Eventually(t, "new connections use the password "+password, func() bool { return client.Ping(t.Context()).Err() == nil })
				programtest.Eventually(t, "the subscription is back with the password "+password, func() bool {
					_ = messages.Ping(t.Context())
					n, err := client.PubSubNumSub(t.Context(), "news").Result()
					return err == nil && n["news"] == 1
				})
			}
			if log := log.String(); strings.Contains(log, "first") || strings.Contains(log, "early") {
				t.Errorf("the log shows a password: %s", log)
			}
		})
	}
}
