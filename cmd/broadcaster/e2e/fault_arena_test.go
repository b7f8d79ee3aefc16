package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/faulttest"
)

const (
	publishEvery = 50 * time.Millisecond // one tick of each symbol, from each publisher
	arenaNodes   = 2
	clientsEach  = 2 // per node and mode

	// arenaHistory is more than what is published in any run: history then tells
	// at the end whether a reset was called for.
	arenaHistory = 1_000_000
)

var arenaSymbols = []string{"EUR/USD", "USD/JPY", "GBP/USD", "CHF/SEK", "NOK/PLN"}

// An arena is nodes, two publishers and clients on one kind of Redis, for faults
// to be injected into. One publisher runs the script itself as producers do, the
// other goes through the nodes.
type arena struct {
	t       *testing.T
	rdb     redis.UniversalClient // not through what the test breaks
	environ []string              // of the nodes

	mu    sync.Mutex // guards nodes
	nodes []*processNode

	direct, web *faulttest.Publisher
	clients     []*faulttest.Client
	tokens      map[string]madeSession // by client
	field       faulttest.Field
	modes       []string // of subscription, that the server knows
	replicated  bool     // quotes are answered when a replica has them
	watch       *masterWatch

	stopPublishing, stopClients func()
	startClient                 func(node int, cfg faulttest.ClientConfig) *faulttest.Client
}

// newArena starts everything; environ are the settings of Redis for a node.
// tamper, which may be nil, changes what the first client of a mode records.
func newArena(t *testing.T, rdb redis.UniversalClient, environ []string, tamper map[string]func(faulttest.Event) []faulttest.Event) *arena {
	t.Helper()
	environ = append(environ, fmt.Sprint("HISTORY_TICKS=", arenaHistory))
	a := &arena{t: t, rdb: rdb, environ: environ, tokens: map[string]madeSession{}}
	for range arenaNodes {
		a.nodes = append(a.nodes, startProcess(t, environ...))
	}
	a.modes = a.subscriptionModes()
	a.startPublishers()
	a.startClients(tamper)
	a.field = faulttest.Field{Publishers: []*faulttest.Publisher{a.direct, a.web}, Clients: a.clients, Log: func(format string, args ...any) {
		t.Logf("%s "+format, append([]any{time.Now().Format("05.000")}, args...)...)
	}}
	calm, cancel := context.WithTimeout(t.Context(), 4*patience) // several arenas may start at once
	defer cancel()
	if err := a.field.AwaitRight(calm); err != nil {
		t.Fatal(err)
	}
	return a
}

// node is the i-th, as it is now.
func (a *arena) node(i int) *processNode {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nodes[i%len(a.nodes)]
}

// subscriptionModes asks a node what it can do.
func (a *arena) subscriptionModes() []string {
	user := a.node(0).signIn("asks", "user")
	k, welcome := a.node(0).connect(user.Token)
	defer k.ws.CloseNow()
	_ = welcome
	k.say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all"}`)
	for {
		m, ok := k.next()
		switch {
		case !ok:
			a.t.Fatalf("subscribe in mode all: %v", k.err)
		case m.Type == "ack":
			return []string{faulttest.Latest, faulttest.All}
		case m.Type == "error":
			return []string{faulttest.Latest}
		}
	}
}

// scriptPublisher is a publisher that runs the script itself.
func (a *arena) scriptPublisher(symbols []string) *faulttest.Publisher {
	environ := withoutCertificate(a.environ)
	cfg, err := config.Load(environ)
	if err != nil {
		a.t.Fatal(err)
	}
	client, err := redisclient.Open(a.t.Context(), cfg, redisclient.Options{Name: "fault-publisher", NoRetry: true, Require: true})
	if err != nil {
		a.t.Fatal(err)
	}
	failovers, err := redisclient.Failovers(cfg, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	p := accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: feed.Keys{Prefix: "fx:"}, HistoryTicks: arenaHistory,
		Replicated: cfg.Feed.Replicated, Failovers: failovers})
	a.replicated = cfg.Feed.Replicated
	running, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(running) })
	a.t.Cleanup(func() { stop(); wg.Wait(); client.Close() })
	return faulttest.NewPublisher(1, symbols, byScript(p))
}

func (a *arena) startPublishers() {
	a.direct = a.scriptPublisher(arenaSymbols)
	turn := 0
	a.web = faulttest.NewPublisher(2, arenaSymbols, faulttest.OverHTTP(&http.Client{Timeout: 8 * time.Second},
		func() string { turn++; return a.node(turn).public }, otherPub))

	publishing, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	for _, p := range []*faulttest.Publisher{a.direct, a.web} {
		sending.Go(func() { p.Run(publishing, publishEvery) })
	}
	a.stopPublishing = func() { cancel(); sending.Wait() }
	a.t.Cleanup(a.stopPublishing)
}

// byScript is the way of programs that bring their own publisher.
func byScript(p *accept.Publisher) faulttest.Transport {
	return func(ctx context.Context, quotes []faulttest.Quote) []faulttest.Answer {
		in := make([]feed.Quote, len(quotes))
		for i, q := range quotes {
			in[i] = feed.Quote{Symbol: feed.Symbol(q.Symbol), Bid: q.Bid, Ask: q.Ask, Time: q.Time, Source: "script"}
		}
		outcomes, _ := p.Publish(ctx, in) // what failed is not Known
		answers := make([]faulttest.Answer, len(quotes))
		for i, o := range outcomes {
			switch {
			case o.Rejection != nil:
				answers[i].State = faulttest.Rejected
			case o.Known():
				answers[i] = faulttest.Answer{State: faulttest.Accepted, Epoch: o.Epoch, Seq: o.Seq, Unreplicated: o.Unreplicated}
			}
		}
		return answers
	}
}

