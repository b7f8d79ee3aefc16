package limiter

import (
	"math"
	"time"
)

// A Rate is what buckets have in common: how fast they fill and how much they
// hold. It is safe for concurrent use.
type Rate struct {
	interval time.Duration // per token
	burst    time.Duration // time it takes to fill
	start    time.Time     // what the buckets' times count from
}

// Bucket is a token bucket in memory, for what must cost nothing: commands of
// one connection. It has no goroutine, and is small. It is not safe for
// concurrent use, and must not be copied once used. The zero Bucket is empty for
// ever.
type Bucket struct {
	rate *Rate
	full time.Duration // when it is full again
}

// NewRate makes the rate of buckets of burst tokens that fill with rate tokens a
// second. A burst below 1 is 1. A rate of 0 or less, or NaN, never fills them.
func NewRate(rate, burst float64) *Rate {
	if !(rate > 0) {
		rate = 0
	}
	if !(burst >= 1) {
		burst = 1
	}
	const most = float64(math.MaxInt64 / 4)
	interval := math.Max(1, math.Ceil(math.Min(1e9/rate, most)))
	return &Rate{time.Duration(interval), time.Duration(math.Min(math.Floor(burst)*interval, most)), time.Now()}
}

// Bucket makes a full bucket.
func (r *Rate) Bucket() Bucket { return Bucket{rate: r, full: math.MinInt64 / 4} }

// Take takes n tokens, or none and says how long until n are there. A negative
// wait means never: n is more than the burst.
func (b *Bucket) Take(n int) (ok bool, wait time.Duration) { return b.takeAt(time.Now(), n) }

func (b *Bucket) takeAt(at time.Time, n int) (bool, time.Duration) {
	if n <= 0 {
		return true, 0
	}
	if b.rate == nil || time.Duration(n) > b.rate.burst/b.rate.interval {
		return false, never
	}
	now := at.Sub(b.rate.start)
	need := time.Duration(n) * b.rate.interval
	full := max(b.full, now)
	if wait := full + need - now - b.rate.burst; wait > 0 {
		return false, wait
	}
	b.full = full + need
	return true, 0
}
