// Command loadgen measures a broadcaster from outside. It publishes quotes on a fixed schedule, and
// holds N WebSocket clients, some of them slow or stuck. It checks the sequence arithmetic of every
// quote that they receive. Then it prints the server's CPU time per delivered quote, the latencies
// and the losses. It also speaks the protocols of the two programs under bench/, so that all are
// measured in the same way. It needs Linux, and supports ws:// only.
//
//	loadgen -url ws://127.0.0.1:8080/ws -admin http://127.0.0.1:9090 -admin-token T \
//	        -redis redis://127.0.0.1:6379 -pid SERVER -n 1000 -rate 50
//
// With -attack it is a hostile client instead, which does what anyone without rights can do to make
// a server expensive. make hostile plays all attacks beside good clients.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// options holds the flags, which parseOptions describes.
type options struct {
	url, dialect       string
	admin, adminToken  string
	redis, channel     string
	pid                int
	clients            int
	ramp               int
	sources            int
	rate               float64
	burst              int
	symbols, wanted    int
	wildcard           bool
	different          bool
	maxRate            float64
	pace               time.Duration
	align              bool
	slow, stuck, churn int
	slowRate           int
	warm, run, drain   time.Duration
	idle               time.Duration
	asJSON             bool
	label              string
	attack, from       string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "loadgen:", err)
		}
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	f.StringVar(&o.url, "url", "ws://127.0.0.1:8080/ws", "URL of the socket; the host is an IPv4 address")
	f.StringVar(&o.dialect, "dialect", "fxcast", "fxcast, or fxcast-pb for binary quotes; centrifuge (JSON protocol, a channel per symbol), centrifuge-protobuf or centrifuge-delta; or plain (everything is sent unasked)")
	f.StringVar(&o.admin, "admin", "", "admin listener, to create a session for each client")
	f.StringVar(&o.adminToken, "admin-token", os.Getenv("ADMIN_TOKEN"), "its token")
	f.StringVar(&o.redis, "redis", "", "redis://host:port to publish to; empty: only listen")
	f.StringVar(&o.channel, "channel", "", "publish plain messages to this channel instead of running the accept script")
	f.IntVar(&o.pid, "pid", 0, "the server's process, for its CPU time and memory")
	f.IntVar(&o.clients, "n", 100, "clients")
	f.IntVar(&o.ramp, "ramp", 4000, "connects per second")
	f.IntVar(&o.sources, "sources", 100, "number of loopback addresses from which clients connect; a server takes 200 of each unless MAX_CONNECTIONS_PER_ADDRESS is set")
	f.Float64Var(&o.rate, "rate", 50, "quotes per second")
	f.IntVar(&o.burst, "burst", 1, "quotes published at once, each of another symbol")
	f.IntVar(&o.symbols, "symbols", 1, "number of symbols, published in turn")
	f.IntVar(&o.wanted, "wanted", 0, "symbols to which each client subscribes; 0: all")
	f.BoolVar(&o.different, "different", false, "each client chooses its -wanted symbols at random, not the first ones")
	f.BoolVar(&o.wildcard, "wildcard", false, "subscribe to * instead")
	f.Float64Var(&o.maxRate, "max-rate", 0, "max_rate of the subscriptions")
	f.DurationVar(&o.pace, "pace", 0, "pace of each client of fxcast, such as 250ms")
	f.BoolVar(&o.align, "align", false, "align the pace to the clock of Redis")
	f.IntVar(&o.slow, "slow", 0, "number of clients that read slowly")
	f.IntVar(&o.slowRate, "slow-rate", 2048, "bytes per second that a slow client reads")
	f.IntVar(&o.stuck, "stuck", 0, "number of clients that never read")
	f.IntVar(&o.churn, "churn", 0, "clients per second that are replaced by new ones")
	f.DurationVar(&o.warm, "warm", 2*time.Second, "time to publish before measuring")
	f.DurationVar(&o.run, "run", 5*time.Second, "time to measure; 0: do not publish")
	f.DurationVar(&o.drain, "drain", time.Second, "longest time to wait for the last quotes")
	f.DurationVar(&o.idle, "idle", 0, "time to wait before publishing, to measure the memory per connection")
	f.BoolVar(&o.asJSON, "json", false, "print one line of JSON instead of a table")
	f.StringVar(&o.label, "label", "", "label of the result")
	f.StringVar(&o.attack, "attack", "", "play this attack for -run instead; list: print all of them")
	f.StringVar(&o.from, "from", "127.0.1.0", "the attack comes from -sources addresses after this one")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.clients < 1 || o.burst < 1 || o.symbols < 1 || o.rate <= 0 || o.ramp < 1:
		return o, errors.New("-n, -burst, -symbols, -rate and -ramp want positive numbers")
	case o.slow+o.stuck > o.clients:
		return o, errors.New("-slow and -stuck exceed -n")
	case o.wanted > o.symbols:
		return o, errors.New("-wanted exceeds -symbols")
	}
	if _, ok := dialects[o.dialect]; !ok {
		return o, fmt.Errorf("-dialect %q: want %s", o.dialect, strings.Join(slices.Sorted(maps.Keys(dialects)), ", "))
	}
	if o.wanted == 0 {
		o.wanted = o.symbols
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if o.attack != "" {
		return runAttack(ctx, o, out)
	}
	symbols, err := symbolList(o.symbols)
	if err != nil {
		return err
	}
	tokens, err := makeSessions(ctx, o)
	if err != nil {
		return err
	}
	process := process{o.pid}
	before := process.rss()
	fleet, err := newFleet(o, symbols, tokens)
	if err != nil {
		return err
	}
	defer fleet.close()
	connecting := time.Now()
	if err := fleet.connect(ctx); err != nil {
		return err
	}
	r := result{Label: o.label, Dialect: o.dialect, Clients: o.clients, Rate: o.rate, Burst: o.burst, Symbols: o.symbols, Wanted: o.wanted,
		Slow: o.slow, Stuck: o.stuck, ConnectSeconds: time.Since(connecting).Seconds()}
	fleet.start()
	if o.idle > 0 {
		pause(ctx, o.idle)
		r.IdleKB = float64(process.rss()-before) / 1024 / float64(o.clients)
	}
	if o.run > 0 {
		if err := measure(ctx, o, fleet, process, symbols, &r); err != nil {
			return err
		}
	}
	r.RSSKB = process.rss() / 1024
	if o.asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	return r.table(out)
}

