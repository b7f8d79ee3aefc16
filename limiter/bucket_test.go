package limiter_test

import (
	"testing"
	"time"

	"github.com/fxcast/fxcast/limiter"
)

func TestBucket(t *testing.T) {
	b := limiter.NewRate(10, 3).Bucket()
	now := time.Unix(1_800_000_000, 0)
	for i := range 3 {
		if ok, wait := b.TakeAt(now, 1); !ok || wait != 0 {
			t.Fatalf("token %d: %v %v", i, ok, wait)
		}
	}
	for range 3 {
		ok, wait := b.TakeAt(now, 1)
		if ok || wait <= 0 || wait > 100*time.Millisecond {
			t.Fatalf("from an empty bucket: %v %v", ok, wait)
		}
		if ok, _ := b.TakeAt(now.Add(wait-1), 1); ok {
			t.Fatal("a token before its time")
		}
		now = now.Add(wait)
		if ok, wait := b.TakeAt(now, 1); !ok {
			t.Fatalf("not there after the wait: %v", wait)
		}
	}
	if ok, wait := b.TakeAt(now.Add(time.Hour), 4); ok || wait >= 0 {
		t.Errorf("4 of a bucket of 3: %v %v, want never", ok, wait)
	}
	if ok, _ := b.TakeAt(now.Add(time.Hour), 3); !ok {
		t.Error("a full bucket is not full")
	}
	for _, b := range []limiter.Bucket{{}, limiter.NewRate(0, 0).Bucket()} {
		b.Take(1)
		if ok, wait := b.Take(1); ok || wait == 0 {
			t.Errorf("an empty bucket that does not fill gave a token: %v %v", ok, wait)
		}
	}
}
