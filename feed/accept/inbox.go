package accept

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// InboxConfig configures NewInbox. Redis, Channel, Node and Publisher are required.
type InboxConfig struct {
	Redis     redis.UniversalClient // only its options are used; see PublisherConfig
	Keys      feed.Keys
	Channel   string            // the channel that producers publish to
	Stream    string            // the stream that producers add to; "" = none
	Input     feed.InputOptions // how to read messages
	Node      string            // unique among the nodes of this Redis
	Publisher interface {
		Accept(context.Context, []feed.Quote) ([]Outcome, error)
		Publish(context.Context, []feed.Quote) ([]Outcome, error) // for the stream, as Check is
		Check(feed.Quote) *feed.Rejection
	}
	Rejected   *RejectedLog // may be nil
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Inbox takes producers' messages from a Redis channel and from a stream, on one node at a time: the
// leader. The other nodes check every half second whether there is a leader. Of the stream nothing
// is lost or doubled; what follows is about the channel.
//
// A node becomes the leader after it has subscribed and a test message has come back. The leader
// stops and discards the quotes that it has not published in three cases:
//
//   - another node leads;
//   - its lease may have expired, by its own clock;
//   - no test message came back for 3 s.
//
// At such a handover up to 5 s of messages are lost, and at an orderly stop about half a second.
type Inbox struct {
	cfg     InboxConfig
	log     *slog.Logger
	metrics *inboxMetrics
	leader  *leader
	router  *router       // set by Run, as is listen
	queues  []*inboxQueue // one, or in a cluster one for each lane
	stream  *stream
	listen  *redislink.Listener // set by Run
	started atomic.Bool
	leads   atomic.Bool
	seen    atomic.Pointer[sighting]

	abandon bool // for tests: end without resigning, as if killed
}

// sighting is the leader as it was last seen in Redis.
type sighting struct {
	node string
	at   time.Time
}

// NewInbox returns an Inbox that works once Run is called.
func NewInbox(cfg InboxConfig) *Inbox {
	in := &Inbox{
		cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), metrics: newInboxMetrics(cfg.Registerer),
		leader: newLeader(nil, cfg.Keys.InboxLeader(), cfg.Node),
		queues: make([]*inboxQueue, newRouter(cfg.Redis, cfg.Keys).lanes()),
	}
	for i := range in.queues {
		in.queues[i] = newInboxQueue()
	}
	in.stream = newStream(cfg, in.leader, in.log)
	return in
}

// Leader returns the node that reads the inbox, as of at most 3 s ago; "" = none, or not known.
func (in *Inbox) Leader() string {
	if seen := in.seen.Load(); seen != nil && time.Since(seen.at) < redislink.DefaultSilence {
		return seen.node
	}
	return ""
}

