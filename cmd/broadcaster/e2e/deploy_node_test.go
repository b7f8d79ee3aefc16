package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// A deployment is what docker-compose.yml starts, as processes of this machine:
// the same files, users, secrets and environments.
type deployment struct {
	t       *testing.T
	redis   *deployedRedis
	environ []string // of a broadcaster
	nodes   []*processNode
	url     string // of nginx, or of the first node where there is no nginx
	proxied bool
}

func startDeployment(t *testing.T) *deployment {
	t.Helper()
	given := map[string]string{"FEED_CHANNELS": "news"}
	d := &deployment{t: t, redis: startDeployed(t, "FEED_CHANNELS=news")}
	for _, name := range composeNodes {
		environ := slices.Concat(readCompose(t).Services[name].environ(d.redis.secrets, given), []string{
			"REDIS_HOST=127.0.0.1", "REDIS_PORT=" + d.redis.port, "ADMIN_ADDR=127.0.0.1:0", "TRUSTED_PROXIES=127.0.0.1/32",
			"REDIS_CONF=" + root + "/redis.conf", "DRAIN_TIMEOUT=2s", "LOG_LEVEL=info"})
		d.environ = environ
		d.nodes = append(d.nodes, serveProgram(t, environ...))
	}
	d.url = d.nodes[0].public
	if bin, err := exec.LookPath("nginx"); err == nil {
		d.startNginx(bin)
	}
	return d
}

// startNginx runs deploy/nginx.conf with other addresses.
func (d *deployment) startNginx(bin string) {
	d.t.Helper()
	dir, port := d.t.TempDir(), programtest.FreePort(d.t)
	text := readRoot(d.t, "deploy/nginx.conf")
	for i, name := range composeNodes {
		text = strings.Replace(text, name+":8080", strings.TrimPrefix(d.nodes[i].public, "http://"), 1)
	}
	text = strings.Replace(text, "listen 8080;", "listen 127.0.0.1:"+port+";", 1)
	text = strings.ReplaceAll(text, "/tmp/", dir+"/")
	text = strings.Replace(text, "include mime.types;", "", 1)
	text = strings.Replace(text, "worker_processes auto;", "worker_processes 1;", 1)
	conf := filepath.Join(dir, "nginx.conf")
	programtest.WriteFile(d.t, conf, text)
	// The workers of root would become somebody who may not read the directory.
	var args []string
	if out, _ := exec.Command("id", "-u").Output(); strings.TrimSpace(string(out)) == "0" {
		args = []string{"-g", "user root;"}
	}
	args = append(args, "-c", conf)
	if out, err := exec.Command(bin, append(args, "-t")...).CombinedOutput(); err != nil || bytes.Contains(out, []byte("[warn]")) {
		d.t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	if len(args) == 4 {
		args[1] += " daemon off;"
	} else {
		args = append(args, "-g", "daemon off;")
	}
	log := &programtest.Buffer{}
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() { cmd.Wait() })
	d.t.Cleanup(func() {
		// SIGTERM, so that the workers end with it.
		cmd.Process.Signal(syscall.SIGTERM)
		ended.Wait()
	})
	d.url, d.proxied = "http://127.0.0.1:"+port, true
	programtest.Eventually(d.t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// do sends a request and returns the answer's status, header and body.
func (d *deployment) do(method, url, body string, header http.Header) answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// read reads messages until one matches.
func (d *deployment) read(ws *wsClient, want string) string {
	d.t.Helper()
	re := regexp.MustCompile(want)
	for {
		m, err := ws.next()
		if err != nil {
			d.t.Fatalf("before %s: %v", want, err)
		}
		if re.Match(m) {
			return string(m)
		}
	}
}
