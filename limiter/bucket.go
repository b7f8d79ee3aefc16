package limiter

import (
	"math"
	"time"
)

// Bucket is a token bucket in memory, for what must cost nothing: commands of
// one connection. It has no goroutine. It is not safe for concurrent use, and
// must not be copied once used. The zero Bucket is empty for ever.
type Bucket struct {
	interval time.Duration // per token
	burst    time.Duration // time it takes to fill
	full     time.Time     // when it is full again
}

// NewBucket makes a full bucket of burst tokens that fills with rate tokens a
// second. A burst below 1 is 1. A rate of 0 or less, or NaN, never fills it.
func NewBucket(rate, burst float64) Bucket {
	if !(rate > 0) {
		rate = 0
	}
	if !(burst >= 1) {
		burst = 1
	}
	const most = float64(math.MaxInt64 / 4)
	interval := math.Max(1, math.Ceil(math.Min(1e9/rate, most)))
	return Bucket{interval: time.Duration(interval), burst: time.Duration(math.Min(math.Floor(burst)*interval, most))}
}

// Take takes n tokens, or none and says how long until n are there. A negative
// wait means never: n is more than the burst.
func (b *Bucket) Take(n int) (ok bool, wait time.Duration) { return b.takeAt(time.Now(), n) }

func (b *Bucket) takeAt(now time.Time, n int) (bool, time.Duration) {
	if n <= 0 {
		return true, 0
	}
	if b.interval <= 0 || time.Duration(n) > b.burst/b.interval {
		return false, never
	}
	need := time.Duration(n) * b.interval
	full := b.full
	if full.Before(now) {
		full = now
	}
	if wait := full.Add(need).Sub(now) - b.burst; wait > 0 {
		return false, wait
	}
	b.full = full.Add(need)
	return true, 0
}
