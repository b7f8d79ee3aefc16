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

// Gate refuses prices that cannot be right: with a spread that is too wide, or too
// far from the last accepted price of the symbol, the reference. The limits are those
// of feed.Instruments; what else decides is here. All of it must be the same on all
// nodes and for all producers, since the accept script judges and remembers. The zero
// value takes any price.
//
// A price that has really jumped is taken once it is confirmed: by Confirm outliers
// of one source in a row that agree, if no other source had a quote accepted within
// StaleAfter; else by one of a second source, unless a third had one accepted.
type Gate struct {
	Confirm    int           // GATE_CONFIRM, at least 1; also how many quotes make a reference firm
	MaxGap     feed.Limit    // GATE_MAX_GAP: beyond it nothing confirms itself against a firm reference; 0 = no limit
	StaleAfter time.Duration // STALE_AFTER
	MaxLag     time.Duration // FEED_MAX_LAG: how much older than the newest accepted quote one may be; 0 = no limit
	LastKnown  time.Duration // LAST_KNOWN_TTL: after so long the last quote is forgotten, and the reference with it; 0 = 168 h
}

// DefaultGate has the defaults of the settings.
var DefaultGate = Gate{Confirm: 3, MaxGap: 500_000, StaleAfter: 10 * time.Second, MaxLag: 5 * time.Second, LastKnown: lastKnown}

const lastKnown = 7 * 24 * time.Hour

// limits returns the limits for a symbol.
func (r rules) limits(s feed.Symbol) feed.Limits {
	if r.gate.Confirm == 0 {
		return feed.Limits{}
	}
	return r.instruments.Limits(s)
}

// argument is the form of the gate that publish.lua reads.
func (g Gate) argument(limits feed.Limits) string {
	return fmt.Sprintf("%d %d %d %d %d %d", limits.Jump, g.MaxGap, g.Confirm,
		g.StaleAfter.Microseconds(), g.MaxLag.Microseconds(), g.LastKnown.Microseconds())
}

// ForgetReference forgets the last accepted price of a symbol for the gate, so that
// its next quote is taken whatever its price; forgotten is false if there was none.
// The error wraps ErrUnavailable.
func (p *Publisher) ForgetReference(ctx context.Context, s feed.Symbol) (forgotten bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	n, err := p.cfg.Redis.HDel(ctx, p.cfg.Keys.Seq(s), "ref").Result()
	return n > 0, redislink.Unavailable("forget the reference of "+string(s), err)
}

// readOutlier explains the answer of publish.lua to an outlier: the reference as
// sum and digits, how many outliers the source had in a row, what is missing.
func (r rules) readOutlier(q feed.Quote, text string) (*feed.Rejection, error) {
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
		taken = fmt.Sprintf("%d more of this source that agree would be taken", max(r.gate.Confirm-n, 1))
	case "second":
		taken = "one of another source that agrees would be taken"
	case "third":
		taken = fmt.Sprintf("it is taken when the sources that disagree have been silent for %v", r.gate.StaleAfter)
	case "reference":
		taken = fmt.Sprintf("so far from a firm reference (limit %s) nothing is taken before POST /api/v1/feed/reference forgets it", shownLimit(r.gate.MaxGap))
	default:
		return nil, errBadReply
	}
	mid, ref := feed.MidOf(q.Bid, q.Ask), feed.Mid{Twice: f[0], Digits: digits}
	return feed.NewRejection(feed.ReasonOutlier, "mid %s is %s from %s; limit %s; %s",
		mid, mid.Distance(ref), ref, shownLimit(r.limits(q.Symbol).Jump), taken), nil
}

// shownLimit is a limit as messages show it.
func shownLimit(l feed.Limit) string { return strings.TrimSuffix(l.String(), "%") + " %" }
