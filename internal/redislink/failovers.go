package redislink

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Failovers follows the failovers of a master by what its sentinels announce. They announce one a
// moment before they promote a replica. From then on the old master, if it is alive, goes on to
// accept writes for about ten seconds, and all of them are lost. Await holds writes back until the
// sentinels name the new master.
//
// A nil *Failovers knows of no failover.
//
//	Run            waits for the listeners, closes the clients
//	* Listener     one connection to each sentinel          (1 goroutine each)
type Failovers struct {
	cfg FailoversConfig
	log *slog.Logger

	mu    sync.Mutex   // guards what follows
	up    map[int]bool // connected sentinels
	under *failover    // nil if there is none
	ended int64
}

// FailoversConfig configures NewFailovers. Sentinels and Master are required.
type FailoversConfig struct {
	Sentinels []*redis.Client // one of each; Run closes them
	Master    string          // its name in the sentinels
	Logger    *slog.Logger    // nil = no log

	// Hold bounds how long a failover holds writes back; 0 = 5 s. In good health it takes about a
	// second. A replica that does not respond to its promotion may keep sentinels waiting for minutes.
	Hold time.Duration
}

// failover is a failover that is under way.
type failover struct {
	began time.Time
	leads int           // the sentinel that carries it out
	named map[int]bool  // sentinels that name the new master
	over  chan struct{} // closed at its end
}

// Announcements of sentinels.
const (
	failoverPromotes = "+failover-state-send-slaveof-noone" // begins to promote the replica
	failoverPromoted = "+promoted-slave"                    // this sentinel names the new master
	failoverSwitched = "+switch-master"                     // the same; may come without the others
	failoverNoTime   = "-failover-abort-slave-timeout"      // the replica was not promoted in time
)

// NewFailovers returns a Failovers that works once Run is called. It does not touch Redis.
func NewFailovers(cfg FailoversConfig) *Failovers {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Hold <= 0 {
		cfg.Hold = 5 * time.Second
	}
	return &Failovers{cfg: cfg, log: cfg.Logger, up: map[int]bool{}}
}

// Run listens to the sentinels until ctx ends. It may be called once.
func (f *Failovers) Run(ctx context.Context) {
	if f == nil {
		return
	}
	var listening sync.WaitGroup
	for i, client := range f.cfg.Sentinels {
		l := NewListener(ListenerConfig{
			Name: "failovers, from the sentinel at " + client.Options().Addr, Client: client, Ping: true,
			Channels: []string{failoverPromotes, failoverPromoted, failoverSwitched, failoverNoTime},
			Opened:   func(*Conn) error { f.connected(i, true); return nil },
			Lost:     func(error) { f.connected(i, false) },
			Message:  func(channel, payload string) bool { f.announced(i, channel, payload); return true },
			Logger:   f.log,
		})
		listening.Go(func() { _ = l.Run(ctx); client.Close() })
	}
	listening.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end("the watch has ended")
}

var errFailover = errors.New("a failover by Sentinel is under way")

// Await waits while a failover is under way, until ctx ends or for Hold at most. Without one
// it returns at once. ended is how many failovers have ended: after one, connections that are open
// may belong to the old master. An error says that the failover is still under way.
func (f *Failovers) Await(ctx context.Context) (ended int64, err error) {
	if f == nil {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.under != nil {
		u := f.under
		left := time.Until(u.began.Add(f.cfg.Hold))
		if left <= 0 {
			f.end("the sentinels have not agreed on a new master in time")
			break
		}
		f.mu.Unlock()
		timeout := time.NewTimer(left)
		select {
		case <-u.over:
		case <-timeout.C:
		case <-ctx.Done():
		}
		timeout.Stop()
		f.mu.Lock()
		if f.under != nil && ctx.Err() != nil {
			return f.ended, errFailover
		}
	}
	return f.ended, nil
}

func (f *Failovers) connected(sentinel int, up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if up {
		f.up[sentinel] = true
	} else {
		delete(f.up, sentinel)
		f.settle()
	}
}

// announced takes an announcement.
func (f *Failovers) announced(sentinel int, event, payload string) {
	if masterOf(event, payload) != f.cfg.Master {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch event {
	case failoverPromotes:
		if f.under == nil {
			f.under = &failover{over: make(chan struct{})}
			f.log.Info("a failover has begun, quotes wait for the new master", "master", f.cfg.Master)
		}
		f.under.began, f.under.leads, f.under.named = time.Now(), sentinel, map[int]bool{}
	case failoverPromoted, failoverSwitched:
		if f.under == nil {
			f.ended++ // its beginning was not announced to this process, or it was held for too long
			return
		}
		f.under.named[sentinel] = true
		f.settle()
	case failoverNoTime:
		if f.under != nil && f.under.leads == sentinel {
			f.end("the replica was not promoted")
		}
	}
}

// settle ends the failover if every connected sentinel names the new master: new connections then
// reach it, whichever sentinel they ask. Called with f.mu held.
func (f *Failovers) settle() {
	if f.under == nil || len(f.under.named) == 0 {
		return
	}
	for s := range f.up {
		if !f.under.named[s] {
			return
		}
	}
	f.end("")
}

// end ends the failover under way, if any. Called with f.mu held.
func (f *Failovers) end(trouble string) {
	if f.under == nil {
		return
	}
	if took := time.Since(f.under.began).Round(time.Millisecond); trouble == "" {
		f.log.Info("a failover has ended", "master", f.cfg.Master, "after", took)
	} else {
		f.log.Warn("a failover is no longer waited for", "master", f.cfg.Master, "after", took, "reason", trouble)
	}
	close(f.under.over)
	f.under = nil
	f.ended++
}

// masterOf returns the name of the master that an announcement is about.
func masterOf(event, payload string) string {
	fields := strings.Fields(payload)
	if event == failoverSwitched { // NAME OLD-IP OLD-PORT NEW-IP NEW-PORT
		if len(fields) > 0 {
			return fields[0]
		}
		return ""
	}
	for i, field := range fields { // of a replica: slave NAME IP PORT @ MASTER IP PORT
		if field == "@" && i+1 < len(fields) {
			return fields[i+1]
		}
	}
	if len(fields) > 1 { // master NAME IP PORT
		return fields[1]
	}
	return ""
}
