package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// killedRedis is a Redis whose servers are killed.
type killedRedis struct {
	settings []string // of nodes and producers
	client   redis.UniversalClient
	addr     func() string // where producers connect
	cluster  bool
	forgets  bool                       // the stream's server may forget entries that are accepted on others
	kill     func(random func(int) int) // kills a server and makes all whole again
}

func durable(fsync string) redistest.Options {
	return redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", fsync}}
}

// killedServer is one server.
func killedServer(t *testing.T) killedRedis {
	s := durable("everysec").Start(t)
	return killedRedis{settings: []string{"REDIS_URL=" + s.URL()}, client: s.Client(), addr: s.Addr, kill: func(func(int) int) { s.Restart() }}
}

// accepted returns how many quotes were accepted, as far as Redis answers.
func (r killedRedis) accepted(t *testing.T, symbols []string) (n int64) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, s := range symbols {
		n += r.client.XLen(ctx, "fx:{"+s+"}:ticks").Val()
	}
	return n
}

// killedSource brings quotes in by processes of its own.
type killedSource interface {
	run(ctx context.Context) // until ctx ends
	kill()                   // kills the process that brings them
}

// A victim is what is killed.
type victim int

const (
	theLeader   victim = iota // the node that reads the stream
	anotherNode               // a node that does not
	theServer                 // of Redis
	theProducer
	victims
)

// toll counts what was killed.
type toll [victims]int

func (k toll) String() string {
	return fmt.Sprintf("killed %d leaders, %d other nodes, %d servers, %d producers", k[theLeader], k[anotherNode], k[theServer], k[theProducer])
}

// killing kills nodes, servers and producers with SIGKILL while quotes come in.
type killing struct {
	t        *testing.T
	redis    killedRedis
	seed     uint64
	random   func(n int) int
	settings []string // of nodes

	mu    sync.Mutex // guards nodes
	nodes []*processNode
}

// newKilling starts the nodes.
func newKilling(t *testing.T, r killedRedis) *killing {
	k := &killing{t: t, redis: r, seed: faulttest.Seed(t)}
	k.random = k.numbers(1)
	k.settings = append(r.settings, "HISTORY_TICKS=1000000", "FEED_MAX_LAG=0s", "LOG_LEVEL=info")
	k.nodes = []*processNode{launchProcess(t, k.settings...), launchProcess(t, k.settings...)}
	t.Cleanup(func() {
		for i := range k.nodes {
			if log := k.node(i).stderr.String(); t.Failed() {
				t.Logf("the log of a node:\n%s", log[max(0, len(log)-4000):])
			}
		}
	})
	return k
}

// numbers returns random numbers that the seed decides, for one goroutine.
func (k *killing) numbers(goroutine uint64) func(n int) int {
	return rand.New(rand.NewPCG(k.seed, goroutine)).IntN
}

func (k *killing) node(i int) *processNode {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nodes[i%len(k.nodes)]
}

// recovery is more than a busy machine needs until quotes are accepted after a kill.
const recovery = time.Minute

// run kills what next returns, n is how many were killed before, until it returns false. Between two
// kills some quotes are accepted.
func (k *killing) run(symbols []string, source killedSource, next func(n int) (victim, bool)) (killed toll) {
	ctx, stop := context.WithCancel(k.t.Context())
	var producing sync.WaitGroup
	defer producing.Wait()
	defer stop()
	producing.Go(func() { source.run(ctx) })
	for n := 0; ; n++ {
		want := k.redis.accepted(k.t, symbols) + int64(10+k.random(200))
		for deadline := time.Now().Add(recovery); k.redis.accepted(k.t, symbols) < want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				k.t.Fatalf("no quotes are accepted for %v", recovery)
			}
		}
		what, more := next(n)
		if !more {
			return killed
		}
		switch what {
		case theServer:
			k.redis.kill(k.random)
		case theProducer:
			source.kill()
		default:
			what = k.killNode(what)
		}
		killed[what]++
	}
}

// killNode kills a node, starts another one in its place, and returns what it was.
func (k *killing) killNode(what victim) victim {
	at := 0
	if leads(k.node(1)) {
		at = 1
	}
	if what == anotherNode {
		at = 1 - at
	}
	n := k.node(at)
	what = anotherNode
	if leads(n) {
		what = theLeader
	}
	n.kill()
	n = launchProcess(k.t, k.settings...)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.nodes[at] = n
	return what
}

// leads reports whether a node reads the stream.
func leads(n *processNode) bool {
	return strings.Contains(n.do("GET", n.admin+"/metrics", "", nil).body, "\nfx_feed_inbox_held 1\n")
}
