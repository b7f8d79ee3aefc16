package config_test

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

func TestCertificateOfTheListener(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	programtest.Certificate(t, certFile, keyFile, 1)
	programtest.Load(t, "TLS_CERT_FILE="+certFile, "TLS_KEY_FILE="+keyFile)
	_, err := config.Load([]string{"TLS_CERT_FILE=" + keyFile, "TLS_KEY_FILE=" + certFile})
	if err == nil || !strings.HasPrefix(err.Error(), "TLS_CERT_FILE: ") || strings.Contains(err.Error(), "PRIVATE") && strings.Contains(err.Error(), "MII") {
		t.Errorf("swapped files: %v", err)
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Error(err)
	}
}
