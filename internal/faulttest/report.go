package faulttest

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Run is the result of one run.
type Run struct {
	Redis    string // its kind, and how quotes are answered
	Outcomes []Outcome
	Every    time.Duration // from one tick sent to the next, of all symbols and publishers

	Accepted int // ticks
	Lost     int // those of them that no client of mode all got

	// With PUBLISH_ACK=replicated: the ticks that were answered as unreplicated, and those of them
	// that were lost.
	Unreplicated, LostUnreplicated int

	// Splits are the times at which two servers were masters of the same symbols. LostInSplits is
	// how many of the lost ticks were answered then.
	Splits       []Span
	LostInSplits int
}

// Report gathers runs.
type Report struct{ runs []Run }

// Add adds a run.
func (r *Report) Add(run Run) { r.runs = append(r.runs, run) }

// WriteTo writes a table of what each fault cost, and the sums of each run. A loss in time is the
// time in which as many ticks are sent.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "redis\tfault\truns\tnoticed\tto notice: median\tlongest\tto be right: median\tlongest\tmissed by some\tlost\tin time: mean\tlongest\tunreplicated")
	for _, run := range r.runs {
		for _, outcomes := range run.byFault() {
			run.line(t, outcomes)
		}
	}
	t.Flush()
	for _, run := range r.runs {
		run.sums(&b)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// byFault groups the outcomes, in the order of the names.
func (r Run) byFault() (groups [][]Outcome) {
	sorted := slices.Clone(r.Outcomes)
	slices.SortStableFunc(sorted, func(a, b Outcome) int { return cmp.Compare(a.Fault, b.Fault) })
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Fault == sorted[0].Fault {
			n++
		}
		groups, sorted = append(groups, sorted[:n]), sorted[n:]
	}
	return groups
}

// line writes the sum of all injections of one fault.
func (r Run) line(w io.Writer, outcomes []Outcome) {
	var noticed, right []time.Duration
	var missed, lost, most, unreplicated int
	for _, o := range outcomes {
		if o.Noticed >= 0 {
			noticed = append(noticed, o.Noticed)
		}
		right = append(right, o.Right)
		missed, lost, unreplicated = missed+o.Missed, lost+o.Lost, unreplicated+o.Unreplicated
		most = max(most, o.Lost)
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%d\n", r.Redis, outcomes[0].Fault, len(outcomes), len(noticed),
		middle(noticed), longest(noticed), middle(right), longest(right), missed, lost,
		(r.inTime(lost) / time.Duration(len(outcomes))).Round(time.Millisecond), r.inTime(most), unreplicated)
}

// inTime is how long it takes to send n ticks.
func (r Run) inTime(n int) time.Duration { return time.Duration(n) * r.Every }

func (r Run) sums(w io.Writer) {
	fmt.Fprintf(w, "%s: of %d accepted ticks %d reached no client of mode all", r.Redis, r.Accepted, r.Lost)
	if r.Unreplicated > 0 {
		fmt.Fprintf(w, "; %d were answered as unreplicated, of which %d were lost", r.Unreplicated, r.LostUnreplicated)
	}
	if len(r.Splits) > 0 {
		var lengths []time.Duration
		total := time.Duration(0)
		for _, s := range r.Splits {
			lengths = append(lengths, s.To.Sub(s.From))
			total += s.To.Sub(s.From)
		}
		fmt.Fprintf(w, "; %d splits with two masters at a time, %s together, the longest %s: %d of the lost ticks were answered in them",
			len(r.Splits), total.Round(time.Millisecond), longest(lengths), r.LostInSplits)
	}
	fmt.Fprintln(w)
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
