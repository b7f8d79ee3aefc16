package accept

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"

	"github.com/redis/go-redis/v9"
)

// AcceptArgs holds all arguments of the publish script.
type AcceptArgs struct {
	Keys       feed.Keys
	QuoteTTL   time.Duration
	History    int
	Candidate  string
	Run        string
	KnownEpoch string
	KnownSeq   uint64
	Priorities feed.Priorities

	Gate        Gate
	Instruments *feed.Instruments
	Candles     feed.KeptCandles

	Clock  time.Time // the time of Redis; zero = its own
	Asking bool      // the slot of the symbol is on its way
}

// clockedScript is the publish script with the time that it is given instead of Redis's.
var clockedScript = redis.NewScript(strings.Replace(publishSource, "call('TIME')", "{match(ARGV[11], '^(%d+) (%d+)$')}", 1))

func isCluster(c redis.UniversalClient) bool {
	_, ok := c.(*redis.ClusterClient)
	return ok
}

// AcceptAll runs the publish script once, without a Publisher, for quotes of one symbol.
func AcceptAll(ctx context.Context, c redis.UniversalClient, quotes []feed.Quote, a AcceptArgs) ([]Outcome, error) {
	outcomes, errs := AcceptSymbols(ctx, c, [][]feed.Quote{quotes}, a)
	return outcomes[0], errs[0]
}

// AcceptSymbols does it for quotes of several symbols; outcomes and errors are by symbol.
func AcceptSymbols(ctx context.Context, c redis.UniversalClient, symbols [][]feed.Quote, a AcceptArgs) ([][]Outcome, []error) {
	outcomes, errs := make([][]Outcome, len(symbols)), make([]error, len(symbols))
	rules := newRules(a.Priorities, a.Gate, a.Instruments, a.Candles)
	var of []symbolQuotes
	pointers := make([][]*feed.Quote, len(symbols))
	for i, quotes := range symbols {
		for k := range quotes {
			pointers[i] = append(pointers[i], &quotes[k])
		}
		of = append(of, symbolQuotes{newSymbolKeys(a.Keys, quotes[0].Symbol), pointers[i], lastSeen{epoch: a.KnownEpoch, seq: a.KnownSeq}})
	}
	accept := acceptance{quoteTTL: a.QuoteTTL, history: a.History, candidate: a.Candidate, run: a.Run, sharded: isCluster(c), rules: rules, now: cmp.Or(a.Clock, time.Now()), asking: a.Asking}
	names, args := accept.args(accept.header(), of)
	var keys []string
	for _, name := range names {
		keys = append(keys, name.(string))
	}
	script := publishScript
	if !a.Clock.IsZero() {
		script = clockedScript
		args = append(args, fmt.Sprintf("%d %d", a.Clock.Unix(), a.Clock.Nanosecond()/1000))
	}
	reply, err := script.Run(ctx, c, keys, args...).Result()
	var at int64
	replies := make([]any, len(symbols))
	if err == nil {
		at, replies, err = readReplies(reply, len(symbols))
	}
	for n, quotes := range pointers {
		var answers []answer
		if errs[n] = err; err == nil {
			answers, errs[n] = rules.readAnswers(quotes, at, replies[n])
		}
		for _, one := range answers {
			outcomes[n] = append(outcomes[n], one.Outcome)
			errs[n] = errors.Join(errs[n], one.err)
		}
	}
	return outcomes, errs
}

// Accept runs the publish script for one quote.
func Accept(ctx context.Context, c redis.UniversalClient, q feed.Quote, a AcceptArgs) (Outcome, error) {
	o, err := AcceptAll(ctx, c, []feed.Quote{q}, a)
	if err != nil {
		return Outcome{}, err
	}
	return o[0], nil
}

// PublishScript runs the script with raw arguments and returns the reply of each symbol.
func PublishScript(ctx context.Context, c redis.UniversalClient, keys []string, args ...any) ([]any, error) {
	reply, err := publishScript.Run(ctx, c, keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	return reply[1:], nil
}

// AbandonLead makes Run end like a killed process.
func (in *Inbox) AbandonLead() { in.abandon = true }

// Printable returns the text that is kept of rejected input.
var Printable = printable

const MaxRejectedInput = maxRejectedInput

// PublishSource returns the text of the script.
var PublishSource = publishSource

var NewRouter = newRouter

// Enter and Leave are what the doors of a cluster do with a router.
func (r *router) Enter(s feed.Symbol) int { return r.enter(context.Background(), s) }
func (r *router) Leave(s feed.Symbol)     { r.leave([]feed.Quote{{Symbol: s}}) }

// Streaks returns how many sources have a streak of refused quotes.
func (l *RejectedLog) Streaks() int {
	l.streaks.mu.Lock()
	defer l.streaks.mu.Unlock()
	return len(l.streaks.sources)
}
