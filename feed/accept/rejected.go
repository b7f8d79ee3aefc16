package accept

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

const (
	maxRejected      = 200 // entries kept in memory and in Redis
	maxRejectedInput = 256 // bytes of input kept per entry
	rejectedEvery    = 500 * time.Millisecond
)

// Via names the way by which a quote came in.
type Via string

// The ways in. A new one must also be added to vias.
const (
	ViaInbox    Via = "inbox"    // the inbox channel
	ViaHTTP     Via = "http"     // POST /api/v1/quotes
	ViaStream   Via = "stream"   // the stream
	ViaReplay   Via = "replay"   // feed replay
	ViaSimulate Via = "simulate" // feed simulate, and the market of an embedded server
	ViaConnect  Via = "connect"  // feed connect
	ViaPipe     Via = "pipe"     // feed pipe
)

var vias = []Via{ViaInbox, ViaHTTP, ViaStream, ViaReplay, ViaSimulate, ViaConnect, ViaPipe}

// RejectedQuote is an entry of the RejectedLog.
type RejectedQuote struct {
	Time    time.Time   `json:"ts"`
	Reason  feed.Reason `json:"reason"`
	Message string      `json:"message"`
	Symbol  feed.Symbol `json:"symbol,omitempty"` // if it could be read
	Source  string      `json:"source,omitempty"` // DefaultSource if the quote named none
	Via     Via         `json:"via"`
	Input   string      `json:"input"` // at most 256 bytes of printable text
}

// RejectedConfig configures NewRejectedLog. Redis is required.
type RejectedConfig struct {
	Redis      redis.UniversalClient
	Keys       feed.Keys
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// RejectedLog counts rejected quotes and keeps the newest of all nodes in Redis, where Run writes
// them twice a second. While Redis is lost it keeps the newest of this node. It is safe for
// concurrent use. A nil *RejectedLog discards everything.
type RejectedLog struct {
	cfg     RejectedConfig
	log     *slog.Logger
	metrics *rejectedMetrics
	streaks *streaks
	writing chan struct{} // holds a token while entries are written

	mu      sync.Mutex                 // guards the fields below
	ring    [maxRejected]RejectedQuote // entry n is at n % maxRejected; Input not yet cleaned
	added   uint64                     // entries ever added
	written uint64                     // of these, entries written to Redis or dropped
}

// NewRejectedLog returns an empty log.
func NewRejectedLog(cfg RejectedConfig) *RejectedLog {
	logger := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &RejectedLog{cfg: cfg, log: logger, metrics: newRejectedMetrics(cfg.Registerer), streaks: newStreaks(logger), writing: make(chan struct{}, 1)}
}

// Add counts a rejected quote and keeps an entry for it. The entry takes symbol and source from q,
// which may be incomplete, and a copy of the beginning of input, as the producer sent it. Add never
// blocks.
func (l *RejectedLog) Add(r *feed.Rejection, q feed.Quote, via Via, input []byte) {
	if l == nil {
		return
	}
	source := q.SourceOrDefault()
	l.metrics.reject(r.Reason, via)
	l.streaks.refused(r, source, via)
	entry := RejectedQuote{
		Time: time.Now().UTC().Truncate(time.Microsecond), Reason: r.Reason, Message: r.Message,
		Symbol: q.Symbol, Source: source, Via: via, Input: string(input[:min(len(input), maxRejectedInput)]),
	}
	l.mu.Lock()
	l.ring[l.added%maxRejected] = entry
	l.added++
	overwritten := l.added-l.written > maxRejected
	if overwritten {
		l.written++
	}
	l.mu.Unlock()
	if overwritten {
		l.metrics.dropped.Inc()
	}
}

// Note counts values that were left out of an accepted input: a time that was missing or had no
// zone, and sizes that could not be read.
func (l *RejectedLog) Note(q feed.Quote) {
	if l == nil {
		return
	}
	if q.Time.IsZero() {
		l.metrics.untimed.Inc()
	}
	if q.BadSizes > 0 {
		l.metrics.badSizes.Add(float64(q.BadSizes))
	}
}

// Accepted notes that a quote was accepted. It separates sources with some bad quotes from those of
// which none is accepted.
func (l *RejectedLog) Accepted(q feed.Quote, via Via) {
	if l != nil {
		l.streaks.accepted(q.SourceOrDefault(), via)
	}
}

// Run writes entries to Redis until ctx ends, writes once more and returns nil.
func (l *RejectedLog) Run(ctx context.Context) error {
	tick := time.NewTicker(rejectedEvery)
	defer tick.Stop()
	failing := false
	for {
		var done bool
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
		err := l.flush(context.WithoutCancel(ctx))
		if err != nil && !failing {
			l.log.Warn("rejected quotes not written to Redis; retrying", "err", err)
		}
		failing = err != nil
		if done {
			return nil
		}
	}
}

// flush writes the entries that are not in Redis yet. A failed write is tried again, which may
// duplicate an entry.
func (l *RejectedLog) flush(ctx context.Context) error {
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	entries, upTo := l.unwritten()
	if len(entries) == 0 {
		return nil
	}
	values := make([]any, len(entries))
	for i, e := range entries {
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("feed: encode a rejected quote: %w", err)
		}
		values[i] = text
	}
	pipe := l.cfg.Redis.Pipeline()
	pipe.LPush(ctx, l.cfg.Keys.Rejected(), values...)
	pipe.LTrim(ctx, l.cfg.Keys.Rejected(), 0, maxRejected-1)
	if err := redislink.Exec(ctx, pipe); err != nil {
		return err
	}
	l.mu.Lock()
	l.written = max(l.written, upTo)
	l.mu.Unlock()
	return nil
}

