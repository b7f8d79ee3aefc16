package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// An attack is something that anyone can do to a server without rights. Each of its workers takes one
// step after another. The pace bounds the cost of the attack itself, so that the machine has time for
// the server and for good clients.
type attack struct {
	name     string
	does     string
	step     func(context.Context, *attacker)
	workers  int           // for each address
	every    time.Duration // between the steps of a worker
	expected []string      // answers by which a server bounds it; nearly all are refusals
	metric   string        // the beginning of the metrics with which the server counts them; may be empty
}

const (
	limiterRefusals = `fx_limiter_decisions_total{outcome="refused"`
	closedByServer  = `fx_hub_client_disconnects_total{reason="closed"}`
)

var attacks = []attack{
	{"guests", "asks for a new guest session again and again",
		newGuest, 12, 20 * time.Millisecond, []string{"429", "503"}, limiterRefusals},
	{"since", "resumes symbols from an unknown epoch, and from a number too great",
		resumeInVain, 12, time.Second, []string{"rate_limited", "4029"}, `fx_web_command_errors_total{code="rate_limited"}`},
	{"replay", "resumes symbols from the oldest quote that history may have",
		replayAll, 12, time.Second, []string{"resumed", "rate_limited", "4029"}, "fx_web_resumes_total"},
	{"idle", "holds connections that send nothing, or nothing after /livez",
		holdIdle, 12, 40 * time.Millisecond, []string{"reset"}, `fx_web_refused_connections_total{reason="address"}`},
	{"pings", "sends pings and pongs without end",
		floodWith(opPing, opPong), 12, time.Second, []string{"1008"}, closedByServer},
	{"fragments", "sends a message of empty fragments without end",
		floodWith(opText, opContinuation), 12, time.Second, []string{"1008"}, closedByServer},
	{"stream", "sends bytes after the request of an event stream",
		writeToStream, 12, time.Second, []string{"ended"}, ""},
	{"names", "subscribes to thousands of empty and unknown names",
		subscribeToNothing, 12, time.Second, []string{"bad_field", "rate_limited", "1008", "4029"}, `fx_web_command_errors_total`},
	{"sockets", "opens sockets of one guest and keeps them",
		holdSocket, 12, 200 * time.Millisecond, []string{"4009"}, "fx_session_connection_leases_denied_total"},
	{"refused", "repeats requests that are over their limit",
		repeatRefused, 12, 10 * time.Millisecond, []string{"429"}, limiterRefusals},
	{"tokens", "tries well-formed tokens, each of them once",
		guessToken, 12, 20 * time.Millisecond, []string{"429"}, limiterRefusals},
}

// listAttacks prints the name of each attack, and what it does.
func listAttacks(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, a := range attacks {
		fmt.Fprintf(w, "%s\t%s\n", a.name, a.does)
	}
	return w.Flush()
}

// An attackResult is what an attack met with.
type attackResult struct {
	Attack   string         `json:"attack"`
	Metric   string         `json:"metric"`
	Expected []string       `json:"expected"`
	Steps    int            `json:"steps"`
	Met      int            `json:"met"`     // expected answers
	Answers  map[string]int `json:"answers"` // by HTTP status, close code, error code, or another word
}

// An outcome collects the answers of all attackers.
type outcome struct {
	mu     sync.Mutex // guards what follows
	result attackResult
	out    io.Writer
}

// add counts an answer. It prints the first expected one at once, so that a program that started the
// attack can wait for it.
func (o *outcome) add(answer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.result.Answers[answer]++
	if !slices.Contains(o.result.Expected, answer) {
		return
	}
	if o.result.Met++; o.result.Met == 1 {
		fmt.Fprintln(o.out, "answered with", answer)
	}
}

func (o *outcome) stepped() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.result.Steps++
}

// An attacker is one address. Its workers share its connections for requests, and its guest session.
type attacker struct {
	*outcome
	target  *url.URL // ws
	symbols []feed.Symbol
	dialer  net.Dialer
	http    *http.Client
	held    holding

	mu    sync.Mutex // guards guest
	guest string     // token; empty before the first
}

// runAttack plays one attack from -sources addresses for -run, or until ctx ends.
func runAttack(ctx context.Context, o options, out io.Writer) error {
	i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == o.attack })
	switch {
	case o.attack == "list":
		return listAttacks(out)
	case i < 0:
		return fmt.Errorf("-attack %q: see -attack list", o.attack)
	}
	a := attacks[i]
	target, err := url.Parse(o.url)
	if err != nil || target.Scheme != "ws" {
		return fmt.Errorf("-url %q: want ws://HOST:PORT/path", o.url)
	}
	from, err := netip.ParseAddr(o.from)
	if err != nil {
		return fmt.Errorf("-from: %w", err)
	}
	symbols, err := symbolList(o.symbols)
	if err != nil {
		return err
	}
	all := &outcome{out: out, result: attackResult{Attack: a.name, Metric: a.metric, Expected: a.expected, Answers: map[string]int{}}}
	running, stop := context.WithTimeout(ctx, o.run)
	defer stop()
	var working sync.WaitGroup
	attackers := make([]*attacker, o.sources)
	for i := range attackers {
		from = from.Next()
		p := newAttacker(all, target, symbols, from)
		attackers[i] = p
		for range a.workers {
			working.Go(func() { p.work(running, a) })
		}
	}
	working.Wait()
	for _, p := range attackers { // then nothing adds to the result any more
		p.close()
	}
	if o.asJSON {
		return json.NewEncoder(out).Encode(all.result)
	}
	return all.result.table(out)
}

func newAttacker(all *outcome, target *url.URL, symbols []feed.Symbol, from netip.Addr) *attacker {
	p := &attacker{outcome: all, target: target, symbols: symbols,
		dialer: net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 10 * time.Second}}
	p.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: p.dialer.DialContext, MaxIdleConnsPerHost: 100}}
	return p
}

func (p *attacker) work(ctx context.Context, a attack) {
	for next := time.Now(); ctx.Err() == nil; next = next.Add(a.every) {
		a.step(ctx, p)
		p.stepped()
		if now := time.Now(); next.Before(now.Add(-a.every)) {
			next = now.Add(-a.every) // a slow server is not attacked faster later
		}
		pause(ctx, time.Until(next.Add(a.every)))
	}
}

func (p *attacker) close() {
	p.held.close()
	p.http.CloseIdleConnections()
}

// table prints a result for people.
func (r attackResult) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "attack\t%s\nsteps\t%d\nexpected\t%d\nanswers\t%v\n", r.Attack, r.Steps, r.Met, r.Answers)
	return w.Flush()
}
