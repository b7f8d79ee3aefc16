package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// BreakSnapshots makes the server refuse writes with MISCONF: it removes the server's directory and
// has a snapshot fail. The server needs the arguments --save "900 1" --enable-protected-configs yes.
func (s *Server) BreakSnapshots() {
	s.t.Helper()
	c := s.Client()
	dir := filepath.Join(s.t.TempDir(), "gone")
	for _, err := range []error{
		os.Mkdir(dir, 0o755), c.ConfigSet(s.t.Context(), "dir", dir).Err(), os.Remove(dir), c.BgSave(s.t.Context()).Err(),
	} {
		if err != nil {
			s.t.Fatalf("redistest: break snapshots: %v", err)
		}
	}
	s.awaitRefusal(c, "MISCONF")
}

// Busy makes the server refuse all commands with BUSY until the test ends: it runs a script. The
// server needs the arguments --busy-reply-threshold 20.
func (s *Server) Busy() {
	s.t.Helper()
	o := s.clientOptions(s.Addr())
	o.ReadTimeout, o.MaxRetries = time.Minute, -1
	runner, done := redis.NewClient(o), make(chan struct{})
	go func() {
		defer close(done)
		runner.Eval(context.WithoutCancel(s.t.Context()), "while true do end", nil)
	}()
	s.t.Cleanup(func() {
		defer runner.Close()
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				runner.ScriptKill(context.Background())
			}
		}
	})
	s.awaitRefusal(s.Client(), "BUSY")
}

func (s *Server) awaitRefusal(c *redis.Client, code string) {
	s.t.Helper()
	poll(s.t, "the server answers "+code, func() bool {
		return strings.HasPrefix(fmt.Sprint(c.Ping(s.t.Context()).Err()), code)
	})
}