// unwritten returns the entries that are not in Redis yet, oldest first, and the value of added at
// their end.
func (l *RejectedLog) unwritten() (entries []RejectedQuote, upTo uint64) {
	l.mu.Lock()
	for n := l.written; n < l.added; n++ {
		entries = append(entries, l.ring[n%maxRejected])
	}
	upTo = l.added
	l.mu.Unlock()
	for i := range entries {
		entries[i].Input = printable(entries[i].Input)
	}
	return entries, upTo
}

// Last returns the newest n entries of all nodes, at most 200, newest first. Entries of other nodes
// may be half a second late. If Redis cannot be read, Last returns the entries of this node with an
// error that wraps redislink.ErrUnavailable.
func (l *RejectedLog) Last(ctx context.Context, n int) ([]RejectedQuote, error) {
	if l == nil || n <= 0 {
		return nil, nil
	}
	n = min(n, maxRejected)
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	own, _ := l.unwritten() // before reading the list: better a duplicate than a missing entry
	stored, err := l.cfg.Redis.LRange(ctx, l.cfg.Keys.Rejected(), 0, int64(n-1)).Result()
	if err != nil {
		return l.own(n), redislink.Unavailable("rejected quotes of this node only", err)
	}
	entries := make([]RejectedQuote, 0, len(own)+len(stored))
	for i := len(own) - 1; i >= 0; i-- {
		entries = append(entries, own[i])
	}
	for _, text := range stored {
		var e RejectedQuote
		if json.Unmarshal([]byte(text), &e) == nil && !contains(own, e) {
			entries = append(entries, e)
		}
	}
	return entries[:min(n, len(entries))], nil
}

// contains reports whether own already has e, because it was written while Last was reading.
func contains(own []RejectedQuote, e RejectedQuote) bool {
	for _, o := range own {
		if o.Time.Equal(e.Time) && o.Input == e.Input && o.Message == e.Message {
			return true
		}
	}
	return false
}

// own returns the newest n entries of this node, newest first.
func (l *RejectedLog) own(n int) []RejectedQuote {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []RejectedQuote
	for k := range min(uint64(n), l.added) {
		e := l.ring[(l.added-1-k)%maxRejected]
		e.Input = printable(e.Input)
		entries = append(entries, e)
	}
	return entries
}

// printable replaces each unprintable character with '?' and drops a character that was cut in two
// at the end. The result is never longer than s.
func printable(s string) string {
	for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
		if b := s[len(s)-i]; utf8.RuneStart(b) {
			if !utf8.FullRuneInString(s[len(s)-i:]) {
				s = s[:len(s)-i]
			}
			break
		}
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
