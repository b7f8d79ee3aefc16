package accept

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// Outcome is the result of publishing one quote. The zero value means that it is not known.
type Outcome struct {
	Epoch     string
	Seq       uint64          // from 1; 0 if not accepted
	At        int64           // acceptance by Redis's clock, Unix microseconds
	Gap       bool            // the quote confirmed a jump of the price
	Rejection *feed.Rejection // nil if accepted

	// Repeated means that this quote of a stream was settled before, accepted or not.
	Repeated bool

	// Unreplicated means that the quote was accepted and shown, but that no replica is known to
	// have it: a failover may lose it. Only with PublisherConfig.Replicated.
	Unreplicated bool
}

// Known reports whether the quote was certainly accepted or rejected, now or before.
func (o Outcome) Known() bool { return o.Seq > 0 || o.Rejection != nil || o.Repeated }

// Errors of quotes that were certainly not accepted.
var (
	errBadReply = errors.New("the publish script returned an answer of unknown form")
	errRefused  = errors.New("the publish script had a command refused")
)

// answer is the publish script's answer for one quote.
type answer struct {
	Outcome
	err error
}

// refusal is the text of the error by which Redis refused all quotes of one symbol.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError implements redis.Error, so that redislink.Code reads the text.
func (refusal) RedisError() {}

// readReplies decodes the reply of publishScript: the time of acceptance, and one reply per symbol
// in the same order.
func readReplies(reply any, symbols int) (at int64, replies []any, err error) {
	list, _ := reply.([]any)
	if len(list) != 1+symbols {
		return 0, nil, errBadReply
	}
	at, _ = list[0].(int64)
	return at, list[1:], nil
}

// readAnswers decodes the reply for quotes of one symbol. It returns one answer per quote, in the
// same order. The error is a refusal if Redis refused them all.
func (r rules) readAnswers(quotes []*feed.Quote, at int64, reply any) ([]answer, error) {
	if text, ok := reply.(string); ok {
		return nil, refusal(text)
	}
	list, _ := reply.([]any)
	if len(list) != 1+len(quotes) {
		return nil, errBadReply
	}
	epoch, _ := list[0].(string)
	answers := make([]answer, len(quotes))
	for i, one := range list[1:] {
		a := &answers[i]
		if seq, ok := one.(int64); ok && seq != 0 && epoch != "" {
			a.Outcome = Outcome{Epoch: epoch, Seq: uint64(max(seq, -seq)), At: at, Gap: seq < 0}
		} else if a.Repeated = isRepeated(one); a.Repeated {
			continue
		} else if a.Rejection, a.err = r.readRejection(quotes[i], one); a.err == nil && a.Rejection == nil {
			a.err = errBadReply
		}
	}
	return answers, nil
}

func isRepeated(why any) bool {
	pair, _ := why.([]any)
	return len(pair) == 2 && pair[0] == "repeated"
}

// readRejection decodes why a quote was not accepted. Exactly one of its results is not nil.
func (r rules) readRejection(q *feed.Quote, why any) (*feed.Rejection, error) {
	pair, _ := why.([]any)
	if len(pair) != 2 {
		return nil, errBadReply
	}
	word, _ := pair[0].(string)
	text, _ := pair[1].(string)
	switch word {
	case "failed":
		return nil, fmt.Errorf("%w: %s", errRefused, text)
	case string(feed.ReasonOutranked):
		source, micros, _ := strings.Cut(text, " ")
		n, err := strconv.ParseInt(micros, 10, 64)
		if err != nil {
			return nil, errBadReply
		}
		ago := max(time.Duration(n)*time.Microsecond, 0).Round(time.Millisecond)
		return feed.NewRejection(feed.ReasonOutranked, "source %s is accepted only after %s has been silent for more than %v: its last quote came %v ago",
			q.SourceOrDefault(), source, silenceOf(r.priorities, source), ago), nil
	}
	switch feed.Reason(word) {
	case feed.ReasonWide:
		return feed.NewRejection(feed.ReasonWide, "the spread from %s to %s is %s of the mid; limit %s",
			q.Bid, q.Ask, feed.SpreadOf(q.Bid, q.Ask), shownLimit(r.limits(q.Symbol).Spread)), nil
	case feed.ReasonOutlier:
		return r.readOutlier(q, text)
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, errBadReply
	}
	given, limit := protocol.FormatTime(q.Time), protocol.FormatTime(time.UnixMicro(micros))
	switch word {
	case "late":
		return feed.NewRejection(feed.ReasonOld,
			"the time %s is more than %v before the newest accepted quote of this symbol, which is of %s", given, r.gate.MaxLag, limit), nil
	case string(feed.ReasonFuture):
		return feed.NewRejection(feed.ReasonFuture,
			"the time %s is in the future: it may be at most 5 s ahead of Redis's clock, which shows %s", given, limit), nil
	case string(feed.ReasonOld):
		return feed.NewRejection(feed.ReasonOld,
			"the time %s is older than the last accepted quote of this symbol and source, which is of %s", given, limit), nil
	}
	return nil, errBadReply
}

// silenceOf returns the Silence of a named source, or 0 for any other.
func silenceOf(p feed.Priorities, source string) time.Duration {
	for _, n := range p.Named {
		if n.Source == source {
			return n.Silence
		}
	}
	return 0
}
