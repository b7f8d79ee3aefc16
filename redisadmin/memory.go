package redisadmin

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bounds of what Memory asks of one Redis; a cluster's masters share them.
const (
	maxKeysScanned = 200_000         // names seen, 1000 a call
	maxPerKind     = 256             // of each kind, keys whose size is asked
	maxNamespaces  = 50              // of the cache, shown apart
	scanTime       = 3 * time.Second // spent on names
	scanPage       = 1000
	usagePage      = 128
)

// Memory is what the keys take, by kind, beside what the server says about its
// memory as a whole. On a cluster numbers are sums over the masters.
type Memory struct {
	UsedBytes          Number   `json:"used_bytes"`
	PeakBytes          Number   `json:"peak_bytes"`
	DatasetBytes       Number   `json:"dataset_bytes"` // used, without buffers and the like
	MaxBytes           Number   `json:"max_bytes"`     // 0 = no limit
	FragmentationRatio *float64 `json:"fragmentation_ratio"`
	Policy             Text     `json:"maxmemory_policy"` // of the first node

	Keys     Number       `json:"keys"`             // of the selected database
	Scanned  int          `json:"scanned"`          // names seen
	Sampled  int          `json:"sampled"`          // keys whose size was asked
	Complete bool         `json:"complete"`         // all names were seen
	Silent   []string     `json:"silent,omitempty"` // nodes that did not answer: sums are without them
	Kinds    []KindMemory `json:"kinds"`            // largest first; nil: see Missing
	Missing  string       `json:"missing,omitempty"`
}

// KindMemory is what the keys of one kind take: an estimate from a sample.
type KindMemory struct {
	Kind      Kind   `json:"kind"`                // also tickets, connections, symbols and control
	Namespace string `json:"namespace,omitempty"` // of the cache
	Keys      int64  `json:"keys"`                // an estimate unless all names were seen
	Bytes     int64  `json:"bytes"`

	// ErrorBytes is half the width of the 95 % interval around Bytes: 0 if the
	// size of every key was asked. Few very large keys among many small ones
	// make the true error larger than this.
	ErrorBytes int64 `json:"error_bytes"`
	Sampled    int   `json:"sampled"`
}

// A group is the keys whose memory is told together: a kind, some of them
// further divided.
type group struct {
	kind      Kind
	namespace string // of the cache
}

// Kinds that are told apart here only: elsewhere the first two are among the
// session indexes, the others among the other keys.
const (
	kindTicket      Kind = "tickets"     // one-use tickets for sockets
	kindConnections Kind = "connections" // of a user, over all nodes
	kindSymbols     Kind = "symbols"     // the known ones
	kindControl     Kind = "control"     // leases and the like
)

// groupOf tells by the name; prefix is that of the quote keys.
func groupOf(prefix, key string) group {
	g := group{kind: kind(prefix, key)}
	switch {
	case g.kind == KindCache:
		namespace, _, _ := strings.Cut(strings.TrimPrefix(key, "cache:"), ":")
		g.namespace = plain(namespace, 64)
	case g.kind == KindSessionIndex && strings.HasPrefix(key, "session:ticket:"):
		g.kind = kindTicket
	case g.kind == KindSessionIndex && strings.HasPrefix(key, "session:connections:"):
		g.kind = kindConnections
	case g.kind == KindOther && key == prefix+"symbols":
		g.kind = kindSymbols
	case g.kind == KindOther && strings.HasPrefix(key, prefix):
		g.kind = kindControl
	}
	return g
}

// Memory estimates what each kind of key takes. It looks at the names of up to
// 200,000 keys by SCAN, for at most 3 s, and asks the size (MEMORY USAGE) of a
// random few of each kind, so that kinds with few keys are exact. It blocks the
// server no longer than one page of 1000 names does. A server that does not
// tell sizes, as an embedded one, has no Kinds and says so in Missing.
func (a *Admin) Memory(ctx context.Context) (Memory, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return Memory{}, err
	}
	infos := make([]Info, len(nodes))
	surveys := make([]*survey, len(nodes))
	faults := make([]error, len(nodes))
	each(nodes, func(i int, n node) {
		infos[i], faults[i] = a.info(ctx, n)
		if faults[i] != nil {
			return
		}
		if infos[i].Clients != nil && infos[i].Memory == nil {
			// It answers INFO and knows nothing of memory: what it calls MEMORY
			// USAGE is not what its keys take.
			faults[i] = ErrNotOffered
			return
		}
		surveys[i], faults[i] = a.survey(ctx, n, max(scanPage, maxKeysScanned/len(nodes)))
	})
	m := Memory{Complete: true}
	if m.Silent, err = silent(nodes, faults); err != nil && !errors.Is(err, ErrNotOffered) {
		return Memory{}, err
	}
	if err != nil {
		m.Missing = why(err)
	}
	total := map[group]*estimate{}
	for i := range nodes {
		m.addInfo(infos[i])
		if s := surveys[i]; s != nil {
			m.Keys = m.Keys.add(Known(s.keys))
			m.Scanned += s.scanned
			m.Complete = m.Complete && s.complete
			s.estimate(total)
		}
	}
	if m.Missing != "" {
		m.Complete = false
		return m, nil
	}
	m.Kinds = []KindMemory{}
	for k, e := range total {
		m.Sampled += e.sampled
		m.Kinds = append(m.Kinds, KindMemory{
			Kind: k.kind, Namespace: k.namespace, Keys: int64(math.Round(e.keys)), Bytes: int64(math.Round(e.bytes)),
			ErrorBytes: int64(math.Ceil(1.96 * math.Sqrt(e.variance))), Sampled: e.sampled,
		})
	}
	slices.SortFunc(m.Kinds, func(a, b KindMemory) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace))
	})
	return m, nil
}

