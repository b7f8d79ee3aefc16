package redisadmin

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
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
