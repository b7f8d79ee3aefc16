package accept

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"hash/fnv"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

//go:embed stream.lua
var streamSource string

var streamScript = redis.NewScript(streamSource)

// Bounds of a stream's reader.
const (
	streamEntries = 256               // entries of one step
	streamBytes   = feed.MaxInputBody // of the entries of one step, beyond which it takes no more
	streamQuotes  = 2048              // quotes of one call of the publisher
	streamWait    = time.Second       // how long it waits for an entry before it looks again
	streamRetry   = 50 * time.Millisecond
	streamRetries = 2 * time.Second  // the longest wait between two tries
	streamVerify  = 30 * time.Second // the longest time between two looks for a replica
)

// largestEntry is the size beyond which an entry is refused without being read: its fields have
// names too.
const largestEntry = feed.MaxInputBody + 1024

// stream reads the stream of producers, on the leader of the inbox. Every entry is settled exactly
// once and in order: accepted or refused, whatever is killed meanwhile.
//
// How far all entries are settled is stored in Redis after they are, so that a killed leader's
// successor repeats some. The publish script recognizes them, since the counter of each symbol has
// the place that was settled last. Two leaders at a time would not harm: each quote names the one
// before it, and is accepted only if that one is settled.
type stream struct {
	cfg     InboxConfig
	log     *slog.Logger
	metrics *streamMetrics
	leader  *leader
	first   string        // generation of a stream of which nothing is stored
	behind  time.Duration // see clusterBehind

	// Owned by run.
	client   redis.UniversalClient // for steps
	waiter   redis.UniversalClient // for waiting
	reported place                 // up to here, what could not be read is in the log of rejected quotes
	verify   time.Duration         // until the next look for a replica
}

func newStream(cfg InboxConfig, l *leader, logger *slog.Logger) *stream {
	name := fnv.New32a()
	name.Write([]byte(cfg.Stream))
	var behind time.Duration
	if redislink.TopologyOf(cfg.Redis).Kind() == redislink.Cluster {
		behind = clusterBehind
	}
	return &stream{behind: behind, cfg: cfg, log: logger, leader: l, metrics: newStreamMetrics(cfg.Registerer), first: strconv.FormatUint(uint64(name.Sum32()), 16) + "g0"}
}

// reading is a way through a stream, from the stored place on.
type reading struct {
	stored  place // as this node has last seen it in Redis
	read    place // the last entry that was settled
	settled bool  // read is to be stored
	trail   trail // of places to store

	// An entry after stored is not known to be replicated.
	unreplicated bool
	since        time.Time

	before map[feed.Symbol]string // places of the quotes published last
}

var (
	errPlaceMoved   = errors.New("the stored place has changed")
	errUnreplicated = errors.New("look for a replica again")
)

// run reads the stream until ctx ends. It then settles what is under way.
func (s *stream) run(ctx context.Context) error {
	waiter, release := redislink.Own(s.cfg.Redis, redislink.OwnOptions{PoolSize: 1})
	s.waiter = waiter
	released := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { release(); close(released) }) // ends a wait
	defer func() {
		if stop() {
			release()
			return
		}
		<-released
	}()
	defer s.metrics.caughtUp()

	wait, failing := streamRetry, false
	for ctx.Err() == nil {
		stored, err := s.follow(ctx)
		if stored {
			wait, failing = streamRetry, false
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errPlaceMoved):
			s.log.Info("stream: reading again from the place that Redis has", "stream", s.cfg.Stream)
		case !errors.Is(err, errUnreplicated):
			s.metrics.retries.Inc()
			s.metrics.held()
			if !failing {
				s.log.Warn("stream: retrying", "stream", s.cfg.Stream, "err", err)
			}
			failing = true
		}
		if !redislink.Sleep(ctx, wait) {
			return nil
		}
		wait = min(2*wait, streamRetries)
	}
	return nil
}

// follow reads on from the stored place until ctx ends, when it returns nil, or something fails. It
// reports whether it has stored a place.
func (s *stream) follow(ctx context.Context) (stored bool, err error) {
	r := &reading{before: map[feed.Symbol]string{}, trail: trail{behind: s.behind}}
	s.verify = max(s.verify, streamWait)
	for {
		entries, moved, err := s.step(ctx, r)
		stored = stored || moved
		switch {
		case err != nil:
			return stored, err
		case ctx.Err() != nil:
			return stored, nil
		case len(entries) > 0:
			if !s.leader.certain() {
				return stored, errNotLeader
			}
			if err := s.settle(ctx, r, entries); err != nil {
				return stored, err
			}
			if r.unreplicated && r.settled {
				return stored, errUnreplicated // there is a replica again: whether it has the earlier ones is not known
			}
		case r.unreplicated && time.Since(r.since) > s.verify:
			s.verify = min(2*s.verify, streamVerify)
			return stored, errUnreplicated
		default:
			s.await(ctx, r.read.id)
		}
	}
}

// await waits for an entry after an id.
func (s *stream) await(ctx context.Context, id entryID) {
	ctx, cancel := context.WithTimeout(ctx, streamWait+redislink.OpTimeout)
	defer cancel()
	err := s.waiter.XRead(ctx, &redis.XReadArgs{Streams: []string{s.cfg.Stream, id.String()}, Count: 1, Block: streamWait}).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		redislink.Sleep(ctx, streamRetry) // the next step finds out why
	}
}

