package vendor_test

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/feed/vendor"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/vendortest"
)

const heartbeat = 250 * time.Millisecond // of the tests

// connection is a Supervisor on a fake vendor, with a real publisher.
type connection struct {
	t      *testing.T
	vendor vendor.Vendor
	server *vendortest.Server
	redis  *redis.Client
	keys   feed.Keys
	reg    *prometheus.Registry
	log    *strings.Builder
	done   chan error

	mu       sync.Mutex // guards the fields below, and log
	accepted []feed.Quote
	rejected map[feed.Reason]int
}

// symbolsOf are the symbols of the tests that a vendor has.
func symbolsOf(name string) vendor.Selection {
	if name == "ecb" {
		return vendor.Selection{"EUR/JPY", "EUR/USD"}
	}
	return vendor.Selection{"EUR/USD", "USD/JPY"}
}

// start connects to a fake vendor. change may change the configuration.
func start(t *testing.T, client *redis.Client, server *vendortest.Server, name string, change func(*vendor.Config)) *connection {
	t.Helper()
	c := &connection{
		t: t, vendor: vendor.Named(name), server: server, redis: client, keys: feed.Keys{Prefix: t.Name() + ":"},
		reg: prometheus.NewPedanticRegistry(), log: &strings.Builder{}, done: make(chan error, 1), rejected: map[feed.Reason]int{},
	}
	c.keys.Prefix = strings.ReplaceAll(c.keys.Prefix, " ", "_")
	gate := accept.Gate{MaxLag: 0, Confirm: 3}
	p := accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: c.keys, Gate: gate, Timeout: 20 * time.Second})
	feedtest.Start(t, p.Run)
	cfg := vendor.Config{
		Vendor:     c.vendor,
		Target:     vendor.Target{URL: server.URL, Key: vendortest.Key, Account: vendortest.Account, Symbols: symbolsOf(name), Heartbeat: heartbeat},
		Registerer: c.reg, Logger: slog.New(slog.NewTextHandler(c, nil)),
		Publish: func(ctx context.Context, quotes []feed.Quote) error {
			outcomes, err := p.Publish(ctx, quotes)
			if err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			for i, o := range outcomes {
				if o.Rejection != nil {
					c.rejected[o.Rejection.Reason]++
				} else {
					c.accepted = append(c.accepted, quotes[i])
				}
			}
			return nil
		},
		Reject: func(b vendor.BadQuote) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.rejected[b.Rejection.Reason]++
			if b.Quote.Source != "test" || len(b.Input) == 0 {
				t.Errorf("a bad quote without its source or input: %+v", b)
			}
		},
		Halt: func(ctx context.Context, s feed.Symbol) (bool, error) {
			return p.Halt(ctx, s, "test")
		},
	}
	cfg.Target.Source = "test"
	if change != nil {
		change(&cfg)
	}
	s := vendor.New(cfg)
	s.Hurry(3*time.Second, time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.done <- s.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// Write implements io.Writer, for the log.
func (c *connection) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

func (c *connection) logged(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(c.log.String(), text)
}

func (c *connection) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.accepted)
}

func (c *connection) refusals(r feed.Reason) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rejected[r]
}

func (c *connection) metric(name string) float64 { return feedtest.Metric(c.t, c.reg, name) }

func (c *connection) eventually(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.t.Fatalf("not in time: %s; log:\n%s", what, c.log)
		}
	}
}

// more waits for further quotes to be accepted.
func (c *connection) more(what string) {
	c.t.Helper()
	before := c.count()
	c.eventually(what, func() bool { return c.count() >= before+5 })
}

// notCurrent reports whether no symbol has a current quote.
func (c *connection) notCurrent() bool {
	for _, s := range symbolsOf(c.vendor.Traits().Name) {
		if c.redis.Exists(c.t.Context(), c.keys.Quote(feed.Symbol(s))).Val() != 0 {
			return false
		}
	}
	return true
}

// end waits until Run returns by itself, and returns its error.
func (c *connection) end() error {
	c.t.Helper()
	select {
	case err := <-c.done:
		return err
	case <-time.After(time.Minute):
		c.t.Fatalf("Run goes on; log:\n%s", c.log)
		return nil
	}
}

// keyless reports whether a vendor needs no key, so that a refused one cannot be the reason.
func (c *connection) keyless() bool { return !c.vendor.Traits().Key }

var anyPrice = regexp.MustCompile(`(?:"bid":|"ask":|"b":|"a":|"price":"|rate=')([0-9.]+)`)

