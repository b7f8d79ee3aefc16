package redisclient

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestWhatCanNeverWork: a server ends at once, and names the setting, if no retry can help.
func TestWhatCanNeverWork(t *testing.T) {
	needTLS(t)
	dir := t.TempDir()
	certFile, keyFile, port := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), programtest.FreePort(t)
	programtest.Certificate(t, certFile, keyFile, 1)
	server := redistest.Start(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile)
	sentinel := redistest.StartSentinel(t)
	for _, tc := range []struct {
		environ []string
		want    string
	}{
		{[]string{"REDIS_URL=" + server.URL(), "REDIS_DB=9999"}, "REDIS_DB"},
		{[]string{"REDIS_MODE=cluster", "REDIS_ADDRS=" + server.Addr()}, "REDIS_MODE"},
		{[]string{"REDIS_MODE=sentinel", "REDIS_ADDRS=" + server.Addr(), "REDIS_MASTER_NAME=m"}, "not a sentinel"},
		{[]string{"REDIS_MODE=sentinel", "REDIS_ADDRS=" + sentinel.Addrs()[0], "REDIS_MASTER_NAME=other"}, "REDIS_MASTER_NAME"},
		{[]string{"REDIS_URL=redis://localhost:" + port}, "want rediss:// instead of redis://"},
		{[]string{"REDIS_URL=rediss://" + server.Addr()}, "want redis:// instead of rediss://"},
		{[]string{"REDIS_URL=rediss://localhost:" + port, "REDIS_CA_FILE=" + certFile}, "REDIS_CERT_FILE"},
	} {
		client, err := Open(t.Context(), programtest.Load(t, tc.environ...), Options{})
		if err == nil {
			client.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want an error that names %s", tc.environ, err, tc.want)
		}
	}
}
