package redisadmin

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// survey is a sample of the keys of one server.
type survey struct {
	keys     int64 // on the server
	scanned  int   // names read
	complete bool  // all names were read
	kinds    map[group]*stratum
}

// stratum is the keys of one group, with a random sample of them.
type stratum struct {
	seen   int
	chosen []string
	sizes  []float64 // of the chosen keys, in bytes
}

// survey reads up to about most names, then measures a sample of the keys.
func (a *Admin) survey(ctx context.Context, srv server, most int) (*survey, error) {
	keys, err := srv.client.DBSize(ctx).Result()
	if err := classify(ctx, "dbsize", err); err != nil {
		return nil, err
	}
	s := &survey{keys: keys, kinds: map[group]*stratum{}}
	deadline := time.Now().Add(scanTime)
	for cursor := uint64(0); ; {
		var page []string
		page, cursor, err = srv.client.Scan(ctx, cursor, "", scanPage).Result()
		if err := classify(ctx, "scan", err); err != nil {
			return nil, err
		}
		for _, key := range page {
			s.add(a.prefix, key)
		}
		if cursor == 0 {
			s.complete = true
			break
		}
		if s.scanned >= most || time.Now().After(deadline) {
			break
		}
	}
	// Keys come and go during the scan, and SCAN may return a key twice.
	if s.complete && keys < int64(s.scanned) || keys == 0 {
		s.keys = int64(s.scanned)
	}
	return s, s.measure(ctx, srv)
}

// add counts a name and keeps a uniform sample of its group (algorithm R).
func (s *survey) add(prefix, key string) {
	s.scanned++
	k := groupOf(prefix, key)
	t := s.kinds[k]
	if t == nil {
		if k.kind == KindCache && len(s.kinds) >= maxNamespaces {
			k.namespace = "(others)" // listed together
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

// measure asks for the sizes of the chosen keys, in pages of one round trip each.
func (s *survey) measure(ctx context.Context, srv server) error {
	for _, t := range s.kinds {
		for page := range slices.Chunk(t.chosen, usagePage) {
			cmds := make([]*redis.IntCmd, len(page))
			pipe := srv.client.Pipeline()
			for i, key := range page {
				cmds[i] = pipe.MemoryUsage(ctx, key)
			}
			err := redislink.Exec(ctx, pipe)
			for _, cmd := range cmds {
				switch size, one := cmd.Result(); {
				case one == nil:
					t.sizes = append(t.sizes, float64(size))
				case errors.Is(one, redis.Nil): // the key is gone
				default:
					return classify(ctx, "memory usage", cmp.Or(err, one))
				}
			}
		}
	}
	return nil
}

// estimate is the memory of one group, summed over the servers.
type estimate struct {
	keys, bytes, variance float64
	sampled               int
}

// estimate adds this server's estimates to total, by double sampling: the names give the number of
// keys in a group, the chosen keys their mean size. SCAN walks a table with a random hash, so a
// part of the names is a random sample.
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
