package main

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"
)

// churn connects and disconnects -churn clients a second, in addition to the fleet, and records the
// time from each connect to the first message.
func (f *fleet) churn(ctx context.Context) {
	if f.o.churn == 0 {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, 64) // connects in progress
	ticker := time.NewTicker(time.Second / time.Duration(f.o.churn))
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		select {
		case free <- struct{}{}:
		default:
			f.joins.fail()
			continue
		}
		wg.Go(func() {
			defer func() { <-free }()
			f.joinOnce(f.o.stuck + f.o.slow + i%max(1, f.o.clients-f.o.stuck-f.o.slow))
		})
	}
}

func (f *fleet) joinOnce(i int) {
	began := time.Now()
	fd, err := f.dial(i)
	if err != nil {
		f.joins.fail()
		return
	}
	defer syscall.Close(fd)
	if _, err := upgraded(fd); err != nil {
		f.joins.fail()
		return
	}
	for _, m := range f.dialect.hello(f.o, f.names(f.wanted(i))) {
		_, _ = syscall.Write(fd, frame(f.dialect.opcode(), m))
	}
	var buf [4096]byte
	if _, err := syscall.Read(fd, buf[:]); err != nil {
		f.joins.fail()
		return
	}
	f.joins.add(time.Since(began))
}

// latencies holds latencies of rare events.
type latencies struct {
	mu     sync.Mutex // guards what follows
	all    []time.Duration
	failed int
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

func (l *latencies) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
}

// quantile returns 0 if there are none.
func (l *latencies) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[min(len(l.all)-1, int(q*float64(len(l.all))))]
}
