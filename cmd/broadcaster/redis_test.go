package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
)

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func textLog() (*slog.Logger, *syncBuffer) {
	b := &syncBuffer{}
	return slog.New(slog.NewTextHandler(b, nil)), b
}

// eventually waits until ok reports true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

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
		o, err := redisOptions(mustLoad(t, tc.environ...), openOptions{})
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
		if !o.ContextTimeoutEnabled || o.ConnMaxIdleTime != 240*time.Second || o.MaxRetries != redisRetries {
			t.Errorf("%q: bounds are missing: %+v", tc.environ, o)
		}
	}
	o, err := redisOptions(mustLoad(t, "REDIS_HOST=h"), openOptions{NoRetry: true, Name: "n"})
	if err != nil || o.MaxRetries != -1 || o.ClientName != "n" {
		t.Errorf("NoRetry: %+v, %v", o, err)
	}
}

func TestRedisModes(t *testing.T) {
	for mode, environ := range map[string][]string{
		"*redis.ClusterClient": {"REDIS_MODE=cluster", "REDIS_ADDRS=127.0.0.1:1,127.0.0.1:2"},
		"*redis.Client":        {"REDIS_MODE=sentinel", "REDIS_ADDRS=127.0.0.1:1", "REDIS_MASTER_NAME=m"},
	} {
		cfg := mustLoad(t, environ...)
		o, err := redisOptions(cfg, openOptions{})
		if err != nil {
			t.Fatal(err)
		}
		client := newRedisClient(cfg.Redis, o, false)
		defer client.Close()
		switch c := client.(type) {
		case *redis.ClusterClient:
			if mode != "*redis.ClusterClient" || len(c.Options().Addrs) != 2 || c.Options().PoolSize != 10 {
				t.Errorf("%s: %T %+v", mode, c, c.Options())
			}
		case *redis.Client:
			if mode != "*redis.Client" || c.Options().Addr != "FailoverClient" {
				t.Errorf("%s: %T %s", mode, c, c.Options().Addr)
			}
		}
	}
}