// TestSwitches turns each fault of each vendor on and off.
func TestSwitches(t *testing.T) {
	client := redistest.Start(t).Client()
	for _, name := range vendor.Names() {
		for _, sw := range vendortest.Switches() {
			check := switches[sw]
			if check == nil {
				t.Fatalf("no check for the switch %s", sw)
			}
			if slices.Contains(without[sw], name) {
				continue
			}
			t.Run(name+"/"+string(sw), func(t *testing.T) {
				t.Parallel()
				c := start(t, client, vendortest.Start(t, name), name, nil)
				c.more("the first quotes")
				check(c)
				if !t.Failed() {
					c.digits()
				}
			})
		}
	}
}

// without are the vendors whose protocol has no place for a switch.
var without = map[vendortest.Switch][]string{
	vendortest.Crossed:      {"ecb"}, // one rate is both
	vendortest.DayOld:       {"ecb"}, // the file of the day before is a repetition
	vendortest.NotTradeable: {"massive", "ecb"},
	vendortest.UsedTwice:    {"oanda", "kraken", "ecb"},
}

// digits checks that the accepted prices have the digits of the recorded ones.
func (c *connection) digits() {
	known := map[string]bool{}
	for _, message := range c.server.Prices() {
		for _, m := range anyPrice.FindAllStringSubmatch(message, -1) {
			known[m[1]] = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.accepted {
		if !known[q.Bid] || !known[q.Ask] || q.Source != "test" {
			c.t.Fatalf("%+v: not among the recorded prices", q)
		}
	}
}

// The checks of the switches. Each begins with quotes that arrive.
var switches = map[vendortest.Switch]func(*connection){
	vendortest.Freeze:   func(c *connection) { c.fallsSilent(vendortest.Freeze) },
	vendortest.HalfOpen: func(c *connection) { c.fallsSilent(vendortest.HalfOpen) },
	vendortest.Drop:     func(c *connection) { c.fallsSilent(vendortest.Drop) },
	vendortest.Duplicate: func(c *connection) {
		c.server.Set(vendortest.Duplicate, true)
		c.eventually("repetitions are left out", func() bool { return c.metric("fx_connect_repeated_total") >= 3 })
		c.more("quotes")
		c.mu.Lock()
		defer c.mu.Unlock()
		last := map[feed.Symbol]feed.Quote{}
		for _, q := range c.accepted {
			if last[q.Symbol] == q {
				c.t.Fatalf("accepted twice: %+v", q)
			}
			last[q.Symbol] = q
		}
	},
	vendortest.Reorder: func(c *connection) {
		c.server.Set(vendortest.Reorder, true)
		c.eventually("older quotes are refused", func() bool { return c.refusals(feed.ReasonOld) >= 3 })
		c.more("quotes")
		c.mu.Lock()
		defer c.mu.Unlock()
		last := map[feed.Symbol]time.Time{}
		for _, q := range c.accepted {
			if q.Time.Before(last[q.Symbol]) {
				c.t.Fatalf("accepted out of order: %+v", q)
			}
			last[q.Symbol] = q.Time
		}
	},
	vendortest.WrongDigits: func(c *connection) { c.refused(vendortest.WrongDigits, feed.ReasonTooLong) },
	vendortest.Zero:        func(c *connection) { c.refused(vendortest.Zero, feed.ReasonZero) },
	vendortest.Crossed:     func(c *connection) { c.refused(vendortest.Crossed, feed.ReasonCrossed) },
	vendortest.DayOld:      func(c *connection) { c.refused(vendortest.DayOld, feed.ReasonOld) },
	vendortest.DayAhead:    func(c *connection) { c.refused(vendortest.DayAhead, feed.ReasonFuture) },
	vendortest.Unauthorized: func(c *connection) {
		c.server.Set(vendortest.Unauthorized, true)
		c.server.Set(vendortest.Drop, true)
		c.server.Set(vendortest.Drop, false)
		if c.keyless() {
			c.eventually("the refusal is reported", func() bool { return c.logged("401 Unauthorized") })
			c.server.Set(vendortest.Unauthorized, false)
			c.more("quotes after the refusal")
			return
		}
		err := c.end()
		if refused, ok := errors.AsType[*vendor.Refused](err); !ok || !strings.Contains(refused.Error(), "FEED_KEY") {
			c.t.Errorf("the end after a revoked key: %v", err)
		}
		if c.logged(vendortest.Key) || strings.Contains(err.Error(), vendortest.Key) {
			c.t.Error("the key was shown")
		}
	},
	vendortest.TooMany:      func(c *connection) { c.throttled(vendortest.TooMany) },
	vendortest.TooManyAfter: func(c *connection) { c.throttled(vendortest.TooManyAfter) },
	vendortest.Slow: func(c *connection) {
		before := c.metric("fx_connect_failures_total")
		c.server.Set(vendortest.Slow, true)
		c.more("quotes in pieces")
		c.more("quotes in pieces")
		if n := c.metric("fx_connect_failures_total"); n != before {
			c.t.Errorf("%v connections failed", n-before)
		}
	},
	vendortest.CloseAfter: func(c *connection) {
		c.server.Set(vendortest.CloseAfter, true)
		c.eventually("the connection is replaced again and again", func() bool { return c.metric("fx_connect_failures_total") >= 3 })
		c.more("quotes")
	},
	vendortest.UnknownType: func(c *connection) {
		c.server.Set(vendortest.UnknownType, true)
		c.more("quotes between unknown messages")
		if c.vendor.Traits().Name != "ecb" { // a file is one message
			c.eventually("unknown messages are counted", func() bool { return c.metric("fx_connect_ignored_total") >= 3 })
		}
		c.more("quotes between unknown messages")
		if n := c.metric("fx_connect_failures_total"); n != 0 {
			c.t.Errorf("%v connections failed", n)
		}
	},
	vendortest.NotTradeable: func(c *connection) {
		c.server.Set(vendortest.NotTradeable, true)
		c.eventually("no price is current", c.notCurrent)
		c.eventually("halted symbols are counted", func() bool { return c.metric("fx_connect_halted_symbols") == 2 })
		before := c.count()
		c.eventually("messages go on", func() bool { return c.metric("fx_connect_silent") == 0 })
		if n := c.count(); n != before || !c.notCurrent() {
			c.t.Errorf("%d quotes were accepted that cannot be traded", n-before)
		}
		c.server.Set(vendortest.NotTradeable, false)
		c.more("quotes that can be traded")
		c.eventually("no symbol is halted", func() bool { return c.metric("fx_connect_halted_symbols") == 0 })
	},
	vendortest.UsedTwice: func(c *connection) {
		c.server.Set(vendortest.UsedTwice, true)
		c.server.Set(vendortest.Drop, true)
		c.server.Set(vendortest.Drop, false)
		c.eventually("it is reported", func() bool { return c.logged("the key is used twice") })
		c.server.Set(vendortest.UsedTwice, false)
		c.more("quotes after the other connection has ended")
	},
}

// refused checks that quotes are refused for a reason, and accepted again afterwards.
func (c *connection) refused(sw vendortest.Switch, reason feed.Reason) {
	c.server.Set(sw, true)
	c.eventually("quotes are refused as "+string(reason), func() bool { return c.refusals(reason) >= 1 })
	c.server.Set(sw, false)
	c.more("quotes after refused ones")
}

// fallsSilent checks what is reported of a vendor that sends nothing any more, and afterwards.
func (c *connection) fallsSilent(sw vendortest.Switch) {
	c.server.Set(sw, true)
	c.eventually("silence is counted", func() bool { return c.metric("fx_connect_silences_total") >= 1 && c.metric("fx_connect_silent") == 1 })
	c.eventually("silence is logged", func() bool { return c.logged("the vendor is silent") })
	c.eventually("no price is current", c.notCurrent)
	if up := c.metric("fx_connect_up"); up != 0 {
		c.t.Errorf("up %v", up)
	}
	c.server.Set(sw, false)
	c.more("quotes after silence")
	c.eventually("the end of the silence is reported", func() bool { return c.logged("the vendor sends again") && c.metric("fx_connect_silent") == 0 })
}

// throttled checks that a vendor that refuses connects is left alone for a while.
func (c *connection) throttled(sw vendortest.Switch) {
	c.server.Set(sw, true)
	c.server.Set(vendortest.Drop, true)
	c.server.Set(vendortest.Drop, false)
	c.eventually("the refusal is reported", func() bool { return c.logged("429 Too Many Requests") })
	before := len(c.server.Connects())
	c.eventually("another connect", func() bool { return len(c.server.Connects()) > before })
	c.server.Set(sw, false)
	connects := c.server.Connects()
	if gap := connects[before].Sub(connects[before-1]); gap < vendortest.RetryAfter-10*time.Millisecond {
		c.t.Errorf("the next connect came after %v, want at least %v", gap, vendortest.RetryAfter)
	}
	c.more("quotes afterwards")
}
