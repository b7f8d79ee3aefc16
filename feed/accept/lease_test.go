package accept_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

// process is one of several that want a lease.
type process struct {
	name    string
	working chan string // receives its name whenever it begins to work
	stopped chan string // the same when it ends
	fail    chan error  // ends its work
	done    chan error  // what Hold has returned
}

func hold(t *testing.T, ctx context.Context, l *accept.Lease, name string, working, stopped chan string) *process {
	p := &process{name, working, stopped, make(chan error), make(chan error, 1)}
	go func() {
		p.done <- l.Hold(ctx, func(ctx context.Context) error {
			p.working <- name
			defer func() { p.stopped <- name }()
			select {
			case err := <-p.fail:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return p
}

func next(t *testing.T, what string, c chan string, want string) {
	t.Helper()
	select {
	case got := <-c:
		if got != want {
			t.Fatalf("%s: %s, want %s", what, got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s: none, want %s", what, want)
	}
}

// TestLease checks that one process works at a time, and that another follows when it ends, fails,
// or loses Redis.
func TestLease(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	key := keys.ConnectLease("kraken:1")
	client, admin := server.Client(), server.Client()
	working, stopped := make(chan string, 8), make(chan string, 8)
	lease := func(name string) *accept.Lease { return accept.NewLease(client, key, name, nil) }

	ctx, end := context.WithCancel(t.Context())
	a := hold(t, ctx, lease("a"), "a", working, stopped)
	next(t, "works", working, "a")
	b := hold(t, t.Context(), lease("b"), "b", working, stopped)
	end()
	next(t, "stops", stopped, "a")
	next(t, "works", working, "b")
	if err := <-a.done; err != nil {
		t.Errorf("the end of the context: %v", err)
	}

	c := hold(t, t.Context(), lease("c"), "c", working, stopped)
	failed := errors.New("refused")
	b.fail <- failed
	next(t, "stops", stopped, "b")
	if err := <-b.done; !errors.Is(err, failed) {
		t.Errorf("Hold returned %v, want what work returned", err)
	}
	next(t, "works", working, "c")

	// Another process has the key: c must stop, and stand by until the key is gone.
	admin.Set(t.Context(), key, "d#x", time.Minute)
	next(t, "stops", stopped, "c")
	if v := admin.Get(t.Context(), key).Val(); v != "d#x" {
		t.Errorf("the lease of the other process was touched: %q", v)
	}
	admin.Del(t.Context(), key)
	next(t, "works", working, "c")

	// Without Redis nobody works.
	server.Kill()
	next(t, "stops", stopped, "c")
	server.Restart()
	next(t, "works", working, "c")
	c.fail <- nil
	next(t, "stops", stopped, "c")
	if err := <-c.done; err != nil {
		t.Errorf("Hold returned %v", err)
	}
}
