package accept

import (
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"

	"github.com/redis/go-redis/v9"
)

//go:embed publish.lua
var publishSource string

var publishScript = redis.NewScript(publishSource)

// lastSeen is the newest sequence number known of a symbol.
type lastSeen struct {
	epoch string
	seq   uint64
	at    int64 // Unix microseconds by Redis's clock
}

// Bounds of one call of the publish script. A call costs Redis some 10 µs and
// each of its quotes 5; nobody else is served meanwhile.
const (
	maxCallQuotes  = 64
	maxCallSources = 16 // as many as the script remembers
)

// acceptance is what the arguments of the publish script need beside the quotes.
type acceptance struct {
	keys      feed.Keys
	quoteTTL  time.Duration
	history   int
	candidate string // epoch that begins where one must
	run       string // run id of the server the script will run on
	ranked    string // rankedArgument
	sharded   bool   // in a cluster: messages stay with the server of the symbol
}

// args returns the keys and arguments of publishScript for quotes of one
// symbol, at most maxCallQuotes from at most maxCallSources. They must pass Check.
func (a acceptance) args(quotes []feed.Quote, seen lastSeen) (keys []string, args []any) {
	s := quotes[0].Symbol
	publish := "PUBLISH"
	if a.sharded {
		publish = "SPUBLISH"
	}
	args = make([]any, 0, 10+5*len(quotes))
	args = append(args, a.keys.Channel(s), string(s), a.quoteTTL.Milliseconds(), a.history,
		a.candidate, a.run, seen.epoch, seen.seq, a.ranked, publish)
	for _, q := range quotes {
		text, micros := "", int64(0)
		if !q.Time.IsZero() {
			text, micros = string(feed.AppendTime(nil, q.Time)), q.Time.UnixMicro()
		}
		args = append(args, q.Bid, q.Ask, text, micros, q.SourceOrDefault())
	}
	return []string{a.keys.Quote(s), a.keys.Seq(s), a.keys.Ticks(s)}, args
}

// rankedArgument is the form of Priorities that the publish script reads; "" if all
// sources are equal.
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

// Outcome is what became of one quote. The zero value means that it is not known.
type Outcome struct {
	Epoch     string
	Seq       uint64          // from 1; 0 if rejected
	At        int64           // acceptance by Redis's clock, Unix microseconds
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
func readAnswers(quotes []feed.Quote, ranked feed.Priorities, reply any) ([]answer, error) {
	list, _ := reply.([]any)
	if len(list) != 2+len(quotes) {
		return nil, errBadReply
	}
	epoch, _ := list[0].(string)
	at, _ := list[1].(int64)
	answers := make([]answer, len(quotes))
	for i, one := range list[2:] {
		a := &answers[i]
		if seq, ok := one.(int64); ok && seq > 0 && epoch != "" {
			a.Outcome = Outcome{Epoch: epoch, Seq: uint64(seq), At: at}
		} else if a.Rejection, a.err = readRejection(quotes[i], ranked, one); a.err == nil && a.Rejection == nil {
			a.err = errBadReply
		}
	}
	return answers, nil
}

// readRejection reads why a quote was not accepted.
func readRejection(q feed.Quote, ranked feed.Priorities, why any) (*feed.Rejection, error) {
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
			q.SourceOrDefault(), source, silenceOf(ranked, source), ago), nil
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, errBadReply
	}
	given, limit := string(feed.AppendTime(nil, q.Time)), string(feed.AppendTime(nil, time.UnixMicro(micros)))
	switch feed.Reason(word) {
	case feed.ReasonFuture:
		return feed.NewRejection(feed.ReasonFuture,
			"the time %s is in the future: at most 5 s ahead of Redis's clock, which is %s", given, limit), nil
	case feed.ReasonOld:
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

// newEpoch returns 8 random characters of a-z and 2-7.
func newEpoch() string {
	var b [5]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// runIDOf finds the run id in the text of INFO server. A server that tells none
// gets a constant: then only lost keys and a counter seen to go back begin a new epoch.
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
