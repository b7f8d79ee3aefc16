package receive

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/protocol"

	"github.com/redis/go-redis/v9"
)

// Candles reads the candles that the accept script keeps of each symbol. Candles of an interval that
// is not kept are folded from a shorter one. It is safe for concurrent use; its methods block for one
// round trip to Redis, rarely for two.
type Candles struct {
	redis       redis.UniversalClient
	keys        feed.Keys
	instruments *feed.Instruments
	kept        feed.KeptCandles
}

// NewCandles returns a Candles that reads through client what the script keeps.
func NewCandles(client redis.UniversalClient, keys feed.Keys, t *feed.Instruments, kept feed.KeptCandles) *Candles {
	return &Candles{client, keys, t, kept}
}

// Newest returns the last candles of a symbol that begin before a time, at most limit, oldest first.
// A zero time sets no bound. The running candle comes last; it is open until its interval has ended
// by Redis's clock. There are none if no candles are kept. The error wraps redislink.ErrUnavailable.
func (c *Candles) Newest(ctx context.Context, s feed.Symbol, i feed.Interval, limit int, before time.Time) ([]feed.Candle, error) {
	q := candleQuery{symbol: s, interval: i, limit: limit, before: before}
	a := c.read(ctx, []candleQuery{q})[0]
	if a.err == nil && !a.enough {
		q.whole = true
		a = c.read(ctx, []candleQuery{q})[0]
	}
	return a.candles, a.err
}

// Days returns the figures of the newest trading day of each symbol, with the close of the trading
// day before. Symbols that had no tick are absent. The error wraps redislink.ErrUnavailable.
func (c *Candles) Days(ctx context.Context, symbols []feed.Symbol) (map[feed.Symbol]protocol.Day, error) {
	queries := make([]candleQuery, len(symbols))
	for i, s := range symbols {
		queries[i] = dayQuery(s)
	}
	days := make(map[feed.Symbol]protocol.Day, len(symbols))
	for i, a := range c.read(ctx, queries) {
		if a.err != nil {
			return nil, a.err
		}
		if n := len(a.candles); n > 0 {
			days[symbols[i]] = feed.DayOf(a.candles[n-1], a.previousClose)
		}
	}
	return days, nil
}

// candleQuery asks for candles of one symbol and interval.
type candleQuery struct {
	symbol   feed.Symbol
	interval feed.Interval
	limit    int
	before   time.Time
	day      bool // the interval is Day, for the figures of the day, which exist even if Day is not kept
	whole    bool // read the whole list
}

// dayQuery asks for the newest day, and for the one before it if the script does not know its close.
func dayQuery(s feed.Symbol) candleQuery {
	return candleQuery{symbol: s, interval: feed.Day, limit: 2, day: true}
}

type candleAnswer struct {
	candles       []feed.Candle
	previousClose string    // of the bid, before the last candle; "" = not known
	minute        time.Time // when the minute of the last tick began; zero if there is no running candle
	now           time.Time // by Redis's clock
	enough        bool      // all candles that were asked for were looked at
	err           error
}

// candleScript reads all of a symbol at one moment of the server that owns it, with its clock. KEYS
// are the counter and a list of closed candles, ARGV is the index of the first element.
const candleScript = `local now = redis.call('TIME')
return {now[1] * 1000000 + now[2], redis.call('HMGET', KEYS[1], 'epoch', 'seq', '1m', ARGV[2]), redis.call('LRANGE', KEYS[2], ARGV[1], -1)}`

// read answers queries, with one pipeline for each maxBatch of them.
func (c *Candles) read(ctx context.Context, queries []candleQuery) []candleAnswer {
	answers := make([]candleAnswer, 0, len(queries))
	for batch := range slices.Chunk(queries, maxBatch) {
		pipe := c.redis.Pipeline()
		reads := make([]candleRead, len(batch))
		for i, q := range batch {
			reads[i] = c.plan(q)
			if !reads[i].none {
				reads[i].reply = pipe.Eval(ctx, candleScript,
					[]string{c.keys.Seq(q.symbol), c.keys.Candles(q.symbol, reads[i].source.Interval)},
					-reads[i].elements, reads[i].source.Interval.String())
			}
		}
		if pipe.Len() > 0 {
			_ = redislink.Exec(ctx, pipe) // each command has its own error
		}
		for _, r := range reads {
			answers = append(answers, r.answer())
		}
	}
	return answers
}

// candleRead is one query on its way.
type candleRead struct {
	candleQuery
	none     bool // nothing is kept
	source   feed.Kept
	hours    *feed.Hours
	elements int // of the list to read; 0 = all
	reply    *redis.Cmd
}

// plan decides how many elements of which list to read: those of the candles asked for, of one more
// since the first may be cut, and of what began after before, by this machine's clock.
func (c *Candles) plan(q candleQuery) candleRead {
	r := candleRead{candleQuery: q, hours: c.instruments.Hours(q.symbol)}
	source, ok := c.kept.Source(q.interval, r.hours)
	if q.day {
		source.Interval = feed.Day
	}
	r.source, r.none = source, !ok || q.limit < 1
	if r.none || q.whole {
		return r
	}
	r.elements = r.parts() * (q.limit + 1)
	if !q.before.IsZero() {
		r.elements += int(max(time.Since(q.before), 0)/source.Interval.Length()) + r.parts()
	}
	if most := r.most(); r.elements > most {
		r.elements = 0
	}
	return r
}

