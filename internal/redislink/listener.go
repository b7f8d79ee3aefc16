package redislink

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// ListenerConfig configures NewListener. Name, Client and Channels are required.
//
// Message, Confirmed, Moved and Opened are called by the goroutine that reads, one at a time and in
// the order of what comes from Redis. They must not wait: Redis cuts off a slow reader, and nothing
// else is read meanwhile.
type ListenerConfig struct {
	Name     string                // in the log: what the connection is for
	Client   redis.UniversalClient // subscribes; its calls should end by their context
	Channels []string              // subscribed to as long as there is a connection
	Sharded  bool                  // by SSUBSCRIBE; Channels and Probe must be in one slot

	// Probe is a channel of this Listener alone. Test messages are published there every second,
	// and each that comes back is a sign of life. "" = none.
	Probe  string
	Prober redis.UniversalClient // publishes them; nil = Client. See the function Prober
	// Ping sends a PING on the connection every half Silence; the answer is a sign of life.
	Ping bool
	// Silence is how long a connection may bring no sign of life; 0 = DefaultSilence.
	Silence time.Duration

	// Message takes a message and reports whether it is a sign of life. It should be one if only a
	// good connection brings it. A message that a replaced master may still send is none.
	Message func(channel, payload string) (alive bool)
	// Confirmed is called when a channel given to Conn.Add is subscribed to. May be nil.
	Confirmed func(channel string)
	// Moved is called when the server does not serve a channel given to Conn.Add, or no longer: its
	// slot is elsewhere. The channel is not subscribed to then. May be nil: that ends the connection.
	Moved func(channel string)
	// Opened is called when Channels and Probe are confirmed, on each new connection. Messages may
	// have been missed since the one before. An error ends the connection. May be nil.
	Opened func(*Conn) error
	// Lost is called after a connection has failed, or could not be opened, and all that Conn.Go
	// started has ended. It is not called when ctx has ended. May be nil.
	Lost func(err error)

	// Optional has Run return if Redis does not permit the channels (NOPERM).
	Optional bool

	Logger *slog.Logger // nil = no log
}

// Listener is one Pub/Sub connection at a time. It is opened again, with growing pauses and for as
// long as it takes, when it fails, brings no sign of life for Silence, or has a gap: go-redis
// connected again and subscribed again unasked, or the slot of a fixed channel moved to another
// server.
//
//	Run            opens the connection again and again
//	* connect      one connection: subscribes, reads        (Run's goroutine)
//	  * Conn.Go    what the user starts for a connection    (1 goroutine each)
//	* probe.run    publishes test messages                  (1 goroutine)
type Listener struct {
	cfg   ListenerConfig
	log   *slog.Logger
	probe *probe
	alive atomic.Int64 // the last sign of life, since probe.base
}

// NewListener returns a Listener that works once Run or Once is called. It does not touch Redis.
func NewListener(cfg ListenerConfig) *Listener {
	if cfg.Silence <= 0 {
		cfg.Silence = DefaultSilence
	}
	if cfg.Prober == nil {
		cfg.Prober = cfg.Client
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Listener{cfg: cfg, log: cfg.Logger,
		probe: &probe{client: cfg.Prober, channel: cfg.Probe, sharded: cfg.Sharded, base: time.Now()}}
}

// ProbeAge returns how long ago the newest test message that came back was sent: about a second at
// most in good health, the largest duration if none came back yet.
func (l *Listener) ProbeAge() time.Duration { return l.probe.age() }

// Replied returns when Redis last took a test message, whether or not it came back. Before that it
// is the time at which the Listener was made.
func (l *Listener) Replied() time.Time {
	return l.probe.base.Add(time.Duration(l.probe.replied.Load()))
}

// Refused returns the answer by which Redis refused the last test message. It is nil if Redis took
// the message or did not answer.
func (l *Listener) Refused() error {
	if refused := l.probe.refused.Load(); refused != nil {
		return *refused
	}
	return nil
}

// Silent returns for how long there was no sign of life, on any connection.
func (l *Listener) Silent() time.Duration {
	return time.Since(l.probe.base) - time.Duration(l.alive.Load())
}

func (l *Listener) live() { l.alive.Store(int64(time.Since(l.probe.base))) }

// How long to wait before a connection is opened again; one that lasted begins anew.
const (
	reopenFirst = 25 * time.Millisecond
	reopenMost  = time.Second
	lasted      = time.Second
)

// Run listens until ctx ends and returns nil. It may be called once. With Optional it returns the
// error that says which channel Redis does not permit.
func (l *Listener) Run(ctx context.Context) error {
	defer l.startProbe(ctx)()
	for pause, refused := time.Duration(0), ""; ; {
		open, err := l.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if l.cfg.Lost != nil {
			l.cfg.Lost(err)
		}
		if l.cfg.Optional && Code(err) == "NOPERM" {
			return err
		}
		fresh, refusal := pause == 0 || open >= lasted, cmp.Or(Trouble(err), Trouble(l.Refused()))
		if fresh {
			pause = reopenFirst
		}
		switch {
		case refusal != "" && (fresh || refusal != refused):
			l.log.Warn("connection for "+l.cfg.Name+" refused, opening it again", "reason", refusal, "err", err)
		case fresh:
			l.log.Warn("connection for "+l.cfg.Name+" lost, opening it again", "err", err)
		}
		refused = refusal
		TopologyOf(l.cfg.Client).Reload(ctx) // the slot may have moved
		if !Sleep(ctx, pause/2+rand.N(pause)) {
			return nil
		}
		pause = min(2*pause, reopenMost)
	}
}

// Once opens one connection and listens until it ends, or ctx does. It returns why, after all that
// Conn.Go started has ended. Run is not called then; Once may be called again.
func (l *Listener) Once(ctx context.Context) error {
	defer l.startProbe(ctx)()
	_, err := l.connect(ctx)
	return err
}

// startProbe has test messages published until stop is called, which waits.
func (l *Listener) startProbe(ctx context.Context) (stop func()) {
	if l.cfg.Probe == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { l.probe.run(ctx) })
	return func() { cancel(); running.Wait() }
}

// What ends a connection that has not failed by itself.
var (
	errSilent          = errors.New("it brought no sign of life")
	errNotConfirmed    = errors.New("a subscription was not confirmed in time")
	errSubscribedAgain = errors.New("it was lost: go-redis subscribed again unasked")
	errMoved           = errors.New("the slot moved to another server")
)

// connect opens a connection and reads until it ends. It returns for how long the connection was
// open.
func (l *Listener) connect(parent context.Context) (open time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	c := &Conn{l: l, ps: l.cfg.Client.Subscribe(ctx), ctx: ctx, cancel: cancel,
		waiting: map[string]*addition{}, dropped: map[string]int{}, marks: map[string]*mark{}}
	defer c.parts.Wait()
	defer cancel(nil)
	defer c.ps.Close()
	defer context.AfterFunc(ctx, func() { c.ps.Close() })() // a read ignores ctx
	if err = c.begin(); err == nil {
		err = c.read()
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if !c.since.IsZero() {
		open = time.Since(c.since)
	}
	return open, err
}
