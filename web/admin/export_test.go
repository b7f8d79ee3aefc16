package admin

import (
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Record takes a reading in as one that was taken at this time.
func (r *Recorder) Record(at time.Time, families []*dto.MetricFamily, ping float64) {
	r.record(newReading(at, families, ping))
}

// Values returns a series of a range.
func (r *Recorder) Values(span, series string) []float64 {
	h, _ := r.history(span)
	return h.Series[series]
}

// A Ring is a ring of one series.
type Ring struct{ *ring }

// NewRing returns a ring of so many points.
func NewRing(size int) Ring { return Ring{newRing(size, 1)} }

// Put sets a point.
func (r Ring) Put(step int64, value float64) { r.put(step, []float64{value}) }

// Read returns the first step, and the values from it on.
func (r Ring) Read() (first int64, values []float64) { return r.first, r.read(0) }

// Size is how many numbers the ring has memory for.
func (r Ring) Size() int { return cap(r.values) }