func TestOpenRedis(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "s3cret")
	logger, log := textLog()
	connected := 0
	client, err := openRedis(t.Context(), mustLoad(t, "REDIS_URL="+server.URL(), "REDIS_PASSWORD=s3cret", "REDIS_MAX_CONNECTIONS=3"),
		openOptions{Logger: logger, OnConnect: func(context.Context, *redis.Conn) error { connected++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if connected != 1 {
		t.Errorf("OnConnect was called %d times, want once", connected)
	}
	name, err := client.ClientGetName(t.Context()).Result()
	if err != nil || name != "broadcaster" {
		t.Errorf("client name %q, %v", name, err)
	}

	// A wrong password is final, also where the server need not be there.
	for _, password := range []string{"s3cretx", ""} {
		_, err = openRedis(t.Context(), mustLoad(t, "REDIS_URL="+server.URL(), "REDIS_PASSWORD="+password), openOptions{Logger: logger})
		if err == nil || !strings.Contains(err.Error(), "REDIS_PASSWORD") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("password %q: %v, want an error that names REDIS_PASSWORD", password, err)
		}
	}
	// A server that is not there is final only where it is required.
	server.Kill()
	cfg := mustLoad(t, "REDIS_URL="+server.URL(), "REDIS_PASSWORD=s3cret")
	if _, err = openRedis(t.Context(), cfg, openOptions{Require: true}); err == nil || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("no server, required: %v, want an error with the address", err)
	}
	later, err := openRedis(t.Context(), cfg, openOptions{Logger: logger})
	if err != nil {
		t.Fatalf("no server, not required: %v", err)
	}
	defer later.Close()
	if !strings.Contains(log.String(), "not reachable yet") {
		t.Errorf("log: %s", log)
	}
	server.Restart()
	eventually(t, "the client connects once the server is there", func() bool { return later.Ping(t.Context()).Err() == nil })
	if strings.Contains(log.String(), "s3cret") {
		t.Errorf("the log shows the password: %s", log)
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
	_, err := openRedis(ctx, mustLoad(t, "REDIS_URL="+server.URL()), openOptions{Require: true})
	if took := time.Since(start); err == nil || took > 2*time.Second {
		t.Errorf("after %v: %v, want an error at the deadline", took, err)
	}
}

func TestRedisHealth(t *testing.T) {
	server := redistest.Start(t)
	logger, log := textLog()
	client, err := openRedis(t.Context(), mustLoad(t, "REDIS_URL="+server.URL()), openOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	reg := prometheus.NewRegistry()
	h := newRedisHealth(client, logger, reg)
	h.interval = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() { cancel(); wg.Wait() }()
	eventually(t, "up", func() bool { return testutil.ToFloat64(h.up) == 1 })
	server.Kill()
	eventually(t, "down, twice", func() bool { return testutil.ToFloat64(h.up) == 0 && testutil.ToFloat64(h.failures) >= 2 })
	server.Restart()
	eventually(t, "up again", func() bool { return testutil.ToFloat64(h.up) == 1 })
	cancel()
	wg.Wait()
	text := log.String()
	if strings.Count(text, "does not answer") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("the log is not one line per change:\n%s", text)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestLogRedis(t *testing.T) {
	for _, tc := range []struct {
		policy string
		warns  bool
	}{{"allkeys-lru", true}, {"volatile-lru", true}, {"volatile-ttl", false}, {"noeviction", false}} {
		server := redistest.Start(t, "--maxmemory-policy", tc.policy)
		logger, log := textLog()
		logRedis(t.Context(), server.Client(), mustLoad(t, "REDIS_URL="+server.URL()), logger)
		text := log.String()
		if !strings.Contains(text, "mode=standalone") || !strings.Contains(text, "maxmemory_policy="+tc.policy) || !strings.Contains(text, "version=") {
			t.Errorf("%s: log %s", tc.policy, text)
		}
		if got := strings.Contains(text, "want=volatile-ttl"); got != tc.warns {
			t.Errorf("%s: warned %v, want %v: %s", tc.policy, got, tc.warns, text)
		}
	}
	// A user who may ask for nothing.
	server := redistest.Start(t)
	admin := server.Client()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "small", "on", ">pw", "-@all", "+ping", "+hello", "+client|setname").Err(); err != nil {
		t.Fatal(err)
	}
	cfg := mustLoad(t, "REDIS_URL="+server.URL(), "REDIS_USERNAME=small", "REDIS_PASSWORD=pw")
	client, err := openRedis(t.Context(), cfg, openOptions{Require: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	logger, log := textLog()
	logRedis(t.Context(), client, cfg, logger)
	if text := log.String(); strings.Contains(text, "WARN") || strings.Count(text, "not told by the server") != 2 {
		t.Errorf("a server that tells nothing: %s", text)
	}
}

// TestRedisTLS runs itself again as a process of its own, because the trusted
// certificates are read from SSL_CERT_FILE once per process.
func TestRedisTLS(t *testing.T) {
	if url := os.Getenv("BROADCASTER_TEST_TLS_URL"); url != "" {
		client, err := openRedis(t.Context(), mustLoad(t, "REDIS_URL="+url), openOptions{Require: true})
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
	certFile, keyFile := writeCertificate(t, dir)
	port := freePort(t)
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
	writeFile(t, empty, "")
	if out, err := child("rediss://localhost:"+port, empty); err == nil || !strings.Contains(out, "SSL_CERT_FILE") {
		t.Errorf("with an unknown certificate: %v, want an error that names SSL_CERT_FILE\n%s", err, out)
	}
	// The certificate is not for this name.
	if out, err := child("rediss://127.0.0.2:"+port, certFile); err == nil || !strings.Contains(out, "127.0.0.2") {
		t.Errorf("another name: %v\n%s", err, out)
	}
	// TLS asked of a port without it is final and says so.
	_, err := openRedis(t.Context(), mustLoad(t, "REDIS_URL=rediss://"+server.Addr()), openOptions{Require: true})
	if err == nil {
		t.Error("TLS to a plain port worked")
	}
}

// writeCertificate makes a certificate for localhost that is its own authority.
func writeCertificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	return certFile, keyFile
}

func TestCertificateOfTheListener(t *testing.T) {
	certFile, keyFile := writeCertificate(t, t.TempDir())
	mustLoad(t, "TLS_CERT_FILE="+certFile, "TLS_KEY_FILE="+keyFile)
	_, err := loadConfig([]string{"TLS_CERT_FILE=" + keyFile, "TLS_KEY_FILE=" + certFile})
	if err == nil || !strings.HasPrefix(err.Error(), "TLS_CERT_FILE: ") || strings.Contains(err.Error(), "PRIVATE") && strings.Contains(err.Error(), "MII") {
		t.Errorf("swapped files: %v", err)
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
