package accept

import (
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"

	"github.com/redis/go-redis/v9"
)

//go:embed publish.lua
var publishSource string

var publishScript = redis.NewScript(publishSource)

// lastSeen is the newest known sequence number of a symbol.
type lastSeen struct {
	epoch string
	seq   uint64
	at    int64 // Unix microseconds by Redis's clock
}

// Bounds of one call of the publish script. Redis serves no other client during a call, which takes
// about 10 µs plus 5 µs per quote.
const (
	maxCallQuotes  = 64
	maxCallSources = 16 // as many as the script remembers
)

// acceptance holds the arguments of the publish script other than the quotes.
type acceptance struct {
	keys      feed.Keys
	quoteTTL  time.Duration
	history   int
	candidate string // the new epoch, if one must begin
	run       string // run id of the server that will run the script
	sharded   bool   // in a cluster: messages stay on the server of the symbol's slot
	rules     rules
}

// rules decide which quotes are accepted. They must be the same on all nodes and for all producers.
type rules struct {
	priorities  feed.Priorities
	ranked      string // rankedArgument of the priorities
	gate        Gate
	instruments *feed.Instruments
}

func newRules(p feed.Priorities, g Gate, t *feed.Instruments) rules {
	if g.LastKnown <= 0 {
		g.LastKnown = lastKnown
	}
	return rules{p, rankedArgument(p), g, t}
}

// args returns the keys and arguments of publishScript for quotes of one symbol: at most
// maxCallQuotes from at most maxCallSources. The quotes must pass Check.
func (a acceptance) args(quotes []feed.Quote, seen lastSeen) (keys []string, args []any) {
	s := quotes[0].Symbol
	publish := "PUBLISH"
	if a.sharded {
		publish = "SPUBLISH"
	}
	limits := a.rules.limits(s)
	args = make([]any, 0, 11+len(quotes))
	args = append(args, a.keys.Channel(s), string(s), a.quoteTTL.Milliseconds(), a.history,
		a.candidate, a.run, seen.epoch, seen.seq, a.rules.ranked, publish, a.rules.gate.argument(limits))
	for _, q := range quotes {
		args = append(args, appendRecord(nil, q, limits))
	}
	return []string{a.keys.Quote(s), a.keys.Seq(s), a.keys.Ticks(s)}, args
}

// appendRecord appends a quote in the form that publish.lua reads.
func appendRecord(dst []byte, q feed.Quote, limits feed.Limits) []byte {
	if dst == nil {
		dst = make([]byte, 0, 128)
	}
	field := func(text string) {
		if text == "" {
			text = "-"
		}
		dst = append(append(dst, text...), ' ')
	}
	field(q.Bid)
	field(q.Ask)
	field(q.BidSize)
	field(q.AskSize)
	if q.Time.IsZero() {
		dst = append(dst, "- 0 "...)
	} else {
		dst = append(protocol.AppendTime(dst, q.Time), ' ')
		dst = append(strconv.AppendInt(dst, q.Time.UnixMicro(), 10), ' ')
	}
	field(q.SourceOrDefault())
	mid := feed.MidOf(q.Bid, q.Ask)
	field(mid.Twice)
	dst = append(strconv.AppendInt(dst, int64(mid.Digits), 10), ' ')
	if feed.Wide(q.Bid, q.Ask, limits.Spread) {
		return append(dst, '1')
	}
	return append(dst, '0')
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

// newEpoch returns 8 random characters of a-z and 2-7.
func newEpoch() string {
	var b [5]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
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
