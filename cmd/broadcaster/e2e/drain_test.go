package e2e

import (
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestShutdownIsGradual: after SIGTERM readiness is red while all else goes on for DRAIN_DELAY. Then
// clients are closed evenly over DRAIN_TIMEOUT, although they are few.
func TestShutdownIsGradual(t *testing.T) {
	t.Parallel()
	const delay, timeout, count = 4 * time.Second, 3 * time.Second, 15
	p := launchProcess(t, "DRAIN_DELAY="+delay.String(), "DRAIN_TIMEOUT="+timeout.String())
	p.awaitReady()
	token := p.signIn("ann", "user").Token
	var clients []*socket
	for range count - 1 {
		client, _ := p.connect(token)
		clients = append(clients, client)
	}
	begin := time.Now()
	p.cmd.Process.Signal(syscall.SIGTERM)
	for p.readyStatus() != 503 {
		if time.Since(begin) > delay {
			t.Fatalf("readiness is not red:\n%s", p.stderr)
		}
	}
	late, _ := p.connect(token)
	if live := p.do("GET", p.public+"/livez", "", nil); live.status != 200 {
		t.Errorf("livez: %d", live.status)
	}
	var mu sync.Mutex
	var closed []time.Duration
	var reading sync.WaitGroup
	for _, client := range append(clients, late) {
		reading.Go(func() {
			client.wantClose(1012, "restart")
			mu.Lock()
			defer mu.Unlock()
			closed = append(closed, time.Since(begin))
		})
	}
	reading.Wait()
	// A busy machine may be late, but nothing can be early.
	for i, at := range closed {
		if due := delay + time.Duration(i)*timeout/count; at < due {
			t.Errorf("client %d of %d was closed after %v, want not before %v", i+1, count, at, due)
		}
	}
	<-p.ended
	if p.err != nil {
		t.Errorf("the server ended: %v\n%s", p.err, p.stderr)
	}
}
