package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options configure the servers of a test. The zero value starts them without TLS and users. All
// servers of a Sentinel or Cluster share the Options.
type Options struct {
	// Args are appended to the command line of each server ("--maxmemory", "4mb") and override
	// the defaults.
	Args []string

	// TLS makes the servers accept TLS only, with a certificate created for the test; see
	// Security.
	TLS bool

	// User, with Password, is created in an ACL file, and the default user is disabled. Rules
	// are the permissions of User; "" = all. The clients that this package returns belong to
	// another user with all permissions.
	User, Password, Rules string

	Replicas bool // of a Cluster: one replica per master
}

// Security holds the certificates for a client of servers with TLS.
type Security struct {
	CertFile string         // self-signed certificate (PEM), for SSL_CERT_FILE; "" without TLS
	RootCAs  *x509.CertPool // the same certificate; nil without TLS

	keyFile string
	aclFile string
	user    string // of the clients that this package returns
	secret  string
}

const testUser = "redistest"

// security writes the files that the options need to a directory of the test.
func (o Options) security(t testing.TB) *Security {
	t.Helper()
	s := &Security{}
	if o.TLS {
		s.makeCertificate(t)
	}
	if o.User != "" {
		rules := o.Rules
		if rules == "" {
			rules = "~* &* +@all"
		}
		s.user, s.secret = testUser, rand.Text()
		s.aclFile = filepath.Join(t.TempDir(), "users.acl")
		text := fmt.Sprintf("user default off\nuser %s on >%s ~* &* +@all\nuser %s on >%s %s\n", s.user, s.secret, o.User, o.Password, rules)
		if err := os.WriteFile(s.aclFile, []byte(text), 0o600); err != nil {
			t.Fatalf("redistest: %v", err)
		}
	}
	return s
}

// makeCertificate creates a self-signed certificate for localhost and 127.0.0.1. Servers use it
// both as a server and as a client of each other.
func (s *Security) makeCertificate(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redistest"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	dir := t.TempDir()
	s.CertFile, s.keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{
		s.CertFile: certificate,
		s.keyFile:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatalf("redistest: %v", err)
		}
	}
	s.RootCAs = x509.NewCertPool()
	s.RootCAs.AppendCertsFromPEM(certificate)
}

// listenArgs returns the arguments that make a server or sentinel listen on port.
func (s *Security) listenArgs(port string) []string {
	if s.CertFile == "" {
		return []string{"--port", port}
	}
	return []string{"--port", "0", "--tls-port", port, "--tls-cert-file", s.CertFile, "--tls-key-file", s.keyFile,
		"--tls-ca-cert-file", s.CertFile, "--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes"}
}

// aclArgs returns the arguments for the users of a server, and for its own user as a replica.
func (s *Security) aclArgs() []string {
	if s.aclFile == "" {
		return nil
	}
	return []string{"--aclfile", s.aclFile, "--masteruser", s.user, "--masterauth", s.secret}
}

// tlsConfig returns the TLS configuration of a client; nil without TLS.
func (s *Security) tlsConfig() *tls.Config {
	if s.RootCAs == nil {
		return nil
	}
	return &tls.Config{RootCAs: s.RootCAs}
}

// clientOptions returns the options of a client with all permissions.
func (s *Security) clientOptions(addr string) *redis.Options {
	return &redis.Options{Addr: addr, Username: s.user, Password: s.secret, TLSConfig: s.tlsConfig(), DisableIdentity: true}
}

// scheme returns the scheme of the servers' URL.
func (s *Security) scheme() string {
	if s.CertFile != "" {
		return "rediss"
	}
	return "redis"
}
