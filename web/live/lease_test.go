package live_test

import (
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestSilentConnectionGivesWay tests that a new connection of an owner takes the place of one that
// answers no pings, before the hub has closed that one, and never the place of a live one.
func TestSilentConnectionGivesWay(t *testing.T) {
	t.Parallel()
	const ping = 2 * time.Second
	for name, tc := range map[string]struct {
		role   string
		others bool // the silent connection is on another node, and of another session of the owner
	}{
		"user":              {"user", false},
		"user, two nodes":   {"user", true},
		"guests, one owner": {"guest", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := func(r *redistest.Server) *webtest.Node {
				return webtest.Start(t, func(c *webtest.Config) { c.Redis, c.Conns, c.Ping = r, 2, ping })
			}
			node := start(nil)
			user := func(n string) string {
				if tc.role == "guest" { // the address is what they share
					return "guest-" + n
				}
				return "mia"
			}
			token, _ := node.SignIn(user("1"), tc.role)
			first, its := node, token
			if tc.others {
				first = start(node.Redis)
				its, _ = first.SignIn(user("2"), tc.role)
				webtest.Eventually(t, "the nodes know each other", func() bool { return len(node.Nodes.Others()) == 1 && len(first.Nodes.Others()) == 1 })
			}

			polite, _ := first.Connect(its)
			answering(polite)
			silent, _ := first.Connect(its)
			began := time.Now()
			gone := make(chan struct{})
			go func() { // reads, but answers nothing
				for {
					if _, err := silent.ReadFrame(); err != nil {
						close(gone)
						return
					}
				}
			}()

			var in *webtest.Client
			refused := 0
			webtest.Eventually(t, "the silent connection gives way", func() bool {
				c := node.Dial(token)
				m, err := c.Receive()
				if err == nil && m.Type == "welcome" {
					in = c
					return true
				}
				refused++
				checkRefusal(t, m, ping)
				c.WantClose(4009)
				return false
			})
			took := time.Since(began)
			if refused == 0 || took < ping {
				t.Errorf("it gave way after %v and %d refusals, although it may have been alive", took, refused)
			}
			// Its own closing handshake, which it does not answer, takes 5 s more.
			select {
			case <-gone:
				t.Errorf("the new connection was let in after %v, when the silent one had ended", took)
			default:
			}
			answering(in)
			for range 2 { // the place of the silent one is taken, and its end gives no further one
				c := node.Dial(token)
				m := c.Want("closing")
				checkRefusal(t, m, ping)
				c.WantClose(4009)
				select {
				case <-gone:
				case <-time.After(webtest.Patience):
					t.Fatal("the silent connection does not end")
				}
			}
			webtest.Eventually(t, "it has left", func() bool {
				clients := node.Hub.Clients()
				if first != node {
					clients += first.Hub.Clients()
				}
				return clients == 2
			})
		})
	}
}

// answering reads from a client and answers its pings until the connection ends.
func answering(c *webtest.Client) {
	go func() {
		for {
			if _, err := c.Receive(); err != nil {
				return
			}
		}
	}()
}

// checkRefusal checks the message before 4009: the advised wait is at least one ping.
func checkRefusal(t *testing.T, m webtest.Message, ping time.Duration) {
	t.Helper()
	wait := time.Duration(m.Reconnect) * time.Millisecond
	if m.Type != "closing" || string(m.Code) != "4009" || wait < ping || wait > ping+ping/4 {
		t.Errorf("refused with %s", m.Raw)
	}
}
