package e2e

import (
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestRedisGone: sockets whose session was good go on for SESSION_GRACE and are
// told; nobody new is let in, and nobody is signed in by an error.
func TestRedisGone(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "paused"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := redistest.Start(t)
			n := startNode(t, r, "SESSION_GRACE=6s", "GUEST_SESSIONS=true")
			s := n.signIn("ann", "user")
			k, _ := n.connect(s.Token)
			gone := time.Now()
			if how == "paused" {
				r.Pause()
			} else {
				r.Kill()
			}
			if m := k.want("status"); m.Symbol != "" || m.Status != "degraded" {
				t.Errorf("told %s", m.raw)
			}
			t.Logf("told degraded after %v", time.Since(gone).Round(time.Millisecond))
			k.say(`{"op":"ping"}`)
			k.want("pong")
			h := bearer(s.Token)
			for _, tc := range []struct{ method, path string }{
				{"GET", "/api/v1/session"}, {"POST", "/api/v1/session"}, {"DELETE", "/api/v1/session"}, {"GET", "/api/v1/quotes"}, {"POST", "/api/v1/ws-ticket"},
			} {
				if got := n.do(tc.method, n.public+tc.path, "", h); got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get("Set-Cookie") != "" {
					t.Errorf("%s %s without Redis: %d %s", tc.method, tc.path, got.status, got.body)
				}
			}
			if got := n.do("POST", n.public+"/api/v1/session/guest", "", nil); got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get("Set-Cookie") != "" {
				t.Errorf("guest without Redis: %+v", got)
			}
			if _, resp, err := n.dial("/ws", h); err == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("connecting without Redis: %v", err)
			}
			if _, resp, err := n.dial("/ws?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", nil); err == nil || resp.StatusCode != 503 {
				t.Errorf("a ticket without Redis: %v", err)
			}
			if said := k.wantClose(4001, "cannot be checked"); len(said) > 1 || len(said) == 1 && said[0].Type != "closing" {
				t.Errorf("told more than once: %+v", said)
			}
			after := k.ended.Sub(gone)
			t.Logf("cut off after %v, the grace is 6 s", after.Round(time.Millisecond))
			// The last confirmation may be one re-check older than the outage.
			if after < 3*time.Second || after > 6*time.Second+slack {
				t.Errorf("cut off after %v, want about the grace of 6 s", after)
			}
		})
	}
}

// TestRedisBackInTime: an outage shorter than the grace ends no socket, and is
// told once, as its end is, though quotes and sessions notice on their own.
func TestRedisBackInTime(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := startNode(t, r, "SESSION_GRACE=60s")
	s := n.signIn("ann", "user")
	k, _ := n.connect(s.Token)
	r.Pause()
	if m := k.want("status"); m.Status != "degraded" {
		t.Errorf("told %s", m.raw)
	}
	programtest.Eventually(t, "both have noticed", func() bool {
		return metricOf(n, "fx_session_degraded") == "1" && metricOf(n, "fx_feed_degraded") == "1"
	})
	r.Resume()
	if m := k.want("status"); m.Status != "ok" {
		t.Errorf("told %s", m.raw)
	}
	if metricOf(n, "fx_session_degraded") != "0" || metricOf(n, "fx_feed_degraded") != "0" {
		t.Error("told ok before both were")
	}
	programtest.Eventually(t, "requests work again", func() bool {
		return n.do("GET", n.public+"/api/v1/session", "", bearer(s.Token)).status == 200
	})
	k.say(`{"op":"ping"}`)
	k.want("pong") // and nothing was said in between
}
