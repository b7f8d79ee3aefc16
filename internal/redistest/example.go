package redistest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// Example starts a redis-server for a testable example, which has no testing.TB. stop ends the
// server and closes its clients. A package with such examples calls SkipExamples in its TestMain.
func Example(args ...string) (s *Server, stop func()) {
	t := &exampleTB{}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return Start(t, args...), t.stop
}

// SkipExamples skips all examples of a package if there is no redis-server on PATH, unless
// FXCAST_REQUIRE_ALL is 1. Call it in TestMain before m.Run.
func SkipExamples() {
	if _, err := exec.LookPath("redis-server"); err == nil || os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
		return
	}
	flag.Parse()
	if err := flag.Set("test.skip", "^Example"); err != nil {
		panic(err)
	}
}

// exampleTB is the part of testing.TB that a Server uses.
type exampleTB struct {
	testing.TB // nil: a method that is missing below panics

	ctx     context.Context
	cancel  context.CancelFunc
	cleanup []func()
}

func (t *exampleTB) Helper()                  {}
func (t *exampleTB) Context() context.Context { return t.ctx }
func (t *exampleTB) Cleanup(f func())         { t.cleanup = append(t.cleanup, f) }
func (t *exampleTB) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (t *exampleTB) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func (t *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (t *exampleTB) stop() {
	t.cancel()
	for _, f := range slices.Backward(t.cleanup) {
		f()
	}
}