// step stores how far r had come some time ago, if all up to there is settled, and returns the
// entries that follow. After ctx has ended it only stores.
func (s *stream) step(ctx context.Context, r *reading) (entries []entry, stored bool, err error) {
	most := streamEntries
	if r.settled {
		r.settled = false
		r.trail.add(r.read)
	}
	store, due := r.trail.due(time.Now())
	if ctx.Err() != nil {
		if most = 0; !due {
			return nil, false, nil
		}
	}
	var known, settled, from string
	if r.stored.generation != "" {
		known, from = r.stored.id.String(), r.read.id.String()
	}
	if due {
		settled = store.id.String()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redislink.OpTimeout)
	defer cancel()
	reply, err := streamScript.Run(ctx, s.client, []string{s.cfg.Stream, s.cfg.Keys.StreamPlace(s.cfg.Stream)},
		known, r.stored.generation, s.first, settled, store.added, from, most, streamBytes, largestEntry).Slice()
	if err != nil {
		return nil, false, redislink.Unavailable("read the stream", err)
	}
	at, state, entries, err := readStep(reply)
	switch {
	case err != nil:
		return nil, false, err
	case state == nil:
		return nil, false, errPlaceMoved
	}
	if due {
		s.verify, stored = streamWait, true
	}
	if r.stored.generation == "" {
		r.read = at
	}
	r.stored = at
	s.lag(r, state, entries)
	return entries, stored, nil
}

// lag counts the entries that were removed before they were read, and notes how many wait and since
// when.
func (s *stream) lag(r *reading, st *streamState, entries []entry) {
	waiting := st.unread(r.read.id)
	if waiting >= 0 && st.added >= 0 {
		added := st.added - waiting
		if removed := added - r.read.added; r.read.added >= 0 && removed > 0 {
			s.metrics.trimmed.Add(float64(removed))
			s.log.Warn("stream: entries were removed before they were read", "stream", s.cfg.Stream, "entries", removed)
		}
		r.read.added = added
	}
	if waiting < 0 && st.added >= 0 && r.read.added >= 0 {
		waiting = st.added - r.read.added
	}
	if len(entries) == 0 {
		s.metrics.caughtUp()
		return
	}
	since := st.now
	if made := entries[0].id.time(); !made.IsZero() && made.Before(since) {
		since = made
	}
	s.metrics.behind(max(waiting, int64(len(entries))), st.now.Sub(since))
}

// settle publishes the quotes of entries. Without an error all of them are settled, and r is behind
// the last one.
func (s *stream) settle(ctx context.Context, r *reading, entries []entry) error {
	var items []entryItem
	for _, e := range entries {
		items = s.appendItems(items, e, r)
	}
	ctx = context.WithoutCancel(ctx) // the publisher bounds the time
	replicated, refused := true, false
	for rest := items; len(rest) > 0; {
		n := min(len(rest), streamQuotes)
		all, some, err := s.publish(ctx, rest[:n])
		replicated, refused = replicated && all, refused || some
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	last := entries[len(entries)-1].id
	refused = s.report(entries, items, r.stored.generation) || refused
	if refused {
		_ = s.cfg.Rejected.flush(ctx) // else Run tries again
	}
	r.read.id = last
	if r.read.added >= 0 {
		r.read.added += int64(len(entries))
	}
	if !replicated && !r.unreplicated {
		r.unreplicated, r.since = true, time.Now()
	}
	r.settled = replicated
	return nil
}

// publish publishes the quotes of items, reports the refused ones, and returns an error unless all
// are settled.
func (s *stream) publish(ctx context.Context, items []entryItem) (replicated, refused bool, err error) {
	quotes, of := make([]feed.Quote, 0, len(items)), make([]*entryItem, 0, len(items))
	for i := range items {
		if one := &items[i]; one.rejection == nil {
			quotes, of = append(quotes, one.quote), append(of, one)
		}
	}
	if len(quotes) == 0 {
		return true, false, nil
	}
	outcomes, err := s.cfg.Publisher.Publish(ctx, quotes)
	replicated = true
	unknown := len(outcomes) < len(quotes)
	for i, o := range outcomes {
		replicated = replicated && !o.Unreplicated
		switch {
		case !o.Known():
			unknown = true
			continue
		case o.Repeated:
			s.metrics.repeated.Inc()
			continue
		case o.Rejection != nil:
			s.cfg.Rejected.Add(o.Rejection, quotes[i], ViaStream, of[i].input)
			refused = true
		default:
			s.cfg.Rejected.Accepted(quotes[i], ViaStream)
		}
		if of[i].untimed {
			quotes[i].Time = time.Time{}
		}
		s.cfg.Rejected.Note(quotes[i])
	}
	if unknown {
		return replicated, refused, cmp.Or(err, ErrOutcomeUnknown)
	}
	return replicated, refused, nil
}

// report puts the items that are no quotes into the log of rejected quotes, once although entries
// are repeated.
func (s *stream) report(entries []entry, items []entryItem, generation string) (refused bool) {
	if s.reported.generation != generation {
		s.reported = place{generation: generation}
	}
	for _, one := range items {
		if one.rejection != nil && one.id.after(s.reported.id) {
			s.cfg.Rejected.Add(one.rejection, one.quote, ViaStream, one.input)
			refused = true
		}
	}
	for _, e := range entries {
		if e.id.after(s.reported.id) {
			s.reported.id = e.id
			s.metrics.entries.Inc()
		}
	}
	return refused
}