// parts returns how many candles of the source one of the interval may have.
func (r *candleRead) parts() int {
	if r.interval == r.source.Interval {
		return 1
	}
	longest := r.interval.Length()
	if r.interval == feed.Day {
		longest += time.Hour
	}
	return int(longest / r.source.Interval.Length())
}

// most returns how many elements the list may have.
func (r *candleRead) most() int { return int(r.source.For / r.source.Interval.Length()) }

func (r *candleRead) answer() candleAnswer {
	if r.none {
		return candleAnswer{enough: true}
	}
	reply, err := r.reply.Slice()
	if err != nil {
		return candleAnswer{err: redislink.Unavailable("candles of "+string(r.symbol), err)}
	}
	at, fields, elements, ok := cutReply(reply)
	if !ok {
		return candleAnswer{err: redislink.Unavailable("candles of "+string(r.symbol), errCandleReply)}
	}
	a := candleAnswer{now: time.UnixMicro(at).UTC()}
	candles := r.closed(elements)
	if minute, ok := r.minute(fields, a.now); ok {
		running, previous := r.running(minute, fields)
		if n := len(candles); n == 0 || candles[n-1].Start.Before(running.Start) {
			candles, a.previousClose, a.minute = append(candles, running), previous, minute.Start
		}
	}
	beginning := r.elements == 0 || len(elements) < r.elements
	cut := r.cutBegin(candles, beginning, len(elements))
	a.candles = feed.FoldCandles(candles, r.interval, r.hours, a.now)
	if cut && len(a.candles) > 0 {
		a.candles = a.candles[1:]
	}
	if !r.before.IsZero() {
		end, _ := slices.BinarySearchFunc(a.candles, r.before, func(c feed.Candle, t time.Time) int { return c.Start.Compare(t) })
		a.candles = a.candles[:end]
	}
	a.enough = beginning || len(a.candles) >= r.limit
	a.candles = a.candles[max(len(a.candles)-r.limit, 0):]
	if n := len(a.candles); r.day && a.previousClose == "" && n > 1 {
		a.previousClose = a.candles[n-2].Bid.Close
	}
	return a
}

var errCandleReply = errors.New("the answer has an unknown form")

// cutReply cuts the reply of candleScript.
func cutReply(reply []any) (at int64, fields, elements []any, ok bool) {
	if len(reply) != 3 {
		return 0, nil, nil, false
	}
	at, ok = reply[0].(int64)
	fields, ok2 := reply[1].([]any)
	elements, ok3 := reply[2].([]any)
	return at, fields, elements, ok && ok2 && ok3 && len(fields) == 4
}

// closed decodes the elements that may be asked for. Other elements are left out.
func (r *candleRead) closed(elements []any) []feed.Candle {
	candles := make([]feed.Candle, 0, len(elements)+1)
	bound := time.Time{}
	if !r.before.IsZero() {
		_, bound = r.interval.Around(r.hours, r.before)
	}
	for _, e := range elements {
		text, _ := e.(string)
		if !bound.IsZero() {
			if start, err := feed.StartOfStored(text); err != nil || !start.Before(bound) {
				continue
			}
		}
		if c, err := feed.DecodeCandle(text); err == nil {
			candles = append(candles, c)
		}
	}
	return candles
}

// minute returns the minute of the newest tick, by the fields of the counter. It is forgotten as
// closed candles are.
func (r *candleRead) minute(fields []any, now time.Time) (c feed.Candle, ok bool) {
	text := func(i int) string { s, _ := fields[i].(string); return s }
	c, err := feed.ParseMinute(text(2))
	if err != nil || !r.day && c.Start.Add(r.source.For).Before(now) {
		return feed.Candle{}, false
	}
	if c.Last.Epoch != text(0) || strconv.FormatUint(c.Last.Seq, 10) != text(1) {
		c.Complete = false // ticks were accepted by a program that keeps no candles
	}
	return c, true
}

// running returns the running candle of the source, and the bid at the end of the one before.
func (r *candleRead) running(minute feed.Candle, fields []any) (c feed.Candle, previous string) {
	if r.source.Interval == feed.Minute {
		return minute, ""
	}
	text, _ := fields[3].(string)
	part, err := feed.ParsePart(text)
	if err != nil || minute.Start.Before(part.Candle.Start) || !minute.Start.Before(part.End) {
		minute.Start, _ = r.source.Interval.Around(r.hours, minute.Start) // of an interval that was not kept before
		minute.Complete = false
		return minute, ""
	}
	return part.With(minute), part.PreviousClose
}

// cutBegin reports whether the first candle of the interval lacks parts that are not kept any more,
// or were not read.
func (r *candleRead) cutBegin(candles []feed.Candle, beginning bool, elements int) bool {
	if len(candles) == 0 || r.interval == r.source.Interval {
		return false
	}
	first := candles[0]
	if start, _ := r.interval.Around(r.hours, first.Start); start.Equal(first.Start) {
		return false
	}
	return !beginning || elements >= r.most() || r.source.For < r.interval.Length()
}