// addInfo adds what one server says of itself.
func (m *Memory) addInfo(info Info) {
	mem := info.Memory
	if mem == nil {
		return
	}
	if m.Policy == "" {
		m.Policy = mem.Policy
	}
	// One node without a limit has none, so neither has the sum.
	if m.UsedBytes.known && (m.MaxBytes.Or(0) == 0 || mem.MaxBytes.Or(0) == 0) {
		m.MaxBytes = Number{known: m.MaxBytes.known && mem.MaxBytes.known}
	} else {
		m.MaxBytes = m.MaxBytes.add(mem.MaxBytes)
	}
	m.UsedBytes = m.UsedBytes.add(mem.UsedBytes)
	m.PeakBytes = m.PeakBytes.add(mem.PeakBytes)
	m.DatasetBytes = m.DatasetBytes.add(mem.DatasetBytes)
	if r := mem.FragmentationRatio; r != nil && (m.FragmentationRatio == nil || *r > *m.FragmentationRatio) {
		m.FragmentationRatio = r // the worst of a cluster
	}
}

// survey is what was seen of one server's keys.
type survey struct {
	keys     int64 // that there are
	scanned  int
	complete bool
	kinds    map[group]*stratum
}

// stratum is the keys of one kind, and a random choice of them.
type stratum struct {
	seen   int
	chosen []string
	sizes  []float64
}

// survey looks at the names, then asks the sizes.
func (a *Admin) survey(ctx context.Context, n node, most int) (*survey, error) {
	keys, err := n.client.DBSize(ctx).Result()
	if err := ask(ctx, "dbsize", err); err != nil {
		return nil, err
	}
	s := &survey{keys: keys, kinds: map[group]*stratum{}}
	deadline := time.Now().Add(scanTime)
	for cursor := uint64(0); ; {
		var page []string
		page, cursor, err = n.client.Scan(ctx, cursor, "", scanPage).Result()
		if err := ask(ctx, "scan", err); err != nil {
			return nil, err
		}
		for _, key := range page {
			s.see(a.prefix, key)
		}
		if cursor == 0 {
			s.complete = true
			break
		}
		if s.scanned >= most || time.Now().After(deadline) {
			break
		}
	}
	// Keys came and went meanwhile, and a table that grows may show one twice.
	if s.complete && keys < int64(s.scanned) || keys == 0 {
		s.keys = int64(s.scanned)
	}
	return s, s.measure(ctx, n)
}

// see counts a name and keeps a fair choice of those of its kind (algorithm R).
func (s *survey) see(prefix, key string) {
	s.scanned++
	k := groupOf(prefix, key)
	t := s.kinds[k]
	if t == nil {
		if k.kind == KindCache && len(s.kinds) >= maxNamespaces {
			k.namespace = "(others)" // together
		}
		if t = s.kinds[k]; t == nil {
			t = &stratum{}
			s.kinds[k] = t
		}
	}
	t.seen++
	if len(t.chosen) < maxPerKind {
		t.chosen = append(t.chosen, key)
	} else if i := rand.IntN(t.seen); i < maxPerKind {
		t.chosen[i] = key
	}
}

// measure asks the sizes of the chosen keys, in pages of one round trip each.
func (s *survey) measure(ctx context.Context, n node) error {
	for _, t := range s.kinds {
		for page := range slices.Chunk(t.chosen, usagePage) {
			cmds := make([]*redis.IntCmd, len(page))
			_, err := n.client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i, key := range page {
					cmds[i] = p.MemoryUsage(ctx, key)
				}
				return nil
			})
			for _, cmd := range cmds {
				switch size, one := cmd.Result(); {
				case one == nil:
					t.sizes = append(t.sizes, float64(size))
				case errors.Is(one, redis.Nil): // gone meanwhile
				default:
					return ask(ctx, "memory usage", cmp.Or(err, one))
				}
			}
		}
	}
	return nil
}

// estimate is of one kind; those of several servers are added up.
type estimate struct {
	keys, bytes, variance float64
	sampled               int
}

// estimate adds what this server's sample says, by double sampling: the names
// tell how many keys are of a kind, the chosen ones how large they are. SCAN
// walks the table of a random hash, so a part of the names is a random choice.
func (s *survey) estimate(total map[group]*estimate) {
	scanned, keys := float64(s.scanned), float64(s.keys)
	for k, t := range s.kinds {
		e := total[k]
		if e == nil {
			e = &estimate{}
			total[k] = e
		}
		seen, n := float64(t.seen), float64(len(t.sizes))
		count := seen / scanned * keys
		e.keys += count
		e.sampled += len(t.sizes)
		if n == 0 {
			continue
		}
		mean, squares := 0.0, 0.0
		for _, size := range t.sizes {
			mean += size / n
		}
		for _, size := range t.sizes {
			squares += (size - mean) * (size - mean)
		}
		e.bytes += count * mean
		if n > 1 {
			e.variance += count * count * squares / (n - 1) / n * max(0, 1-n/count)
		}
		if keys > scanned {
			part := seen / scanned
			e.variance += keys * keys * mean * mean * part * (1 - part) / scanned * (1 - scanned/keys)
		}
	}
}
