// Package check holds the tests of the files in deploy, against the programs that read them: the
// parser of Prometheus, Helm, the types of Kubernetes, and Docker Compose. It is a module of its own,
// so that these stay out of the go.mod of fxcast.
package check

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// program builds the broadcaster once and returns its path.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "broadcaster")
	out, err := exec.Command("go", "build", "-C", "../..", "-buildvcs=false", "-o", path, "./cmd/broadcaster").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, err
})

// scratch is a directory for all tests together.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fxcast-deploy-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// broadcaster returns a command of the broadcaster with an environment of its own.
func broadcaster(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// series are the series that the processes serve: the labels of each, by the name that queries use.
type series map[string][]map[string]string

// served runs a node and a process of feed connect, and returns what both serve.
func served(t *testing.T) series {
	t.Helper()
	s, err := scraped()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var scraped = sync.OnceValues(func() (series, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	certFile, keyFile, err := certificate(scratch)
	if err != nil {
		return nil, err
	}
	s := series{"up": {{}}} // Prometheus's own
	node, err := start(path, nil, []string{"EMBEDDED_REDIS_ADDR=127.0.0.1:0", "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "TLS_CERT_FILE=" + certFile, "TLS_KEY_FILE=" + keyFile})
	if node != nil {
		defer node.stop()
	}
	if err != nil {
		return nil, err
	}
	admin, err := node.logged(`"msg":"[^"]*admin[^"]*".*?"addr":"([^"]+)"`)
	if err != nil {
		return nil, err
	}
	redis, err := node.logged(`embedded.*?(127\.0\.0\.1:\d+)`)
	if err != nil {
		return nil, err
	}
	if err := s.scrape(admin); err != nil {
		return nil, err
	}
	// The vendor's address refuses connections, which the process survives and counts.
	connect, err := start(path, []string{"feed", "connect", "kraken", "--url", "ws://127.0.0.1:1", "--symbols", "EUR/USD", "--metrics", "127.0.0.1:0"}, []string{"REDIS_URL=redis://" + redis})
	if connect != nil {
		defer connect.stop()
	}
	if err != nil {
		return nil, err
	}
	metrics, err := connect.logged(`serving metrics.*?"addr":"([^"]+)"`)
	if err != nil {
		return nil, err
	}
	// It serves from the start; its own metrics are there when it has tried to connect.
	if _, err := connect.logged(`(not connected to the vendor)`); err != nil {
		return nil, err
	}
	return s, s.scrape(metrics)
})

// scrape adds what an address serves.
func (s series) scrape(addr string) error {
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + addr + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return err
	}
	for name, f := range families {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			s[name] = append(s[name], labels)
			if m.Histogram != nil {
				s[name+"_count"] = append(s[name+"_count"], labels)
				s[name+"_sum"] = append(s[name+"_sum"], labels)
				bucket := map[string]string{"le": "+Inf"}
				for k, v := range labels {
					bucket[k] = v
				}
				s[name+"_bucket"] = append(s[name+"_bucket"], bucket)
			}
		}
	}
	return nil
}

// A process is a running broadcaster, whose log is read line by line.
type process struct {
	cmd   *exec.Cmd
	lines chan string
	seen  []string
}

func start(path string, args, env []string) (*process, error) {
	cmd := exec.Command(path, args...)
	cmd.Env = append(env, "LOG_FORMAT=json")
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	in.Close()
	p := &process{cmd: cmd, lines: make(chan string, 1000)}
	go func() {
		defer close(p.lines)
		defer out.Close()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case p.lines <- lines.Text():
			default: // nobody reads the log any more
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	return p, nil
}

// logged waits for a line of the log and returns the part of it that is in parentheses.
func (p *process) logged(pattern string) (string, error) {
	re := regexp.MustCompile(pattern)
	for _, line := range p.seen {
		if m := re.FindStringSubmatch(line); m != nil {
			return m[1], nil
		}
	}
	timeout := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("the process ended:\n%s", strings.Join(p.seen, "\n"))
			}
			p.seen = append(p.seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m[1], nil
			}
		case <-timeout:
			return "", fmt.Errorf("no line of the log matches %s:\n%s", pattern, strings.Join(p.seen, "\n"))
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// certificate writes a certificate of localhost, and its key.
func certificate(dir string) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return "", "", err
	}
	return certFile, keyFile, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}
