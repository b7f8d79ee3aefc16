package faulttest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Line is the sum of all runs of one fault in one mode of Redis.
type Line struct {
	Mode, Fault string
	Runs        int
	Noticed     []time.Duration // of the runs in which a client noticed it
	Right       []time.Duration
	Lost        int
}

// Report gathers outcomes.
type Report struct {
	lines  []*Line
	missed map[string][2]int // by mode: ticks lost, ticks accepted
}

// Add adds the outcomes of one run in a mode of Redis. owed is the number of ticks that clients of
// mode all should have received, summed over them.
func (r *Report) Add(mode string, outcomes []Outcome, owed int) {
	missed := 0
	for _, o := range outcomes {
		i := slices.IndexFunc(r.lines, func(l *Line) bool { return l.Mode == mode && l.Fault == o.Fault })
		if i < 0 {
			i = len(r.lines)
			r.lines = append(r.lines, &Line{Mode: mode, Fault: o.Fault})
		}
		l := r.lines[i]
		l.Runs++
		l.Lost += o.Lost
		missed += o.Lost
		l.Right = append(l.Right, o.Right)
		if o.Noticed >= 0 {
			l.Noticed = append(l.Noticed, o.Noticed)
		}
	}
	if r.missed == nil {
		r.missed = map[string][2]int{}
	}
	m := r.missed[mode]
	r.missed[mode] = [2]int{m[0] + missed, m[1] + owed}
}

// WriteTo writes a table of the median and longest times to notice and to recover, and the losses
// per mode.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "redis\tfault\truns\tnoticed\tto notice: median\tlongest\tto be right: median\tlongest\tlost")
	for _, l := range r.lines {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%d\n", l.Mode, l.Fault, l.Runs, len(l.Noticed),
			middle(l.Noticed), longest(l.Noticed), middle(l.Right), longest(l.Right), l.Lost)
	}
	t.Flush()
	for _, mode := range slices.Sorted(maps.Keys(r.missed)) {
		m := r.missed[mode]
		fmt.Fprintf(&b, "%s: of %d ticks accepted for clients of mode all %d did not come\n", mode, m[1], m[0])
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func middle(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	return slices.Sorted(slices.Values(d))[len(d)/2].Round(time.Millisecond).String()
}

func longest(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	return slices.Max(d).Round(time.Millisecond).String()
}
