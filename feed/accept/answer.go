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

// Outcome is what became of one quote. The zero value means that it is not known.
type Outcome struct {
	Epoch     string
	Seq       uint64          // from 1; 0 if rejected
	At        int64           // acceptance by Redis's clock, Unix microseconds
	Gap       bool            // it confirmed that the price has jumped
	Rejection *feed.Rejection // nil if accepted
}

// Known reports whether the quote was certainly accepted or rejected.
func (o Outcome) Known() bool { return o.Seq > 0 || o.Rejection != nil }

// Errors of a quote that was certainly not accepted.
var (
	errBadReply = errors.New("the publish script's answer has an unknown form")
	errRefused  = errors.New("refused by Redis in the publish script")
)

// answer is what the publish script said of one quote.
type answer struct {
	Outcome
	err error
}

// readAnswers reads the answer of publishScript for quotes; there are as many.
func (r rules) readAnswers(quotes []feed.Quote, reply any) ([]answer, error) {
	list, _ := reply.([]any)
	if len(list) != 2+len(quotes) {
		return nil, errBadReply
	}
	epoch, _ := list[0].(string)
	at, _ := list[1].(int64)
	answers := make([]answer, len(quotes))
	for i, one := range list[2:] {
		a := &answers[i]
		if seq, ok := one.(int64); ok && seq != 0 && epoch != "" {
			a.Outcome = Outcome{Epoch: epoch, Seq: uint64(max(seq, -seq)), At: at, Gap: seq < 0}
		} else if a.Rejection, a.err = r.readRejection(quotes[i], one); a.err == nil && a.Rejection == nil {
			a.err = errBadReply
		}
	}
	return answers, nil
}

// readRejection reads why a quote was not accepted.
func (r rules) readRejection(q feed.Quote, why any) (*feed.Rejection, error) {
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
		return feed.NewRejection(feed.ReasonOutranked, "source %s is taken only while %s has been silent for more than %v: it was heard %v ago",
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
			"the time %s is more than %v before that of the newest accepted quote of this symbol, %s", given, r.gate.MaxLag, limit), nil
	case string(feed.ReasonFuture):
		return feed.NewRejection(feed.ReasonFuture,
			"the time %s is in the future: at most 5 s ahead of Redis's clock, which is %s", given, limit), nil
	case string(feed.ReasonOld):
		return feed.NewRejection(feed.ReasonOld,
			"the time %s is older than that of the last accepted quote of this symbol and source, %s", given, limit), nil
	}
	return nil, errBadReply
}

// silenceOf returns the limit of a named source, else 0.
func silenceOf(p feed.Priorities, source string) time.Duration {
	for _, n := range p.Named {
		if n.Source == source {
			return n.Silence
		}
	}
	return 0
}
