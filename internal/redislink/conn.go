package redislink

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Conn is one connection of a Listener, from Opened to Lost. Its methods are safe for concurrent
// use.
type Conn struct {
	l      *Listener
	ps     *redis.PubSub
	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc
	parts  sync.WaitGroup

	// Owned by the reader.
	fixed int       // confirmations of Probe and Channels to come
	since time.Time // when the last of them came

	mu      sync.Mutex           // guards the following fields
	waiting map[string]*addition // by channel: asked for and not confirmed
	dropped map[string]int       // by channel: unsubscribed, how often not confirmed
	marks   map[string]*mark     // by payload: published and not back
}

// addition is the channels of one Add.
type addition struct {
	left int           // not confirmed; guarded by Conn.mu
	done chan struct{} // closed when there are none
}

type mark struct {
	then func()
	done chan struct{} // closed when then has returned
}

// Go runs f on a goroutine of its own. Its ctx ends with the connection, and an error of f ends the
// connection. The Listener waits for f before it calls Lost. Call Go in Opened, or in what it
// started.
func (c *Conn) Go(f func(ctx context.Context) error) {
	c.parts.Go(func() {
		if err := f(c.ctx); err != nil {
			c.cancel(err)
		}
	})
}

// Add subscribes to further channels and waits until all are confirmed. Do not call it, nor Mark,
// in Opened, Message or Confirmed: they would wait for themselves. After an error the connection
// should end: it is not known which channels are subscribed to.
func (c *Conn) Add(ctx context.Context, channels ...string) error {
	channels = slices.Compact(slices.Sorted(slices.Values(channels)))
	if len(channels) == 0 {
		return nil
	}
	a := &addition{left: len(channels), done: make(chan struct{})}
	c.mu.Lock()
	for _, channel := range channels {
		c.waiting[channel] = a
	}
	c.mu.Unlock()
	if err := c.subscribe(ctx, channels); err != nil {
		return err
	}
	return c.await(ctx, a.done)
}

// Drop unsubscribes from channels that were added. It does not wait for the confirmation: some
// messages may still come.
func (c *Conn) Drop(ctx context.Context, channels ...string) error {
	if len(channels) == 0 {
		return nil // go-redis would take it for all
	}
	c.mu.Lock()
	for _, channel := range channels {
		c.dropped[channel]++
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, OpTimeout)
	defer cancel()
	if c.l.cfg.Sharded {
		return c.ps.SUnsubscribe(ctx, channels...)
	}
	return c.ps.Unsubscribe(ctx, channels...)
}

// Mark publishes a message on the channel Probe. When it comes back, all that was published before
// on the same server has been received: then is called as Message is, and Mark returns. After an
// error then was not called and will not be. The Listener must have a Probe.
func (c *Conn) Mark(ctx context.Context, then func()) error {
	payload := "mark-" + rand.Text()
	m := &mark{then: then, done: make(chan struct{})}
	c.mu.Lock()
	c.marks[payload] = m
	c.mu.Unlock()
	err := c.l.probe.send(ctx, payload)
	if err == nil {
		err = c.await(ctx, m.done)
	}
	if err == nil {
		return nil
	}
	c.mu.Lock()
	withdrawn := c.marks[payload] != nil
	delete(c.marks, payload)
	c.mu.Unlock()
	if withdrawn {
		return err
	}
	<-m.done // it came back at this moment
	return nil
}

// await waits for done while the connection is there, for at most OpTimeout.
func (c *Conn) await(ctx context.Context, done <-chan struct{}) error {
	timeout := time.NewTimer(OpTimeout)
	defer timeout.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-timeout.C:
		return errNotConfirmed
	}
}

func (c *Conn) subscribe(ctx context.Context, channels []string) error {
	ctx, cancel := context.WithTimeout(ctx, OpTimeout)
	defer cancel()
	if c.l.cfg.Sharded {
		return c.ps.SSubscribe(ctx, channels...)
	}
	return c.ps.Subscribe(ctx, channels...)
}

// begin opens the connection and asks for Probe and Channels.
func (c *Conn) begin() error {
	channels := c.l.cfg.Channels
	if c.l.cfg.Probe != "" {
		channels = append([]string{c.l.cfg.Probe}, channels...)
	}
	c.fixed = len(channels)
	return c.subscribe(c.ctx, channels)
}

// read takes what comes until the connection fails or is silent. A read that timed out may have
// stopped within a message, so it always ends the connection.
func (c *Conn) read() error {
	for began := time.Now(); ; {
		left, late := c.l.cfg.Silence-c.l.Silent(), errSilent
		if c.fixed > 0 {
			left, late = OpTimeout-time.Since(began), errNotConfirmed
		}
		// What has come already is read even if it was left lying for too long.
		m, err := c.ps.ReceiveTimeout(c.ctx, max(left, 10*time.Millisecond))
		if isTimeout(err) {
			return late
		}
		if err != nil {
			return err
		}
		alive, err := c.take(m)
		if err != nil {
			return err
		}
		if alive {
			c.l.live()
		} else if left <= 0 {
			return late
		}
	}
}

// take reports whether what came is a sign of life.
func (c *Conn) take(m any) (alive bool, err error) {
	switch m := m.(type) {
	case *redis.Subscription:
		return true, c.confirm(m)
	case *redis.Message:
		if m.Channel == c.l.cfg.Probe && c.l.cfg.Probe != "" {
			c.probed(m.Payload)
			return true, nil
		}
		return c.l.cfg.Message(m.Channel, m.Payload), nil
	}
	return true, nil // the answer to a PING
}

// probed takes a message of the channel Probe.
func (c *Conn) probed(payload string) {
	c.mu.Lock()
	m := c.marks[payload]
	delete(c.marks, payload)
	c.mu.Unlock()
	if m == nil {
		c.l.probe.received(payload)
		return
	}
	m.then()
	close(m.done)
}

// confirm takes the answer to a subscription.
func (c *Conn) confirm(m *redis.Subscription) error {
	switch m.Kind {
	case "subscribe", "ssubscribe":
		if c.fixed == 0 {
			return c.added(m.Channel)
		}
		if c.fixed--; c.fixed == 0 {
			return c.opened()
		}
	case "unsubscribe", "sunsubscribe":
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.dropped[m.Channel] == 0 {
			return errMoved // nobody asked for it
		}
		if c.dropped[m.Channel]--; c.dropped[m.Channel] == 0 {
			delete(c.dropped, m.Channel)
		}
	}
	return nil
}

func (c *Conn) opened() error {
	c.since = time.Now()
	if c.l.cfg.Probe != "" { // the ones before were published too early for this connection
		c.Go(func(ctx context.Context) error {
			_ = c.l.probe.test(ctx)
			return nil
		})
	}
	if c.l.cfg.Ping {
		c.Go(c.ping)
	}
	if c.l.cfg.Opened == nil {
		return nil
	}
	return c.l.cfg.Opened(c)
}

func (c *Conn) added(channel string) error {
	c.mu.Lock()
	a := c.waiting[channel]
	delete(c.waiting, channel)
	last := false
	if a != nil {
		a.left--
		last = a.left == 0
	}
	c.mu.Unlock()
	if a == nil {
		return errSubscribedAgain
	}
	if c.l.cfg.Confirmed != nil {
		c.l.cfg.Confirmed(channel)
	}
	if last {
		close(a.done)
	}
	return nil
}

func (c *Conn) ping(ctx context.Context) error {
	for Sleep(ctx, c.l.cfg.Silence/2) {
		if err := c.ps.Ping(ctx); err != nil {
			return err
		}
	}
	return nil
}
