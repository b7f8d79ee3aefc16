// Package nodes lets the nodes of one deployment know of each other, and ask all
// of them something.
//
// All of it goes by Pub/Sub, and nothing is kept in Redis, so it works where
// Redis is full, on a cluster, and on the embedded server. Each node says once a
// second on the channel <prefix>nodes that it is there; one that was not heard of
// for 5 s, or that said good-bye, is gone. A question goes out on the same
// channel, and answers come to the channel <prefix>nodes:to:<node> of who asked.
//
//	{"type":"here","node":"a"}   {"type":"hello",…}: say at once that you are there   {"type":"bye",…}
//	{"type":"ask","node":"a","id":"…","kind":"connections","body":…}
//	{"type":"answer","node":"b","id":"…","body":…}   or "fault":"…" instead of a body
//
// Whoever may publish on these channels can ask too: they are as protected as
// Redis is.
//
// # Without Redis
//
// Ask returns redislink.ErrUnavailable at once if it cannot publish, and lists
// the nodes that were there last as silent. A node that does not receive its own
// notices for 3 s subscribes again, and meanwhile others see it as silent.
package nodes

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// ErrRunning means that Run was called a second time.
var ErrRunning = errors.New("nodes: already running")

const (
	beatEvery = time.Second
	goneAfter = 5 * time.Second // since a node was last heard of
	patience  = time.Second     // of Ask, and of who answers

	maxNodes   = 256     // that are known; more are not listed, nor waited for
	maxName    = 128     // bytes
	maxMessage = 2 << 20 // bytes; longer ones are not read
	maxAnswer  = 1 << 20 // bytes of an answer's body
	maxAnswers = 8       // questions that are answered at a time
)

// Config of Nodes. Only Redis is required.
type Config struct {
	// Redis should have ContextTimeoutEnabled, or Ask may take as long as the
	// client's own timeouts.
	Redis  redis.UniversalClient
	Prefix string // of the channels; "" = "fx:"
	Node   string // unique among nodes; "" = random

	Registerer prometheus.Registerer // nil = metrics are kept and not registered
	Logger     *slog.Logger          // nil = no log
}

// A Handler answers a question of another node with what JSON can encode. It gets
// a context of one second. An error is told to who asked.
type Handler func(ctx context.Context, body json.RawMessage) (any, error)

// Nodes is one node's view of all. It is safe for concurrent use; Run must be
// running.
type Nodes struct {
	// Static after construction.
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	slots   chan struct{} // one for each question that is being answered

	mu       sync.Mutex // guards the following fields; nothing is called under it
	handlers map[string]Handler
	heard    map[string]time.Time // by node, without this one
	asked    map[string]chan Answer
	running  bool
}

// New returns Nodes. It does not touch Redis.
func New(cfg Config) *Nodes {
	if cfg.Prefix == "" {
		cfg.Prefix = "fx:"
	}
	if cfg.Node == "" {
		cfg.Node = newID()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Nodes{cfg: cfg, log: cfg.Logger, slots: make(chan struct{}, maxAnswers),
		handlers: map[string]Handler{}, heard: map[string]time.Time{}, asked: map[string]chan Answer{}}
	n.metrics = newMetrics(cfg.Registerer, n)
	return n
}

func newID() string { return strings.ToLower(rand.Text()[:16]) }

// Name is that of this node.
func (n *Nodes) Name() string { return n.cfg.Node }

// Handle sets who answers questions of a kind.
func (n *Nodes) Handle(kind string, h Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers[kind] = h
}

// Others lists the other nodes that are there, by name.
func (n *Nodes) Others() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.othersLocked()
}

func (n *Nodes) othersLocked() []string {
	names := []string{}
	for name, at := range n.heard {
		if time.Since(at) > goneAfter {
			delete(n.heard, name)
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// An Answer is what one node said.
type Answer struct {
	Node  string
	Body  json.RawMessage
	Fault string // why there is no Body
}

// Answers are those of all other nodes.
type Answers struct {
	Answers []Answer // in the order in which they came
	Silent  []string // nodes that are there and have not answered, by name
}

// Ask puts a question to all other nodes and waits for their answers, at most a
// second. It ends early when all have answered, when enough, if not nil, is true
// of an answer, or with ctx. A node that has not answered is in Silent, and no
// error. If the question could not be published the error is
// redislink.ErrUnavailable, and all are silent.
func (n *Nodes) Ask(ctx context.Context, kind string, body any, enough func(Answer) bool) (Answers, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id := newID()
	answers := make(chan Answer, maxNodes)
	n.mu.Lock()
	waiting := n.othersLocked()
	n.asked[id] = answers
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.asked, id)
		n.mu.Unlock()
	}()
	n.metrics.asked.Inc()
	all := Answers{Silent: waiting}
	if len(waiting) == 0 {
		return all, nil
	}
	question, err := json.Marshal(body)
	if err != nil {
		return all, fmt.Errorf("nodes: ask %s: %w", kind, err)
	}
	if err := n.publish(ctx, n.channel(), notice{Type: "ask", ID: id, Kind: kind, Body: question}); err != nil {
		n.metrics.silent.Add(float64(len(waiting)))
		return all, redislink.Unavailable("ask "+kind, err)
	}
	for len(all.Silent) > 0 {
		select {
		case a := <-answers:
			all.Answers = append(all.Answers, a)
			all.Silent = slices.DeleteFunc(all.Silent, func(name string) bool { return name == a.Node })
			if enough != nil && enough(a) {
				return all, nil
			}
		case <-ctx.Done():
			n.metrics.silent.Add(float64(len(all.Silent)))
			return all, nil
		}
	}
	return all, nil
}

func (n *Nodes) channel() string              { return n.cfg.Prefix + "nodes" }
func (n *Nodes) channelOf(node string) string { return n.cfg.Prefix + "nodes:to:" + node }
func (n *Nodes) publish(ctx context.Context, channel string, m notice) error {
	m.Node = n.cfg.Node
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return n.cfg.Redis.Publish(ctx, channel, text).Err()
}
