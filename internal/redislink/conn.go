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
	asked   []request            // of a sharded connection: sent and not answered, oldest first
}

// request is a command about one sharded channel. A refusal names no channel, but answers come in
// the order of the commands.
type request struct {
	channel string
	drop    bool // SUNSUBSCRIBE
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
// in Opened, Message, Confirmed or Moved: they would wait for themselves. It does not wait for
// channels that are passed to Moved instead. After an error the connection should end: it is not
// known which channels are subscribed to. With Sharded only one goroutine may call Add and Drop.
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
	if err := c.ask(ctx, channels, false); err != nil {
		return err
	}
	return c.await(ctx, a.done)
}

// ask subscribes to channels, or unsubscribes from them. Sharded channels may lie in several slots,
// and a command may name those of one slot only: so each has its own.
func (c *Conn) ask(ctx context.Context, channels []string, drop bool) error {
	ctx, cancel := context.WithTimeout(ctx, OpTimeout)
	defer cancel()
	switch {
	case c.l.cfg.Sharded:
	case drop:
		return c.ps.Unsubscribe(ctx, channels...)
	default:
		return c.ps.Subscribe(ctx, channels...)
	}
	send := c.ps.SSubscribe
	if drop {
		send = c.ps.SUnsubscribe
	}
	for _, channel := range channels {
		c.mu.Lock()
		c.asked = append(c.asked, request{channel, drop})
		c.mu.Unlock()
		if err := send(ctx, channel); err != nil {
			return err
		}
	}
	return nil
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
	return c.ask(ctx, channels, true)
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

// begin opens the connection and asks for Probe and Channels.
func (c *Conn) begin() error {
	channels := c.l.cfg.Channels
	if c.l.cfg.Probe != "" {
		channels = append([]string{c.l.cfg.Probe}, channels...)
	}
	c.fixed = len(channels)
	return c.ask(c.ctx, channels, false)
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
			if err = c.refused(err); err != nil {
				return err
			}
			continue
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
	drop := m.Kind == "unsubscribe" || m.Kind == "sunsubscribe"
	answered := c.answered(request{m.Channel, drop})
	switch {
	case !drop && c.fixed == 0:
		return c.added(m.Channel)
	case !drop:
		if c.fixed--; c.fixed == 0 {
			return c.opened()
		}
		return nil
	case c.l.cfg.Sharded && !answered: // the slot has moved
		return c.moved(m.Channel)
	}
	if !c.left(m.Channel) {
		return errMoved // nobody asked for it
	}
	return nil
}

// left notes that a channel is unsubscribed from, and reports whether that was asked for.
func (c *Conn) left(channel string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped[channel] == 0 {
		return false
	}
	if c.dropped[channel]--; c.dropped[channel] == 0 {
		delete(c.dropped, channel)
	}
	return true
}

// answered reports whether r is the oldest request that is not answered, and removes it then.
func (c *Conn) answered(r request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) == 0 || c.asked[0] != r {
		return false
	}
	c.asked = c.asked[1:]
	return true
}

// refused takes an answer by which Redis refused a request. A server that does not serve the slot
// of one channel still serves the others. It returns any other error.
func (c *Conn) refused(err error) error {
	if code := Code(err); c.fixed > 0 || code != "MOVED" && code != "CLUSTERDOWN" {
		return err
	}
	c.mu.Lock()
	if len(c.asked) == 0 {
		c.mu.Unlock()
		return err
	}
	r := c.asked[0]
	c.asked = c.asked[1:]
	c.mu.Unlock()
	if r.drop { // the slot moved before
		c.left(r.channel)
		return nil
	}
	return c.moved(r.channel)
}

// moved takes that the server does not serve a channel, or no longer.
func (c *Conn) moved(channel string) error {
	if c.l.cfg.Moved == nil || channel == c.l.cfg.Probe || slices.Contains(c.l.cfg.Channels, channel) {
		return errMoved
	}
	a, last := c.settle(channel)
	c.l.cfg.Moved(channel)
	if a != nil && last {
		close(a.done)
	}
	return nil
}

// settle removes a channel from the addition that waits for it; nil if there is none. last reports
// that the addition waits for no other.
func (c *Conn) settle(channel string) (a *addition, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a = c.waiting[channel]
	delete(c.waiting, channel)
	if a == nil {
		return nil, false
	}
	a.left--
	return a, a.left == 0
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
	a, last := c.settle(channel)
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
