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

// Bounds of one call of Memory. The masters of a cluster share them.
const (
	maxKeysScanned = 200_000         // names, 1000 per SCAN
	maxPerKind     = 256             // keys of one kind whose size is measured
	maxNamespaces  = 50              // of the cache, listed separately
	scanTime       = 3 * time.Second // for the names
	scanPage       = 1000
	usagePage      = 128
)

// Memory is the memory that the keys use, by kind, and the server's own figures for its memory as
// a whole. On a cluster, numbers are sums over the masters.
type Memory struct {
	UsedBytes          Number   `json:"used_bytes"`
	PeakBytes          Number   `json:"peak_bytes"`
	DatasetBytes       Number   `json:"dataset_bytes"` // used bytes without buffers and other overhead
	MaxBytes           Number   `json:"max_bytes"`     // 0 = no limit
	FragmentationRatio *float64 `json:"fragmentation_ratio"`
	Policy             Text     `json:"maxmemory_policy"` // of the first server

	Keys     Number       `json:"keys"`             // of the selected database
	Scanned  int          `json:"scanned"`          // names seen
	Sampled  int          `json:"sampled"`          // keys whose size was measured
	Complete bool         `json:"complete"`         // all names were seen
	Silent   []string     `json:"silent,omitempty"` // servers that did not answer; sums leave them out
	Kinds    []KindMemory `json:"kinds"`            // largest first; nil: see Missing
	Missing  string       `json:"missing,omitempty"`
}

// KindMemory is the memory that the keys of one kind use, estimated from a sample.
type KindMemory struct {
	Kind      Kind   `json:"kind"`                // also tickets, connections, symbols and control
	Namespace string `json:"namespace,omitempty"` // of the cache
	Keys      int64  `json:"keys"`                // an estimate unless all names were seen
	Bytes     int64  `json:"bytes"`

	// ErrorBytes is half the width of the 95 % interval around Bytes. It is 0 if the size of
	// every key was measured. A few very large keys among many small ones make the true error
	// larger.
	ErrorBytes int64 `json:"error_bytes"`
	Sampled    int   `json:"sampled"`
}

// group is a set of keys whose memory is reported together: a kind or a part of one.
type group struct {
	kind      Kind
	namespace string // of the cache
}

// Kinds that only Memory distinguishes. Elsewhere the first two are part of KindSessionIndex, the
// others of KindOther.
const (
	kindTicket      Kind = "tickets"     // one-time tickets for sockets
	kindConnections Kind = "connections" // of a user, on all nodes
	kindSymbols     Kind = "symbols"     // the set of known symbols
	kindControl     Kind = "control"     // leases and rejected quotes
)

// groupOf returns the group of a key. prefix is the prefix of the quote keys.
func groupOf(prefix, key string) group {
	g := group{kind: kind(prefix, key)}
	switch {
	case g.kind == KindCache:
		namespace, _, _ := strings.Cut(strings.TrimPrefix(key, "cache:"), ":")
		g.namespace = printable(namespace, 64)
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

// Memory estimates the memory that each kind of key uses. It reads the names of up to 200,000 keys
// with SCAN, for at most 3 seconds. Then it measures (MEMORY USAGE) up to 256 random keys of each
// kind, so a kind with fewer keys is exact. It never blocks the server for longer than one SCAN of
// 1000 names. If the server does not report sizes, as an embedded one, Kinds is nil and Missing
// holds the reason.
func (a *Admin) Memory(ctx context.Context) (Memory, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return Memory{}, err
	}
	infos := make([]Info, len(servers))
	surveys := make([]*survey, len(servers))
	errs := make([]error, len(servers))
	forEach(servers, func(i int, srv server) {
		infos[i], errs[i] = a.info(ctx, srv)
		if errs[i] != nil {
			return
		}
		if infos[i].Clients != nil && infos[i].Memory == nil {
			// An embedded server: its MEMORY USAGE does not measure keys.
			errs[i] = ErrNotOffered
			return
		}
		surveys[i], errs[i] = a.survey(ctx, srv, max(scanPage, maxKeysScanned/len(servers)))
	})
	m := Memory{Complete: true}
	if m.Silent, err = silentServers(servers, errs); err != nil && !errors.Is(err, ErrNotOffered) {
		return Memory{}, err
	}
	if err != nil {
		m.Missing = reasonOf(err)
	}
	total := map[group]*estimate{}
	for i := range servers {
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

// addInfo adds the figures of one server.
func (m *Memory) addInfo(info Info) {
	mem := info.Memory
	if mem == nil {
		return
	}
	if m.Policy == "" {
		m.Policy = mem.Policy
	}
	// If one server has no limit, the sum has none.
	if m.UsedBytes.known && (m.MaxBytes.Or(0) == 0 || mem.MaxBytes.Or(0) == 0) {
		m.MaxBytes = Number{known: m.MaxBytes.known && mem.MaxBytes.known}
	} else {
		m.MaxBytes = m.MaxBytes.add(mem.MaxBytes)
	}
	m.UsedBytes = m.UsedBytes.add(mem.UsedBytes)
	m.PeakBytes = m.PeakBytes.add(mem.PeakBytes)
	m.DatasetBytes = m.DatasetBytes.add(mem.DatasetBytes)
	if r := mem.FragmentationRatio; r != nil && (m.FragmentationRatio == nil || *r > *m.FragmentationRatio) {
		m.FragmentationRatio = r // the largest of a cluster
	}
}
