package node

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/protocol"
)

// plainFrames puts a newline behind each message.
type plainFrames struct{ hub.Framing }

func (plainFrames) AppendMessage(dst, payload []byte) []byte {
	return append(append(dst, payload...), '\n')
}

// A told is a connection that keeps what it is told.
type told struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *told) Write(batch hub.Batch) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b.Write(batch.Frames)
	return true, nil
}

func (c *told) Backlog() (int, time.Duration) { return 0, 0 }

func (c *told) Close(protocol.Close, []byte) {}

func (c *told) is(want string) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.b.String() == want
	}
}

// TestLostIsOneTruth: degraded while either says so, told once.
func TestLostIsOneTruth(t *testing.T) {
	const degraded, ok = `{"type":"status","status":"degraded"}` + "\n", `{"type":"status","status":"ok"}` + "\n"
	h := hub.New(hub.Config{Framings: []hub.Framing{plainFrames{}}, Heartbeat: time.Hour, Ping: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	defer running.Wait()
	defer cancel()
	c := &told{}
	client, err := h.Join(c, hub.JoinOptions{Welcome: []byte("hi")})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Leave()
	lost := redislink.NewHealth()
	quotes, sessions := lost.Signal("quotes").Set, lost.Signal("sessions").Set
	running.Go(func() { _ = lost.Run(ctx, h.Degraded) })
	said := "hi\n"
	programtest.Eventually(t, "welcomed", c.is(said))
	for i, step := range []struct {
		tell func(bool)
		lost bool
		says string
	}{
		{quotes, false, ""}, {sessions, false, ""},
		{quotes, true, degraded}, {sessions, true, ""}, {sessions, false, ""}, {quotes, false, ok},
		{sessions, true, degraded}, {quotes, true, ""}, {sessions, false, ""}, {sessions, true, ""},
		{quotes, false, ""}, {sessions, false, ok}, {quotes, true, degraded}, {quotes, false, ok},
	} {
		step.tell(step.lost)
		said += step.says
		programtest.Eventually(t, "the step is told", c.is(said))
		client.Send([]byte("mark")) // what is said too much comes before it or the next
		said += "mark\n"
		programtest.Eventually(t, "the step is told", c.is(said))
		if t.Failed() {
			t.Fatalf("step %d: %q", i, c.b.String())
		}
	}
}
