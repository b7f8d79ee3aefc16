package hub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// leaver leaves when it is closed, as a reader does when the connection ends.
func leaver(t *testing.T, h *hub.Hub) *peer {
	p := newPeer()
	p.onClose = func() { go p.client.Leave() }
	return join(t, h, p)
}

func TestDrain(t *testing.T) {
	bubble(t, hub.Config{Shards: 2}, func(t *testing.T, h *hub.Hub, f *feed) {
		var peers []*peer
		for range 2000 {
			peers = append(peers, leaver(t, h))
		}
		f.publish("EUR/USD", 1)
		synctest.Wait() // a client that joins later is closed at once
		begin := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- h.Drain(t.Context(), 2*time.Second) }()
		time.Sleep(time.Second)
		if n := h.Clients(); n < 900 || n > 1100 {
			t.Errorf("%d of 2000 clients after half the time", n)
		}
		if _, err := h.Join(newPeer(), hub.JoinOptions{}); !errors.Is(err, hub.ErrClosed) {
			t.Errorf("join while draining: %v, want ErrClosed", err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d < 1900*time.Millisecond || d > 2100*time.Millisecond {
			t.Errorf("drained in %v, want 2 s", d)
		}
		backoff := map[int64]bool{}
		for _, p := range peers {
			p.check(t)
			m := p.messages("closing")
			if p.closed() != 1012 || len(m) != 1 || m[0].Code != 1012 || m[0].Reason != "restart" || m[0].Reconnect < 200 || m[0].Reconnect > 2200 {
				t.Fatalf("closed with %d after %+v", p.closed(), m)
			}
			if types := p.types(); types[len(types)-1] != "closing" {
				t.Fatalf("messages after closing: %v", types)
			}
			backoff[m[0].Reconnect] = true
		}
		if len(backoff) < 500 {
			t.Errorf("2000 clients reconnect at only %d moments", len(backoff))
		}
	})
}

// TestDrainOfFewIsEven: a few clients are spread over the whole time too.
func TestDrainOfFewIsEven(t *testing.T) {
	bubble(t, hub.Config{Shards: 2}, func(t *testing.T, h *hub.Hub, _ *feed) {
		var mu sync.Mutex
		var closed []time.Time
		for range 45 {
			p := newPeer()
			p.onClose = func() {
				mu.Lock()
				defer mu.Unlock()
				closed = append(closed, time.Now())
				go p.client.Leave()
			}
			join(t, h, p)
		}
		synctest.Wait()
		begin := time.Now()
		if err := h.Drain(t.Context(), 20*time.Second); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for i, at := range closed {
			if late := at.Sub(begin) - time.Duration(i)*20*time.Second/45; late < 0 || late > 50*time.Millisecond {
				t.Errorf("client %d of 45 was closed after %v, want one each 444 ms", i, at.Sub(begin))
			}
		}
	})
}

// TestDrainEndsWithTheLastClient: clients that leave on their own are not waited for.
func TestDrainEndsWithTheLastClient(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *feed) {
		var peers []*peer
		for range 10 {
			peers = append(peers, leaver(t, h))
		}
		synctest.Wait()
		time.AfterFunc(time.Second, func() {
			for _, p := range peers {
				p.client.Leave()
			}
		})
		begin := time.Now()
		if err := h.Drain(t.Context(), time.Minute); err != nil || time.Since(begin) > 1100*time.Millisecond {
			t.Errorf("drained in %v, want 1 s: %v", time.Since(begin), err)
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *feed) {
		p := join(t, h, newPeer()) // does not leave
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := h.Drain(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %v, want the context's error", err)
		}
		if d := time.Since(begin); d < 3*time.Second || d > 3100*time.Millisecond {
			t.Errorf("drain ended after %v", d)
		}
		if p.closed() != 1012 {
			t.Errorf("closed with %d", p.closed())
		}
	})
}

// A client that joins between the start of a drain and its look at the clients is closed too.
func TestDrainTakesLateJoiners(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, _ *feed) {
		release := hold(t, h)
		late := leaver(t, h) // its join is not handled yet
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- h.Drain(ctx, 0) }()
		synctest.Wait()
		release()
		<-drained
		late.check(t)
		if got := late.types(); late.closed() != 1012 || !slices.Equal(got, []string{"welcome", "closing"}) {
			t.Errorf("closed with %d after %v", late.closed(), got)
		}
	})
}

func TestDrainEndsWithTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := startStop(t, hub.Config{})
		join(t, h, newPeer())
		drained := make(chan error, 1)
		go func() { drained <- h.Drain(context.Background(), 0) }()
		time.Sleep(time.Second)
		stop()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

func TestJoinAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := startStop(t, hub.Config{})
		stop()
		if _, err := h.Join(newPeer(), hub.JoinOptions{}); !errors.Is(err, hub.ErrClosed) {
			t.Errorf("join: %v, want ErrClosed", err)
		}
		if err := h.Drain(t.Context(), time.Second); err != nil {
			t.Errorf("drain: %v", err)
		}
	})
}

// A client whose connection takes nothing still learns why it is closed: the connection receives
// its last messages with the close.
func TestClosingReachesBlockedClients(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.subscribe(p, 0, "*")
		synctest.Wait()
		p.block()
		f.publish("EUR/USD", 1)
		synctest.Wait()
		p.client.CloseAfter(protocol.CloseRateLimited, time.Second)
		synctest.Wait()
		if m := p.messages("closing"); p.closed() != 4029 || len(m) != 1 || m[0].Code != 4029 || m[0].Reconnect != 1000 {
			t.Errorf("closed with %d after %+v", p.closed(), m)
		}
	})
}
