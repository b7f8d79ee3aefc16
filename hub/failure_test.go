package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

func TestFailuresStayWithTheirClient(t *testing.T) {
	for name, fail := range map[string]func(*peer){
		"Write fails":             func(p *peer) { p.onWrite = func() error { return errLost } },
		"Write panics":            func(p *peer) { p.onWrite = func() error { panic("write") } },
		"Write and Close panic":   func(p *peer) { p.onWrite = func() error { panic("write") }; p.onClose = func() { panic("close") } },
		"Write fails, Close too":  func(p *peer) { p.onWrite = func() error { return errLost }; p.onClose = func() { panic("close") } },
		"Close panics when asked": func(p *peer) { p.onClose = func() { panic("close") }; p.client.Close(protocol.CloseKicked) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				bad, good := join(t, h, newPeer()), join(t, h, newPeer())
				f.publish("EUR/USD", 1)
				f.subscribe(bad, 0, "*")
				f.subscribe(good, 0, "*")
				synctest.Wait()
				fail(bad)
				f.publish("EUR/USD", 1)
				synctest.Wait()
				f.publish("EUR/USD", 1)
				synctest.Wait()
				f.settled(t, good)
				if bad.closed() == 0 {
					t.Error("the failed connection was not closed")
				}
				bad.client.Leave()
				if n, _ := h.Known(); n != 1 || h.Clients() != 1 || h.Subscriptions() != 1 {
					t.Errorf("%d clients known, %d counted, %d subscriptions; want 1", n, h.Clients(), h.Subscriptions())
				}
			})
		})
	}
}

// stallPanic panics when its backlog is read.
type stallPanic struct{ *peer }

func (stallPanic) Backlog() (int, time.Duration) { panic("stalled") }

func TestPanicInStalledStaysWithItsClient(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		bad := newPeer()
		bad.block()
		if _, err := h.Join(stallPanic{bad}, hub.JoinOptions{Joined: bad.joined, Welcome: []byte(`{"type":"welcome"}`)}); err != nil {
			t.Fatal(err)
		}
		good := join(t, h, newPeer())
		time.Sleep(time.Second)
		f.publish("EUR/USD", 1)
		f.subscribe(good, 0, "*")
		synctest.Wait()
		f.settled(t, good)
		if bad.closed() != 1011 {
			t.Errorf("closed with %d, want 1011", bad.closed())
		}
		if _, _, _, panicked := h.Disconnects(); panicked != 1 {
			t.Errorf("%d clients counted as disconnected by a panic, want 1", panicked)
		}
	})
}

func TestClosedBeforeJoined(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, _ *feed) {
		p := newPeer()
		c, err := h.Join(p, hub.JoinOptions{Welcome: []byte(`{"type":"welcome"}`),
			Joined: func(c *hub.Client) { c.Close(protocol.CloseKicked) }}) // before it has joined
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.Leave()
		if n, _ := h.Known(); n != 0 || h.Clients() != 0 || p.closed() != 1008 {
			t.Errorf("%d clients known, %d counted, closed with %d", n, h.Clients(), p.closed())
		}
	})
}
