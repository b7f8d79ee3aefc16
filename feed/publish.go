package feed

import (
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"errors"
	"strconv"
	"strings"
	"time"

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

// acceptance is what the arguments of the publish script need beside the quote.
type acceptance struct {
	keys      Keys
	quoteTTL  time.Duration
	history   int
	candidate string // epoch that begins where one must
	run       string // run id of the server the script will run on
}

// args returns the keys and arguments of publishScript. q must pass Check.
func (a acceptance) args(q Quote, seen lastSeen) (keys []string, args []any) {
	text, micros := "", int64(0)
	if !q.Time.IsZero() {
		text, micros = string(AppendTime(nil, q.Time)), q.Time.UnixMicro()
	}
	source := q.Source
	if source == "" {
		source = DefaultSource
	}
	return []string{a.keys.Quote(q.Symbol), a.keys.Seq(q.Symbol), a.keys.Ticks(q.Symbol)}, []any{
		a.keys.Channel(q.Symbol), string(q.Symbol), q.Bid, q.Ask, text, micros, source,
		a.quoteTTL.Milliseconds(), a.history, a.candidate, a.run, seen.epoch, seen.seq,
	}
}

// Outcome is what became of one quote. The zero value means that it is not known.
type Outcome struct {
	Epoch     string
	Seq       uint64     // from 1; 0 if rejected
	At        int64      // acceptance by Redis's clock, Unix microseconds
	Rejection *Rejection // nil if accepted
}

// Known reports whether the quote was certainly accepted or rejected.
func (o Outcome) Known() bool { return o.Seq > 0 || o.Rejection != nil }

var errBadReply = errors.New("the publish script's answer has an unknown form")

// readOutcome reads the answer of publishScript for q.
func readOutcome(q Quote, reply any) (Outcome, error) {
	list, _ := reply.([]any)
	if len(list) == 3 && list[0] == int64(0) {
		reason, _ := list[1].(string)
		text, _ := list[2].(string)
		micros, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Outcome{}, errBadReply
		}
		given, limit := string(AppendTime(nil, q.Time)), string(AppendTime(nil, time.UnixMicro(micros)))
		switch Reason(reason) {
		case ReasonFuture:
			return Outcome{Rejection: reject(ReasonFuture,
				"the time %s is in the future: at most 5 s ahead of Redis's clock, which is %s", given, limit)}, nil
		case ReasonOld:
			return Outcome{Rejection: reject(ReasonOld,
				"the time %s is older than that of the last accepted quote of this symbol and source, %s", given, limit)}, nil
		}
		return Outcome{}, errBadReply
	}
	if len(list) != 4 || list[0] != int64(1) {
		return Outcome{}, errBadReply
	}
	epoch, _ := list[1].(string)
	seq, _ := list[2].(int64)
	at, _ := list[3].(int64)
	if epoch == "" || seq < 1 {
		return Outcome{}, errBadReply
	}
	return Outcome{Epoch: epoch, Seq: uint64(seq), At: at}, nil
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
