// Package nodes tracks which nodes of a deployment are alive, and lets one node
// ask a question of all others.
//
// Messages travel by Pub/Sub and nothing is stored in Redis. So the package works
// with a full Redis, on a cluster, and on the embedded server. Each node publishes
// a heartbeat on the channel <prefix>nodes once a second. A node that sends nothing
// for 5 s, or that sends "bye", is gone. Among more than 32 nodes both times grow with
// their number, so that a node receives at most 32 heartbeats a second. A question goes
// out on the same channel, or, for one node, on the channel <prefix>nodes:to:<node> of
// that node; its answers go to that channel of the node that asked.
//
//	{"type":"here","node":"a"}    the heartbeat
//	{"type":"hello","node":"a"}   a new node; every other node replies "here" to it at once
//	{"type":"bye","node":"a"}     a node that stops
//	{"type":"ask","node":"a","id":"…","kind":"connections","body":…}   to all, or to one node
//	{"type":"answer","node":"b","id":"…","body":…}   or "fault":"…" instead of a body
//
// Any program that may publish on these channels can ask, too: Redis is their only
// protection.
//
// # Without Redis
//
// Ask returns redislink.ErrUnavailable if it cannot publish, and lists the nodes that
// were last known as silent. A node sends a message to all or to itself each second. If
// none comes back for 3 s, it subscribes again. Until then, the other nodes see it as
// silent.
package nodes

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/protocol"
)

// ErrRunning means that Run was called a second time.
var ErrRunning = errors.New("nodes: already running")

// Errors of AskOne, beside redislink.ErrUnavailable.
var (
	ErrUnknown = errors.New("no living node has this name")
	ErrSilent  = errors.New("the node does not answer")
)

const (
	beatEvery = time.Second
	mostBeats = 32          // heartbeats a second that a node receives; with more nodes each sends fewer
	goneBeats = 5           // a node that misses as many is gone
	patience  = time.Second // how long Ask waits, and how long a handler may take

	maxNodes   = 1024    // known at a time; further nodes are neither listed nor awaited
	maxName    = 128     // bytes of a node's name
	maxMessage = 2 << 20 // bytes; a longer message is discarded
	maxAnswer  = 1 << 20 // bytes of an answer's body
	maxAnswers = 8       // questions being answered at a time
)

// Config holds the settings of Nodes. Only Redis is required.
type Config struct {
	// Redis should have ContextTimeoutEnabled, or Ask may take as long as the
	// client's own timeouts.
	Redis  redis.UniversalClient
	Prefix string // of the channels; "" = "fx:"
	Node   string // unique among nodes; "" = random

	Registerer prometheus.Registerer // nil = metrics are counted but not registered
	Logger     *slog.Logger          // nil = no log
}

// A Handler answers a question of another node with a value that JSON can encode. Its
// context ends after one second. The asking node receives the text of an error as
// Answer.Fault. A Handler runs on its own goroutine, at most 8 at a time; a panic becomes
// the fault "internal error".
type Handler func(ctx context.Context, body json.RawMessage) (any, error)

// Nodes is one node's view of the deployment. It is safe for concurrent use. It sees
// other nodes and receives answers only while Run is running.
type Nodes struct {
	// Static after construction.
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	slots   chan struct{} // holds a token for each question being answered

	mu       sync.Mutex // guards the following fields; nothing is called under it
	handlers map[string]Handler
	lastSeen map[string]time.Time   // by node, without this one
	asked    map[string]chan Answer // by the question's id
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
		handlers: map[string]Handler{}, lastSeen: map[string]time.Time{}, asked: map[string]chan Answer{}}
	n.metrics = newMetrics(cfg.Registerer, n)
	return n
}

func newID() string { return strings.ToLower(rand.Text()[:16]) }

// Name returns the name of this node.
func (n *Nodes) Name() string { return n.cfg.Node }

// Handle sets the handler that answers questions of a kind, and replaces an earlier one.
func (n *Nodes) Handle(kind string, h Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers[kind] = h
}

// Others returns the names of the other nodes that are alive, sorted. The slice belongs to
// the caller.
func (n *Nodes) Others() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgetGone()
	names := slices.AppendSeq(make([]string, 0, len(n.lastSeen)), maps.Keys(n.lastSeen))
	slices.Sort(names)
	return names
}

// interval returns the time between two heartbeats of a node: whole seconds, one for each 32 nodes
// or a part of them. All nodes know about as many others, so they agree on it. Called with n.mu held.
func (n *Nodes) interval() time.Duration {
	return beatEvery * time.Duration((len(n.lastSeen)+mostBeats)/mostBeats)
}

// forgetGone forgets the nodes whose heartbeats are missing. Called with n.mu held.
func (n *Nodes) forgetGone() {
	goneAfter := goneBeats * n.interval()
	maps.DeleteFunc(n.lastSeen, func(_ string, at time.Time) bool { return time.Since(at) > goneAfter })
}

// An Answer is the reply of one node.
type Answer struct {
	Node  string
	Body  json.RawMessage
	Fault string // why there is no Body; empty if there is one
}

// Answers are the replies to one question.
type Answers struct {
	Answers []Answer // in the order in which they arrived
	Silent  []string // the names of living nodes that did not answer, sorted
}

// Ask sends a question to all other nodes and waits at most a second for their answers.
// It returns early when every node has answered, when ctx ends, or when enough (which may
// be nil) returns true for an answer. A node that did not answer is listed in Silent; that
// is not an error. If the question cannot be published, the error is
// redislink.ErrUnavailable and every node is in Silent.
func (n *Nodes) Ask(ctx context.Context, kind string, body any, enough func(Answer) bool) (Answers, error) {
	return n.ask(ctx, n.channel(), n.Others(), kind, body, enough)
}

// AskOne sends a question to one other node, as Ask does to all. The error is ErrUnknown if no
// living node has this name, ErrSilent if the node does not answer within a second, and
// redislink.ErrUnavailable if the question cannot be published.
func (n *Nodes) AskOne(ctx context.Context, node, kind string, body any) (Answer, error) {
	if !slices.Contains(n.Others(), node) {
		return Answer{}, fmt.Errorf("nodes: ask %s: %w", protocol.Clip(node, maxName), ErrUnknown)
	}
	all, err := n.ask(ctx, n.channelOf(node), []string{node}, kind, body, nil)
	if err != nil {
		return Answer{}, err
	}
	for _, a := range all.Answers {
		if a.Node == node {
			return a, nil
		}
	}
	return Answer{}, fmt.Errorf("nodes: ask %s: %w", node, ErrSilent)
}

// ask publishes a question on a channel and waits for the answers of these nodes.
func (n *Nodes) ask(ctx context.Context, channel string, waiting []string, kind string, body any, enough func(Answer) bool) (Answers, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := Answers{Silent: waiting}
	if len(waiting) == 0 {
		n.metrics.asked.Inc()
		return all, nil
	}
	id := newID()
	answers := make(chan Answer, maxNodes)
	n.mu.Lock()
	n.asked[id] = answers
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.asked, id)
		n.mu.Unlock()
	}()
	n.metrics.asked.Inc()
	question, err := json.Marshal(body)
	if err != nil {
		return all, fmt.Errorf("nodes: ask %s: %w", kind, err)
	}
	if err := n.publish(ctx, channel, notice{Type: "ask", ID: id, Kind: kind, Body: question}); err != nil {
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
