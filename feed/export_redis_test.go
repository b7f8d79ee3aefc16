package feed

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// AcceptArgs are all arguments of the publish script.
type AcceptArgs struct {
	Keys       Keys
	QuoteTTL   time.Duration
	History    int
	Candidate  string
	Run        string
	KnownEpoch string
	KnownSeq   uint64
	Priorities Priorities
}

// AcceptAll runs the publish script once, by itself, for quotes of one symbol.
func AcceptAll(ctx context.Context, c redis.UniversalClient, quotes []Quote, a AcceptArgs) ([]Outcome, error) {
	keys, args := acceptance{a.Keys, a.QuoteTTL, a.History, a.Candidate, a.Run, a.Priorities.argument(), sharded(c)}.
		args(quotes, lastSeen{epoch: a.KnownEpoch, seq: a.KnownSeq})
	reply, err := publishScript.Run(ctx, c, keys, args...).Result()
	if err != nil {
		return nil, err
	}
	answers, err := readAnswers(quotes, a.Priorities, reply)
	outcomes := make([]Outcome, len(answers))
	for i, one := range answers {
		outcomes[i] = one.Outcome
		err = errors.Join(err, one.err)
	}
	return outcomes, err
}

// Accept does it for one quote.
func Accept(ctx context.Context, c redis.UniversalClient, q Quote, a AcceptArgs) (Outcome, error) {
	o, err := AcceptAll(ctx, c, []Quote{q}, a)
	if err != nil {
		return Outcome{}, err
	}
	return o[0], nil
}

// PublishScript is the script with its raw arguments.
func PublishScript(ctx context.Context, c redis.UniversalClient, keys []string, args ...any) (any, error) {
	return publishScript.Run(ctx, c, keys, args...).Result()
}

// AbandonLease makes Run end as if the process had been killed.
func (in *Inbox) AbandonLease() { in.abandon = true }

// Open, Merge, Leave and Heal are what the Receiver does with a Board.
func (b *Board) Open(s Symbol)  { b.open(s) }
func (b *Board) Leave(s Symbol) { b.leave(s) }
func (b *Board) Heal()          { b.heal(true) }

// Merge takes a last value; the zero one means that there is none.
func (b *Board) Merge(s Symbol, life time.Duration, q Accepted) {
	if q.Seq == 0 {
		b.merge(s, nil)
		return
	}
	b.merge(s, &storedQuote{q, life})
}

// Gaps are the symbols with a gap and the numbers before it.
func (b *Board) Gaps() map[Symbol]uint64 {
	gaps := map[Symbol]uint64{}
	for _, g := range b.openGaps() {
		gaps[g.symbol] = g.seq
	}
	return gaps
}

// Refill closes the open gap of s.
func (b *Board) Refill(s Symbol, ticks []Accepted, complete, giveUp bool) {
	for _, g := range b.openGaps() {
		if g.symbol == s {
			b.refill(g.position, historyAnswer{ticks: ticks, complete: complete}, giveUp)
		}
	}
}

// Position is the last number handed on.
func (b *Board) Position(s Symbol) (epoch string, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[s].last.Epoch, b.entries[s].last.Seq
}

// Held is how many quotes wait for missing ones.
func (b *Board) Held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

const (
	MaxHeld      = maxHeld
	MaxHeldTotal = maxHeldTotal
)

// Receive handles one message of a quote channel.
func (r *Receiver) Receive(channel, payload string) { r.receiveQuote(channel, payload) }

// Printable is what is kept of rejected input.
var Printable = printable

const MaxRejectedInput = maxRejectedInput

// PublishSource is the text of the script.
var PublishSource = publishSource

var NewEpoch = newEpoch
