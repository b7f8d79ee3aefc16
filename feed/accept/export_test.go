package accept

import (
	"context"
	"errors"
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
}

func isCluster(c redis.UniversalClient) bool {
	_, ok := c.(*redis.ClusterClient)
	return ok
}

// AcceptAll runs the publish script once, without a Publisher, for quotes of one symbol.
func AcceptAll(ctx context.Context, c redis.UniversalClient, quotes []feed.Quote, a AcceptArgs) ([]Outcome, error) {
	rules := newRules(a.Priorities, a.Gate, a.Instruments)
	keys, args := acceptance{a.Keys, a.QuoteTTL, a.History, a.Candidate, a.Run, isCluster(c), rules}.
		args(quotes, lastSeen{epoch: a.KnownEpoch, seq: a.KnownSeq})
	reply, err := publishScript.Run(ctx, c, keys, args...).Result()
	if err != nil {
		return nil, err
	}
	answers, err := rules.readAnswers(quotes, reply)
	outcomes := make([]Outcome, len(answers))
	for i, one := range answers {
		outcomes[i] = one.Outcome
		err = errors.Join(err, one.err)
	}
	return outcomes, err
}

// Accept runs the publish script for one quote.
func Accept(ctx context.Context, c redis.UniversalClient, q feed.Quote, a AcceptArgs) (Outcome, error) {
	o, err := AcceptAll(ctx, c, []feed.Quote{q}, a)
	if err != nil {
		return Outcome{}, err
	}
	return o[0], nil
}

// PublishScript runs the script with raw arguments.
func PublishScript(ctx context.Context, c redis.UniversalClient, keys []string, args ...any) (any, error) {
	return publishScript.Run(ctx, c, keys, args...).Result()
}

// AbandonLease makes Run end like a killed process.
func (in *Inbox) AbandonLease() { in.abandon = true }

// Printable returns the text that is kept of rejected input.
var Printable = printable

const MaxRejectedInput = maxRejectedInput

// PublishSource returns the text of the script.
var PublishSource = publishSource

var NewEpoch = newEpoch

// Streaks returns how many sources have a streak of refused quotes.
func (l *RejectedLog) Streaks() int {
	l.streaks.mu.Lock()
	defer l.streaks.mu.Unlock()
	return len(l.streaks.sources)
}
