package accept

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

// Gate refuses prices that cannot be right: with too wide a spread, or too far from the reference,
// which is the last accepted price of the symbol. The limits come from feed.Instruments; Gate holds
// all other settings of the gate. It must be the same on all nodes and for all producers, since the
// publish script decides with it and keeps its state in Redis. The zero value accepts any price.
//
// A price that has really jumped is accepted once it is confirmed. If no quote of another source
// was accepted within StaleAfter, Confirm outliers of one source confirm it: in a row, each close
// to the one before. Otherwise an agreeing outlier of a second source confirms it, unless a quote
// of a third source was accepted within StaleAfter.
type Gate struct {
	Confirm    int           // GATE_CONFIRM, at least 1; also the number of accepted quotes that make a reference firm
	MaxGap     feed.Limit    // GATE_MAX_GAP: the largest jump from a firm reference that can be confirmed; 0 = no limit
	StaleAfter time.Duration // STALE_AFTER
	MaxLag     time.Duration // FEED_MAX_LAG: how much older than the newest accepted quote a quote may be; 0 = no limit
	LastKnown  time.Duration // LAST_KNOWN_TTL: age at which the last quote and the reference are forgotten; 0 = 168 h
}

// DefaultGate is the Gate of the default settings.
var DefaultGate = Gate{Confirm: 3, MaxGap: 500_000, StaleAfter: 10 * time.Second, MaxLag: 5 * time.Second, LastKnown: lastKnown}

const lastKnown = 7 * 24 * time.Hour

// limits returns the limits of a symbol.
func (r rules) limits(s feed.Symbol) feed.Limits {
	if r.gate.Confirm == 0 {
		return feed.Limits{}
	}
	return r.instruments.Limits(s)
}

// argument returns the gate in the form that the publish script reads.
func (g Gate) argument() string {
	return fmt.Sprintf("%d %d %d %d %d", g.MaxGap, g.Confirm,
		g.StaleAfter.Microseconds(), g.MaxLag.Microseconds(), g.LastKnown.Microseconds())
}

// ForgetReference makes the gate forget the last accepted price of a symbol, so that its next quote
// is accepted whatever its price. forgotten is false if there was no reference. The error wraps
// redislink.ErrUnavailable.
func (p *Publisher) ForgetReference(ctx context.Context, s feed.Symbol) (forgotten bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	n, err := p.cfg.Redis.HDel(ctx, p.cfg.Keys.Seq(s), "ref").Result()
	return n > 0, redislink.Unavailable("forget the reference of "+string(s), err)
}

// readOutlier explains the answer of the publish script to an outlier. text holds the reference as sum and
// digits, how many outliers in a row the source had, and what would confirm them.
func (r rules) readOutlier(q *feed.Quote, text string) (*feed.Rejection, error) {
	f := strings.Fields(text)
	if len(f) != 4 {
		return nil, errBadReply
	}
	digits, err := strconv.Atoi(f[1])
	if err != nil || digits < 0 {
		return nil, errBadReply
	}
	n, err := strconv.Atoi(f[2])
	if err != nil {
		return nil, errBadReply
	}
	var taken string
	switch f[3] {
	case "more":
		taken = fmt.Sprintf("%d more agreeing quotes of this source confirm it", max(r.gate.Confirm-n, 1))
	case "second":
		taken = "an agreeing quote of another source confirms it"
	case "third":
		taken = fmt.Sprintf("it is accepted once the disagreeing sources have been silent for %v", r.gate.StaleAfter)
	case "reference":
		taken = fmt.Sprintf("so far from a firm reference (limit %s) no quote is accepted before POST /api/v1/feed/reference forgets it", shownLimit(r.gate.MaxGap))
	default:
		return nil, errBadReply
	}
	mid, ref := feed.MidOf(q.Bid, q.Ask), feed.Mid{Twice: f[0], Digits: digits}
	return feed.NewRejection(feed.ReasonOutlier, "mid %s is %s from %s; limit %s; %s",
		mid, mid.Distance(ref), ref, shownLimit(r.limits(q.Symbol).Jump), taken), nil
}

// shownLimit formats a limit for messages.
func shownLimit(l feed.Limit) string { return strings.TrimSuffix(l.String(), "%") + " %" }
