package limiter

import (
	"math"
	"time"
)

// Rate is the fill rate and the capacity that several buckets share. It is safe for concurrent use.
type Rate struct {
	interval time.Duration // per token
	burst    time.Duration // time that a bucket takes to fill
	start    time.Time     // origin of the buckets' times
}

// Bucket is a token bucket in memory. It is small and has no goroutine, so that each connection can
// have one for its commands. It is not safe for concurrent use and must not be copied after first
// use. The zero Bucket stays empty.
type Bucket struct {
	rate *Rate
	full time.Duration // when the bucket is full again, since rate.start
}

// NewRate returns the rate of buckets that hold burst tokens and gain rate tokens per second. A
// burst below 1 counts as 1. Buckets never fill if rate is 0, negative or NaN.
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

// Bucket returns a full bucket.
func (r *Rate) Bucket() Bucket { return Bucket{rate: r, full: math.MinInt64 / 4} }

// Take takes n tokens and returns true, or takes none and returns the time until n are available. A
// negative wait means never: n exceeds the burst.
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
