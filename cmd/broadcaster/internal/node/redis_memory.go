package node

import (
	"context"
	"math"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// memoryUsed returns how much of maxmemory Redis uses, 0 to about 1; on a cluster
// that of the fullest master. It is NaN where that is not known: no limit, a
// server that does not tell (the embedded one), or no answer.
func memoryUsed(ctx context.Context, client redis.UniversalClient) float64 {
	var mu sync.Mutex // guards most; masters are asked at once
	most := math.NaN()
	ask := func(ctx context.Context, c *redis.Client) error {
		info, err := c.InfoMap(ctx, "memory").Result()
		if err != nil {
			return err
		}
		used, err1 := strconv.ParseFloat(info["Memory"]["used_memory"], 64)
		limit, err2 := strconv.ParseFloat(info["Memory"]["maxmemory"], 64)
		if err1 != nil || err2 != nil || limit <= 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if ratio := used / limit; !(most >= ratio) {
			most = ratio
		}
		return nil
	}
	var err error
	switch c := client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, ask)
	case *redis.Client:
		err = ask(ctx, c)
	}
	if err != nil {
		return math.NaN()
	}
	return most
}
