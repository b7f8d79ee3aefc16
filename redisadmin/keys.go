package redisadmin

import (
	"context"
	"math"
	"strings"
	"time"
)

// Kind is what a key is for, told by its name.
type Kind string

// The kinds of keys that the broadcaster makes; anything else is KindOther.
const (
	KindQuote        Kind = "quotes"          // the last value of a symbol
	KindHistory      Kind = "history"         // its kept ticks
	KindSequence     Kind = "sequences"       // its epoch and counter
	KindSession      Kind = "sessions"        // one session
	KindSessionIndex Kind = "session_indexes" // sets of a user, tickets
	KindRateLimit    Kind = "rate_limits"
	KindCache        Kind = "cache"
	KindOther        Kind = "other"
)

// kind tells the kind of a key; prefix is that of the quote keys.
func kind(prefix, key string) Kind {
	if id, ok := strings.CutPrefix(key, "session:"); ok {
		if len(id) == 64 && !strings.Contains(id, ":") {
			return KindSession
		}
		return KindSessionIndex
	}
	switch {
	case strings.HasPrefix(key, "cache:"):
		return KindCache
	case strings.HasPrefix(key, "ratelimit:{"):
		return KindRateLimit
	}
	if symbol, ok := strings.CutPrefix(key, prefix+"{"); ok {
		_, what, _ := strings.Cut(symbol, "}")
		switch what {
		case ":quote":
			return KindQuote
		case ":ticks":
			return KindHistory
		case ":seq":
			return KindSequence
		}
	}
	return KindOther
}

// Bounds of counting on one node. Up to them every key is looked at.
const (
	countKeysMost = 100_000
	countKeysTime = time.Second
	countKeysPage = 1000 // keys per SCAN, well below a millisecond of the server's time
)

// Keys says how many keys of each kind there are, in the client's database. All
// keys are looked at (SCAN) if there are at most 100,000 per node and that takes
// at most a second. Otherwise the first ones are a sample and the counts
// estimates: SCAN goes by the hash of the key, which is as good as chance,
// except on a cluster of Redis 7.4 or Valkey 8 on, where it goes slot by slot.
type Keys struct {
	Total      Number   `json:"keys"` // DBSIZE
	Quotes     KeyCount `json:"quotes"`
	Sessions   KeyCount `json:"sessions"`
	Cache      KeyCount `json:"cache"`
	RateLimits KeyCount `json:"rate_limits"`
	Scanned    Number   `json:"scanned_keys"`
	Exact      bool     `json:"exact"` // all keys were looked at
}

// KeyCount is how many keys of a kind there are.
type KeyCount struct {
	Count     Number `json:"count"`
	PlusMinus Number `json:"plus_minus"` // of 20 estimates 19 are at most this far off; 0 = counted
}

// keyCounts is what was found on a node.
type keyCounts struct {
	total   Number
	scanned int64 // -1: it could not be scanned
	all     bool
	by      map[Kind]int64
}

// countKeys looks at the keys of a node, within the bounds.
func (a *Admin) countKeys(ctx context.Context, n node) keyCounts {
	c := keyCounts{by: map[Kind]int64{}}
	if size, err := n.client.DBSize(ctx).Result(); err == nil {
		c.total = Known(size)
	}
	ctx, cancel := context.WithTimeout(ctx, countKeysTime)
	defer cancel()
	cursor := uint64(0)
	for c.scanned < a.countMost {
		keys, next, err := n.client.Scan(ctx, cursor, "", countKeysPage).Result()
		if err != nil {
			if c.scanned == 0 {
				c.scanned = -1
			}
			return c
		}
		for _, key := range keys {
			c.by[kind(a.prefix, key)]++
		}
		c.scanned += int64(len(keys))
		if cursor = next; cursor == 0 {
			c.all = true
			return c
		}
	}
	return c
}

// sumKeys adds up what was found on the nodes.
func sumKeys(nodes []keyCounts) Keys {
	k := Keys{Exact: len(nodes) > 0}
	for _, c := range nodes {
		k.Total = k.Total.add(c.total)
		k.Exact = k.Exact && c.all
		if c.scanned >= 0 && c.by != nil {
			k.Scanned = k.Scanned.add(Known(c.scanned))
		}
	}
	k.Quotes, k.Sessions = sumKind(nodes, KindQuote), sumKind(nodes, KindSession)
	k.Cache, k.RateLimits = sumKind(nodes, KindCache), sumKind(nodes, KindRateLimit)
	return k
}

func sumKind(nodes []keyCounts, kind Kind) KeyCount {
	var sum, variance float64
	for _, c := range nodes {
		if c.all {
			sum += float64(c.by[kind])
			continue
		}
		if c.scanned <= 0 || !c.total.known {
			return KeyCount{}
		}
		n, total := float64(c.scanned), float64(max(c.total.n, c.scanned))
		// One more of each outcome than was seen, so that a kind not met at
		// all still has a bound.
		p := (float64(c.by[kind]) + 1) / (n + 2)
		sum += float64(c.by[kind]) / n * total
		variance += total * total * p * (1 - p) / n * (1 - n/(total+1))
	}
	return KeyCount{Count: Known(int64(math.Round(sum))), PlusMinus: Known(int64(math.Ceil(1.96 * math.Sqrt(variance))))}
}
