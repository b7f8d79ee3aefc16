package redistest

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is one process of a server or sentinel, from its start to its end.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{}  // closed when the process prints that it is ready
	done  sync.WaitGroup // readLog and Wait

	mu  sync.Mutex // guards log
	log []string   // the last lines of its output
}

// loggedLines is how many lines of its output a process keeps.
const loggedLines = 100

// launch starts redis-server and waits until it prints word. If the process ends before that,
// launch returns its output.
//
// A PING would not do: another process that took the port first could answer it.
func launch(t testing.TB, bin, word string, args ...string) (p *process, printed string) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	cmd.SysProcAttr = ProcAttr()
	p = &process{cmd: cmd, ready: make(chan struct{})}
	// A goroutine reads the pipe, so the server never blocks on its log.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err.Error()
	}
	p.done.Go(func() { p.readLog(r, word) })
	exited := make(chan struct{})
	p.done.Go(func() { cmd.Wait(); close(exited) })

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-p.ready:
		return p, ""
	case <-exited:
		p.done.Wait()
	case <-timeout.C:
		p.kill()
	}
	return nil, p.printed()
}

// printed returns the last lines of the output.
func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

func (p *process) readLog(r io.ReadCloser, word string) {
	defer r.Close()
	isReady := false
	for sc := bufio.NewScanner(r); sc.Scan(); {
		p.mu.Lock()
		p.log = append(p.log, sc.Text())
		p.log = p.log[max(0, len(p.log)-loggedLines):]
		p.mu.Unlock()
		if !isReady && strings.Contains(sc.Text(), word) {
			isReady = true
			close(p.ready)
		}
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill() // SIGKILL also ends a paused process
	p.done.Wait()
}

// findServer returns the path of redis-server. Without one it skips or fails the test.
func findServer(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("redistest: no redis-server on PATH, and FXCAST_REQUIRE_ALL=1 requires one")
		}
		t.Skip("redistest: no redis-server on PATH")
	}
	return bin
}

// FreePort returns a port of 127.0.0.1 that no process listens on. It is below those that systems
// give to outgoing connections and to listeners without a port of their own, so that it usually
// stays free until the test uses it, and while a server restarts.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(22_000))
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("redistest: 100 ports of 127.0.0.1 from 10000 to 31999 are taken")
	return ""
}

// poll waits until ok returns true. what names the condition in the failure.
func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("redistest: not within %v: %s", startTimeout, what)
		}
	}
}
