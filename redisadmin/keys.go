package redisadmin

import (
	"context"
	"math"
	"strings"
	"time"
)

// Kind is the purpose of a key, derived from its name.
type Kind string

// The kinds of keys that the broadcaster creates. Any other key is KindOther.
const (
	KindQuote        Kind = "quotes"          // the last value of a symbol
	KindHistory      Kind = "history"         // the recent ticks of a symbol
	KindSequence     Kind = "sequences"       // the epoch and the counter of a symbol
	KindSession      Kind = "sessions"        // one session
	KindSessionIndex Kind = "session_indexes" // the sessions and connections of a user, tickets
	KindRateLimit    Kind = "rate_limits"
	KindCache        Kind = "cache"
	KindOther        Kind = "other"
)

// kind returns the kind of a key. prefix is the prefix of the quote keys.
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

// Bounds of counting on one server. Within them every key is counted.
const (
	maxCountedKeys = 100_000
	countKeysTime  = time.Second
	countKeysPage  = 1000 // keys per SCAN, which takes the server well under a millisecond
)

// Keys counts the keys of each kind in the client's database. Every key is counted (SCAN) if a
// server has at most 100,000 keys and SCAN takes at most a second. Otherwise the keys seen are a
// sample, and the counts are estimates. The sample is random because SCAN goes by the hash of the
// key. On a cluster since Redis 7.4 or Valkey 8 it is not, because SCAN goes slot by slot.
type Keys struct {
	Total      Number   `json:"keys"` // DBSIZE
	Quotes     KeyCount `json:"quotes"`
	Sessions   KeyCount `json:"sessions"`
	Cache      KeyCount `json:"cache"`
	RateLimits KeyCount `json:"rate_limits"`
	Scanned    Number   `json:"scanned_keys"`
	Exact      bool     `json:"exact"` // every key was counted
}

// KeyCount is the number of keys of one kind.
type KeyCount struct {
	Count     Number `json:"count"`
	PlusMinus Number `json:"plus_minus"` // half of the 95 % interval around Count; 0 = exact
}

// keyCounts are the keys found on one server.
type keyCounts struct {
	total   Number
	scanned int64 // -1: SCAN failed
	all     bool  // every key was counted
	by      map[Kind]int64
}

// countKeys counts the keys of a server, within the bounds.
func (a *Admin) countKeys(ctx context.Context, srv server) keyCounts {
	c := keyCounts{by: map[Kind]int64{}}
	if size, err := srv.client.DBSize(ctx).Result(); err == nil {
		c.total = Known(size)
	}
	ctx, cancel := context.WithTimeout(ctx, countKeysTime)
	defer cancel()
	cursor := uint64(0)
	for c.scanned < a.maxCounted {
		keys, next, err := srv.client.Scan(ctx, cursor, "", countKeysPage).Result()
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

// sumKeys adds up the keys of all servers.
func sumKeys(servers []keyCounts) Keys {
	k := Keys{Exact: len(servers) > 0}
	for _, c := range servers {
		k.Total = k.Total.add(c.total)
		k.Exact = k.Exact && c.all
		if c.scanned >= 0 && c.by != nil {
			k.Scanned = k.Scanned.add(Known(c.scanned))
		}
	}
	k.Quotes, k.Sessions = sumKind(servers, KindQuote), sumKind(servers, KindSession)
	k.Cache, k.RateLimits = sumKind(servers, KindCache), sumKind(servers, KindRateLimit)
	return k
}

func sumKind(servers []keyCounts, kind Kind) KeyCount {
	var sum, variance float64
	for _, c := range servers {
		if c.all {
			sum += float64(c.by[kind])
			continue
		}
		if c.scanned <= 0 || !c.total.known {
			return KeyCount{}
		}
		n, total := float64(c.scanned), float64(max(c.total.n, c.scanned))
		// Count one more of each outcome than was seen, so that a kind without any key in
		// the sample has a bound too.
		p := (float64(c.by[kind]) + 1) / (n + 2)
		sum += float64(c.by[kind]) / n * total
		variance += total * total * p * (1 - p) / n * (1 - n/(total+1))
	}
	return KeyCount{Count: Known(int64(math.Round(sum))), PlusMinus: Known(int64(math.Ceil(1.96 * math.Sqrt(variance))))}
}
