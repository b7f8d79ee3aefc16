package accept

import (
	"cmp"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"

	"github.com/redis/go-redis/v9"
)

//go:embed publish/*.lua
var publishFiles embed.FS

// publishSource is the publish script: one chunk, whose files share their locals.
var publishSource = joinScript("arguments", "gate", "candle", "judge", "write")

var publishScript = redis.NewScript(publishSource)

// joinScript returns the text of files of the publish script, one after the other.
func joinScript(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		text, err := publishFiles.ReadFile("publish/" + name + ".lua")
		if err != nil { // go:embed has them all
			panic(err)
		}
		b.Write(text)
	}
	return b.String()
}

// lastSeen is the newest known sequence number of a symbol.
type lastSeen struct {
	epoch string
	seq   uint64
	at    int64 // Unix microseconds by Redis's clock
}

// Bounds of one call of the publish script. Redis serves no other client during a call, which takes
// about 10 µs for each symbol plus 4 µs for each quote.
const (
	maxCallQuotes  = 64
	maxCallSources = 16 // of one symbol, as many as the script remembers
)

// acceptance holds the arguments of the publish script other than the quotes.
type acceptance struct {
	quoteTTL  time.Duration
	history   int
	candidate string // the new epoch, if one must begin
	run       string // run id of the server that will run the script
	sharded   bool   // in a cluster: messages stay on the server of the symbol's slot
	asking    bool   // the slot of the symbol is on its way to the server
	rules     rules
	now       time.Time
}

// rules decide which quotes are accepted. They must be the same on all nodes and for all producers.
type rules struct {
	priorities  feed.Priorities
	ranked      string // rankedArgument of the priorities
	gate        Gate
	gateText    string // argument of the gate
	instruments *feed.Instruments
	candles     *candles
}

func newRules(p feed.Priorities, g Gate, t *feed.Instruments, kept feed.KeptCandles) rules {
	if g.LastKnown <= 0 {
		g.LastKnown = lastKnown
	}
	return rules{p, rankedArgument(p), g, g.argument(), t, newCandles(kept, t)}
}

// symbolKeys holds the keys of a symbol that a call declares, as arguments of a command: they would
// otherwise be allocated at each call.
type symbolKeys struct{ quote, seq, ticks any } // string

func newSymbolKeys(k feed.Keys, s feed.Symbol) *symbolKeys {
	return &symbolKeys{k.Quote(s), k.Seq(s), k.Ticks(s)}
}

// symbolQuotes holds quotes of one symbol in order, from at most maxCallSources, and the newest
// number known of the symbol.
type symbolQuotes struct {
	keys   *symbolKeys
	quotes []*feed.Quote
	seen   lastSeen
}

// header returns the arguments of publishScript that do not depend on the symbols.
func (a acceptance) header() []any {
	publish := "PUBLISH"
	if a.sharded {
		publish = "SPUBLISH"
	}
	return []any{a.quoteTTL.Milliseconds(), a.history, a.candidate, a.run, a.rules.ranked, publish, a.rules.gateText, a.rules.candles.keptArgument()}
}

// args returns the keys and arguments of publishScript. The symbols have at most maxCallQuotes
// together, and each quote must pass Check. With asking there is one symbol.
func (a acceptance) args(header []any, symbols []symbolQuotes) (keys, args []any) {
	n := len(symbols)
	for _, one := range symbols {
		n += len(one.quotes)
	}
	keys, text := make([]any, 0, 3*len(symbols)), make([]byte, 0, 128*n)
	for _, one := range symbols {
		limits := a.rules.limits(one.quotes[0].Symbol)
		keys = append(keys, one.keys.quote, one.keys.seq, one.keys.ticks)
		text = append(appendSymbol(text, limits.Jump, one), '\n')
		for _, q := range one.quotes {
			text = append(appendQuote(text, q, limits), '\n')
		}
	}
	if a.asking {
		keys = keys[1:2] // a server that lacks one of several keys refuses them all
	}
	return keys, append(header[:len(header):len(header)], a.rules.candles.days(symbols, a.now), text)
}

// appendSymbol appends a symbol in the form that the publish script reads.
func appendSymbol(dst []byte, jump feed.Limit, one symbolQuotes) []byte {
	dst = append(append(dst, one.quotes[0].Symbol...), ' ')
	dst = append(strconv.AppendInt(dst, int64(jump), 10), ' ')
	dst = append(append(dst, cmp.Or(one.seen.epoch, "-")...), ' ')
	dst = append(strconv.AppendUint(dst, one.seen.seq, 10), ' ')
	return strconv.AppendInt(dst, int64(len(one.quotes)), 10)
}

// appendQuote appends a quote in the form that the publish script reads.
func appendQuote(dst []byte, q *feed.Quote, limits feed.Limits) []byte {
	dst = append(append(dst, q.Bid...), ' ')
	dst = append(append(dst, q.Ask...), ' ')
	if q.Entry != "" {
		dst = append(append(append(dst, ':'), q.Entry...), ':')
	}
	n := len(dst)
	if dst = (protocol.Quote{BidSize: q.BidSize, AskSize: q.AskSize}).AppendOptional(dst); len(dst) == n {
		dst = append(dst, '-')
	}
	if q.Time.IsZero() {
		dst = append(dst, " 0-0-0T0:0:0.0Z 0 "...)
	} else {
		dst = append(protocol.AppendTime(append(dst, ' '), q.Time), ' ')
		dst = append(strconv.AppendInt(dst, q.Time.UnixMicro(), 10), ' ')
	}
	dst = append(append(dst, q.SourceOrDefault()...), ' ')
	if feed.Wide(q.Bid, q.Ask, limits.Spread) {
		dst = append(dst, '-')
	}
	mid := feed.MidOf(q.Bid, q.Ask)
	dst = append(append(dst, mid.Twice...), ' ')
	return strconv.AppendInt(dst, int64(mid.Digits), 10)
}

// rankedArgument returns Priorities in the form that the publish script reads; "" if all sources
// are equal.
func rankedArgument(p feed.Priorities) string {
	var b strings.Builder
	for i, n := range p.Named {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s %d", n.Source, n.Silence.Milliseconds())
	}
	return b.String()
}

// runIDOf returns the run id in the text of INFO server, or unknownRun if there is none. Then only
// lost keys and a counter seen to go back begin a new epoch.
func runIDOf(info string) string {
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok {
			if id = strings.TrimSpace(id); id != "" && len(id) <= 64 {
				return id
			}
		}
	}
	return unknownRun
}

const unknownRun = "unknown"
