package admin

import "math"

// A ring holds the newest points of a history, one for each step of time, in memory of a fixed
// size. A point is a value of each series; NaN means that it is not known. Steps are numbered. A
// step without a point, between others, is not known. No point is newer than the one put last: a
// clock that goes back drops what it has recorded for the times to come.
type ring struct {
	values      []float64 // the point of step n begins at n % size * width
	width, size int
	first, last int64 // the steps of the oldest and the newest point; last < first: there is none
}

func newRing(size, width int) *ring {
	return &ring{values: make([]float64, size*width), width: width, size: size, last: -1}
}

// put sets the point of a step.
func (r *ring) put(step int64, point []float64) {
	if r.last < r.first || step < r.first || step-r.last >= int64(r.size) {
		r.first = step // nothing of what was is left
	} else {
		for missing := r.last + 1; missing < step; missing++ {
			for i := range r.at(missing) {
				r.at(missing)[i] = math.NaN()
			}
		}
	}
	r.last = step
	r.first = max(r.first, step-int64(r.size)+1)
	copy(r.at(step), point)
}

func (r *ring) at(step int64) []float64 {
	i := int(step%int64(r.size)+int64(r.size)) % r.size * r.width // a step is negative before 1970
	return r.values[i : i+r.width]
}

// read returns the values of one series, from the first step to the last.
func (r *ring) read(series int) []float64 {
	values := make([]float64, 0, r.last-r.first+1)
	for step := r.first; step <= r.last; step++ {
		values = append(values, r.at(step)[series])
	}
	return values
}
