package accept

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

// A Standing is what the publish script knows of a symbol when it judges the next quote.
type Standing struct {
	Epoch     string
	Seq       uint64     // number of the last accepted quote of the epoch
	Reference *Reference // nil: there is none, so any price is accepted
	Sources   []SourceStanding
}

// A Reference is the price that the gate compares quotes with.
type Reference struct {
	Mid    string
	Quotes int  // accepted since there was no reference, counted up to 1000
	Firm   bool // so many that no jump beyond GATE_MAX_GAP is confirmed
	At     time.Time
}

// A SourceStanding is what is known of a source of a symbol: one that had a quote accepted, or
// refused as an outlier, or that FEED_SOURCES names. A time that is not known is zero.
type SourceStanding struct {
	Source     string
	Accepted   time.Time // when its last quote was accepted
	Heard      time.Time // when any quote of it came, of a source that FEED_SOURCES names
	Outliers   int       // refused in a row
	OutlierMid string    // of the last of them; "" without
	OutlierAt  time.Time
}

const standingBatch = 128 // symbols of one round trip

// Standings reads the standing of symbols; one that has no counter is absent. Sources are sorted by
// name. The error wraps redislink.ErrUnavailable.
func (p *Publisher) Standings(ctx context.Context, symbols []feed.Symbol) (map[feed.Symbol]Standing, error) {
	standings := make(map[feed.Symbol]Standing, len(symbols))
	for batch := range slices.Chunk(symbols, standingBatch) {
		if err := p.readStandings(ctx, batch, standings); err != nil {
			return nil, err
		}
	}
	return standings, nil
}

func (p *Publisher) readStandings(ctx context.Context, batch []feed.Symbol, into map[feed.Symbol]Standing) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	pipe := p.cfg.Redis.Pipeline()
	counters := make([]*redis.MapStringStringCmd, len(batch))
	for i, s := range batch {
		counters[i] = pipe.HGetAll(ctx, p.cfg.Keys.Seq(s))
	}
	_ = redislink.Exec(ctx, pipe) // each command has its own error
	for i, s := range batch {
		fields, err := counters[i].Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return redislink.Unavailable("read the standing of "+string(s), err)
		}
		if len(fields) > 0 {
			into[s] = p.standing(fields)
		}
	}
	return nil
}

// standing reads the fields of a counter, which the publish script describes.
func (p *Publisher) standing(fields map[string]string) Standing {
	out := Standing{Epoch: fields["epoch"]}
	out.Seq, _ = strconv.ParseUint(fields["seq"], 10, 64)
	if f := strings.Fields(fields["ref"]); len(f) == 5 {
		ref := Reference{Mid: midOf(f[0], f[1]), At: microTime(f[3])}
		ref.Quotes, _ = strconv.Atoi(f[2])
		ref.Firm = p.cfg.Gate.Confirm > 0 && ref.Quotes >= p.cfg.Gate.Confirm
		if time.Since(ref.At) <= cmp.Or(p.cfg.Gate.LastKnown, lastKnown) {
			out.Reference = &ref
		}
	}
	sources := make(map[string]*SourceStanding)
	for field, text := range fields {
		kind, name, ok := strings.Cut(field, ":")
		f := strings.Fields(text)
		if !ok || len(f) == 0 {
			continue
		}
		if sources[name] == nil {
			sources[name] = &SourceStanding{Source: name}
		}
		one := sources[name]
		switch {
		case kind == "s":
			one.Accepted = microTime(f[len(f)-1])
		case kind == "h":
			one.Heard = microTime(f[0])
		case kind == "o" && len(f) == 4:
			one.Outliers, _ = strconv.Atoi(f[0])
			one.OutlierMid, one.OutlierAt = midOf(f[1], f[2]), microTime(f[3])
		}
	}
	for _, one := range sources {
		out.Sources = append(out.Sources, *one)
	}
	slices.SortFunc(out.Sources, func(a, b SourceStanding) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// midOf returns the middle of a price from the sum of bid and ask in units of the last digit.
func midOf(sum, digits string) string {
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > 64 {
		return ""
	}
	return feed.Mid{Twice: strings.TrimPrefix(sum, "-"), Digits: n}.String()
}

// microTime returns the time of Unix microseconds; zero if there is none.
func microTime(text string) time.Time {
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil || micros <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