// withoutCertificate leaves out what a process reads by itself.
func withoutCertificate(environ []string) (kept []string) {
	for _, e := range environ {
		if !strings.HasPrefix(e, "SSL_CERT_FILE=") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (a *arena) startClients(tamper map[string]func(faulttest.Event) []faulttest.Event) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	a.stopClients = func() { cancel(); wg.Wait() }
	a.t.Cleanup(a.stopClients)
	a.startClient = func(node int, cfg faulttest.ClientConfig) *faulttest.Client {
		s := a.node(0).signIn(cfg.Name, "user")
		turn := node - 1
		cfg.Token, cfg.Symbols = s.Token, arenaSymbols
		cfg.Address = func() string { turn++; return a.node(turn).public }
		c := faulttest.NewClient(cfg)
		a.clients, a.tokens[cfg.Name] = append(a.clients, c), s
		wg.Go(func() { c.Run(ctx) })
		return c
	}
	for i := range arenaNodes {
		for _, mode := range a.modes {
			for j := range clientsEach {
				cfg := faulttest.ClientConfig{Name: fmt.Sprintf("%s-%d-%d", mode, i, j), Mode: mode, Binary: (i+j)%2 == 1}
				if i == 0 && j == 0 {
					cfg.Tamper = tamper[mode]
				}
				if mode == faulttest.Latest && j == 1 {
					cfg.MaxRate = 3 // so that ticks are skipped
				}
				a.startClient(i, cfg)
			}
		}
		a.startClient(i, faulttest.ClientConfig{Name: fmt.Sprintf("stream-%d", i), Mode: faulttest.All, Stream: true})
	}
}

// revoke ends the session of a client.
func (a *arena) revoke(c *faulttest.Client, within time.Duration) {
	c.Revoked(within)
	n := a.node(0)
	if got := n.do("DELETE", n.admin+"/api/v1/redis/session/"+a.tokens[c.Name()].ID, "", bearer(adminToken)); got.status/100 != 2 {
		a.t.Errorf("revoke the session of %s: %d %s", c.Name(), got.status, got.body)
	}
}

// judge ends the run: the last ticks, the session of one client, and what was
// promised to all.
func (a *arena) judge(last *faulttest.Client) []faulttest.Violation {
	a.t.Helper()
	a.stopPublishing()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	if err := a.direct.Finish(ctx); err != nil {
		a.t.Error(err)
	}
	settle, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	_ = a.field.AwaitLast(settle) // who does not get there is found by Verify
	a.revoke(last, revokedWithin+slack)
	for deadline := time.Now().Add(revokedWithin + slack + time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if e := last.Record().Events; e[len(e)-1].Code == 4001 {
			break
		}
	}
	a.stopClients()
	kept := a.keptOf(arenaSymbols)
	found := faulttest.Verify(a.published(), kept, a.records())
	if a.replicated {
		found = append(found, faulttest.VerifyKept(a.published(), kept)...)
	}
	return found
}

// keptOf is what history holds of symbols.
func (a *arena) keptOf(symbols []string) (kept []faulttest.Entry) {
	for _, s := range symbols {
		entries, err := a.rdb.XRange(a.t.Context(), "fx:{"+s+"}:ticks", "-", "+").Result()
		if err != nil || len(entries) == 0 {
			a.t.Errorf("history of %s: %d entries, %v", s, len(entries), err)
		}
		for _, e := range entries {
			text, _ := e.Values["q"].(string)
			q, err := feed.DecodeTick([]byte(text))
			if err != nil {
				a.t.Errorf("history of %s has %q: %v", s, text, err)
			}
			kept = append(kept, faulttest.Entry{Symbol: s, Bid: q.Bid, Epoch: q.Epoch, Seq: q.Seq})
		}
	}
	return kept
}

func (a *arena) published() []faulttest.Tick { return append(a.direct.Ticks(), a.web.Ticks()...) }

func (a *arena) records() (records []faulttest.Record) {
	for _, c := range a.clients {
		records = append(records, c.Record())
	}
	return records
}

// result says which fault cost clients of mode all ticks.
func (a *arena) result(mode string, outcomes []faulttest.Outcome) faulttest.Run {
	published := a.published()
	run := faulttest.Run{Redis: mode, Outcomes: outcomes, Splits: a.watch.ended(),
		Every: publishEvery / time.Duration(len(a.field.Publishers)*len(arenaSymbols))}
	var unreplicated []faulttest.Tick
	for _, t := range published {
		if t.State == faulttest.Accepted {
			run.Accepted++
			if t.Unreplicated {
				unreplicated = append(unreplicated, t)
			}
		}
	}
	missed, lost := faulttest.Missed(published, a.records())
	run.Lost, run.Unreplicated, run.LostInSplits = len(lost), len(unreplicated), faulttest.AnsweredIn(run.Splits, lost)
	for _, t := range lost {
		if t.Unreplicated {
			run.LostUnreplicated++
		}
	}
	if rest := faulttest.Blame(outcomes, missed, func(o *faulttest.Outcome) { o.Missed++ }); rest > 0 {
		a.t.Errorf("%d ticks were missed before any fault", rest)
	}
	faulttest.Blame(outcomes, lost, func(o *faulttest.Outcome) { o.Lost++ })
	faulttest.Blame(outcomes, unreplicated, func(o *faulttest.Outcome) { o.Unreplicated++ })
	return run
}