// measure publishes, and counts within the measured time.
func measure(ctx context.Context, o options, fleet *fleet, p process, symbols []feed.Symbol, r *result) error {
	pub, err := newPublisher(o, symbols)
	if err != nil {
		return err
	}
	publishing, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- pub.run(publishing) }()
	churning := make(chan struct{})
	go func() {
		fleet.churn(publishing)
		close(churning)
	}()
	pause(ctx, o.warm)
	cpu, own := p.cpu(), (process{os.Getpid()}).cpu()
	began := time.Now()
	fleet.measuring.Store(true)
	pause(ctx, o.run)
	fleet.measuring.Store(false)
	seconds := time.Since(began).Seconds()
	used, ownUsed := p.cpu()-cpu, (process{os.Getpid()}).cpu()-own
	stop()
	if err := <-done; err != nil {
		return err
	}
	<-churning
	pause(ctx, o.pace)
	fleet.drain(ctx, pub)
	fleet.stop()
	r.fill(fleet, pub, seconds, used, ownUsed)
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// symbolList returns n symbols, common ones first.
func symbolList(n int) ([]feed.Symbol, error) {
	list := []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY", "USD/CHF", "AUD/USD", "NZD/USD", "USD/CAD", "EUR/GBP", "EUR/JPY", "GBP/JPY"}
	seen := make(map[feed.Symbol]bool)
	for _, s := range list {
		seen[s] = true
	}
	codes := feed.Currencies()
	for _, base := range codes {
		for _, quote := range codes {
			s := feed.Symbol(base + "/" + quote)
			if len(list) < n && base != quote && !seen[s] {
				list = append(list, s)
			}
		}
	}
	if len(list) < n {
		return nil, fmt.Errorf("-symbols %d: there are only %d", n, len(list))
	}
	return list[:n], nil
}

func symbolNames(symbols []feed.Symbol) []string {
	names := make([]string, len(symbols))
	for i, s := range symbols {
		names[i] = string(s)
	}
	return names
}
