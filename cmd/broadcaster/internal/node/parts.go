package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// parts runs functions until they are stopped together.
type parts struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	log    *slog.Logger
	failed chan error // the error of the first part that ended before its context
}

func newParts(logger *slog.Logger) *parts {
	ctx, cancel := context.WithCancel(context.Background())
	return &parts{ctx: ctx, cancel: cancel, log: logger, failed: make(chan error, 1)}
}

// start runs f, which should end only when its context does.
func (p *parts) start(name string, f func(context.Context) error) {
	p.wg.Go(func() {
		err := f(p.ctx)
		if p.ctx.Err() != nil || err == nil {
			return
		}
		select {
		case p.failed <- fmt.Errorf("%s: %w", name, err):
		default:
			p.log.Error("another part failed too", "part", name, "err", err)
		}
	})
}

// stop ends all parts and waits for them.
func (p *parts) stop() {
	p.cancel()
	p.wg.Wait()
}
