package node

import (
	"context"
	"math"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// memoryUsed returns the fraction of maxmemory that Redis uses, 0 to about 1; on a cluster that of
// the fullest master. It is NaN if there is no limit, the server does not report it (the embedded
// one), or a master does not answer.
func memoryUsed(ctx context.Context, client redis.UniversalClient) float64 {
	masters, err := redislink.TopologyOf(client).Masters(ctx)
	if err != nil {
		return math.NaN()
	}
	used := make([]float64, len(masters)) // NaN: no limit
	errs := make([]error, len(masters))
	var asking sync.WaitGroup
	for i, master := range masters {
		asking.Go(func() { used[i], errs[i] = memoryUsedBy(ctx, master) })
	}
	asking.Wait()
	most := math.NaN()
	for i := range masters {
		if errs[i] != nil {
			return math.NaN()
		}
		if !(most >= used[i]) && !math.IsNaN(used[i]) {
			most = used[i]
		}
	}
	return most
}

func memoryUsedBy(ctx context.Context, master *redis.Client) (float64, error) {
	info, err := master.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	used, err1 := strconv.ParseFloat(info["Memory"]["used_memory"], 64)
	limit, err2 := strconv.ParseFloat(info["Memory"]["maxmemory"], 64)
	if err1 != nil || err2 != nil || limit <= 0 {
		return math.NaN(), nil
	}
	return used / limit, nil
}