// Run stands by until there is no leader, then leads, and repeats this until ctx ends. Then it
// publishes the queued quotes, resigns and returns nil. The Publisher must keep running until Run
// has returned. Run may be called once.
//
//	Run             looks for the leader                   (1 goroutine)
//	* lead          listens until the connection or the lead is lost
//	  * take        SplitInput, ParseInput, queue; never waits (Run's goroutine)
//	  * opened      becomes the leader, then renews        (1 goroutine)
//	  * publish     batches from a queue                   (1 goroutine, in a cluster 1 per lane)
//	  * stream.run  entries of the stream, each once       (1 goroutine)
func (in *Inbox) Run(ctx context.Context) error {
	if in.started.Swap(true) {
		return errors.New("feed: Inbox.Run called twice")
	}
	client, release := redislink.Own(in.cfg.Redis, redislink.OwnOptions{PoolSize: 4})
	defer release()
	// The leader must be named by the present master: one that Sentinel has replaced would name another.
	in.leader.client, in.router = redislink.Once(redislink.Prober(in.cfg.Redis, client)), newRouter(client, in.cfg.Keys)
	in.stream.client = in.leader.client
	in.listen = redislink.NewListener(redislink.ListenerConfig{
		Name: "inbox", Client: client, Channels: []string{in.cfg.Channel}, Message: in.take, Opened: in.opened,
		Probe: in.cfg.Keys.Probe(in.cfg.Node, "inbox"), Prober: redislink.Prober(in.cfg.Redis, client),
	})

	for failing, refused := false, ""; ; {
		node, err := in.leader.node(ctx)
		if err == nil {
			in.saw(node)
			if node == "" {
				err = in.lead(ctx)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		refusal := redislink.Trouble(err)
		if refusal != "" {
			err = redislink.Unavailable("", err)
		}
		if err != nil && (!failing || refusal != "" && refusal != refused) {
			in.log.Warn("inbox: retrying", "err", err)
		}
		if failing = err != nil; refusal != "" || !failing {
			refused = refusal
		}
		if !redislink.Sleep(ctx, leaderPoll*3/4+rand.N(leaderPoll/2)) {
			return nil
		}
	}
}

func (in *Inbox) saw(node string) { in.seen.Store(&sighting{node, time.Now()}) }

// lead reads the inbox as the leader until the connection or the lead is lost, or ctx ends. It
// returns nil if another node was faster or ctx has ended.
func (in *Inbox) lead(ctx context.Context) error {
	in.discard() // taken in while another node was faster: that one has them
	in.router.reset()
	err := in.listen.Once(ctx)
	switch {
	case errors.Is(err, errAnotherLeader):
		return nil
	case !in.leads.Load():
		return fmt.Errorf("take the inbox: %w", err)
	}
	in.setLeads(false)
	if ctx.Err() != nil && in.abandon {
		return nil
	}
	resigned := in.leader.resign(context.WithoutCancel(ctx))
	if ctx.Err() != nil {
		in.log.Info("inbox given up", "err", resigned)
		return nil
	}
	in.metrics.leadLost.Inc()
	return err
}

// opened makes this node the leader: quotes that producers publish from now on are received. A
// function that it starts ends the connection when it fails, and is waited for.
func (in *Inbox) opened(c *redislink.Conn) error {
	c.Go(func(ctx context.Context) error {
		if err := c.Mark(ctx, func() {}); err != nil {
			return fmt.Errorf("test message: %w", err)
		}
		if err := in.leader.elect(ctx); err != nil {
			return err
		}
		in.log.Info("inbox held", "channel", in.cfg.Channel)
		in.setLeads(true)
		for _, q := range in.queues {
			c.Go(func(ctx context.Context) error { return in.publish(ctx, q) })
		}
		if in.cfg.Stream != "" {
			c.Go(in.stream.run)
		}
		return in.renew(ctx)
	})
	return nil
}

func (in *Inbox) setLeads(leads bool) {
	in.leads.Store(leads)
	in.metrics.held.Set(0)
	if leads {
		in.metrics.held.Set(1)
		in.saw(in.cfg.Node)
		return
	}
	in.saw("")
}

// take handles one message. It never waits: Redis disconnects a slow reader. A message is no sign
// of life, since producers may still publish to a master that was replaced.
func (in *Inbox) take(_, payload string) (alive bool) {
	in.takeBody([]byte(payload))
	return false
}

func (in *Inbox) takeBody(body []byte) {
	in.metrics.messages.Inc()
	if len(body) > feed.MaxInputBody {
		in.cfg.Rejected.Add(feed.NewRejection(feed.ReasonTooLong, "the message has %d bytes; the limit is %d: send it in parts",
			len(body), feed.MaxInputBody), feed.Quote{}, ViaInbox, body)
		return
	}
	items, err := feed.SplitInput(body)
	if err != nil {
		in.cfg.Rejected.Add(feed.BodyRejection(err), feed.Quote{}, ViaInbox, body)
		return
	}
	for _, item := range items {
		in.takeItem(item, len(body) > maxRejectedInput)
	}
}

// takeItem parses an item and queues its quote. copied means that item is part of a large body,
// which the queue must not keep alive: its input is then copied.
func (in *Inbox) takeItem(item []byte, copied bool) {
	q, err := feed.ParseInput(item, in.cfg.Input)
	input := item[:min(len(item), maxRejectedInput)]
	if r, ok := errors.AsType[*feed.Rejection](err); ok {
		in.cfg.Rejected.Add(r, q, ViaInbox, input)
		return
	}
	in.cfg.Rejected.Note(q)
	if q.TimeUnzoned {
		in.metrics.unzoned.Inc()
	}
	if copied {
		input = bytes.Clone(input)
	}
	queue := in.queues[in.router.enter(context.Background(), q.Symbol)] // without waiting: the slots are known
	if lost, full := queue.put(inboxQuote{q, input}); full {
		in.router.leave([]feed.Quote{lost.quote})
		in.cfg.Rejected.Add(feed.NewRejection(feed.ReasonOverflow,
			"%d quotes of the inbox were already waiting: the oldest, this one, was dropped", maxInboxQueue), lost.quote, ViaInbox, lost.input)
	}
}

// discard empties the queues and returns how many quotes they held.
func (in *Inbox) discard() (n int) {
	for _, q := range in.queues {
		n += q.discard()
	}
	return n
}

// publish publishes the quotes of a queue in order until ctx ends. At an orderly stop it also
// publishes the rest, if this node is still the leader.
func (in *Inbox) publish(ctx context.Context, queue *inboxQueue) error {
	var batch []inboxQuote
	quotes := make([]feed.Quote, 0, maxPipeline)
	for {
		batch = queue.take(ctx, batch[:0])
		if len(batch) == 0 {
			return nil // ctx has ended and nothing is left
		}
		if !in.leader.certain() {
			n := len(batch) + in.discard()
			in.metrics.lost[lossLead].Add(float64(n))
			in.log.Warn("inbox: another node may be the leader, quotes discarded", "quotes", n)
			return errNotLeader
		}
		quotes = quotes[:0]
		for _, b := range batch {
			quotes = append(quotes, b.quote)
		}
		outcomes, err := in.cfg.Publisher.Accept(context.WithoutCancel(ctx), quotes)
		in.router.leave(quotes)
		lost := 0
		for i, o := range outcomes {
			if o.Rejection != nil {
				in.cfg.Rejected.Add(o.Rejection, quotes[i], ViaInbox, batch[i].input)
			} else if o.Known() {
				in.cfg.Rejected.Accepted(quotes[i], ViaInbox)
			} else {
				lost++
			}
		}
		if err != nil {
			in.metrics.lost[lossRedis].Add(float64(lost))
			in.log.Warn("inbox: quotes lost", "quotes", lost, "err", err)
		}
	}
}

// renew keeps this node the leader until ctx ends or the lead is lost.
func (in *Inbox) renew(ctx context.Context) error {
	for redislink.Sleep(ctx, leaderRenew) {
		err := in.leader.renew(ctx)
		switch {
		case err == nil:
			in.saw(in.cfg.Node)
		case errors.Is(err, errNotLeader) || !in.leader.certain():
			return fmt.Errorf("stay the leader of the inbox: %w", err)
		}
	}
	return nil
}
