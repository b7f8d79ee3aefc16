package faulttest

import (
	"fmt"
	"time"
)

// tickKey is what identifies a tick.
type tickKey struct{ symbol, bid string }

// Missed returns the accepted ticks that some client of mode all did not get, announced or not, and
// those that none of them got. Ticks that were sent before a client's first tick of the symbol are
// not missing for that client.
func Missed(published []Tick, records []Record) (some, none []Tick) {
	missing, clients := map[tickKey]int{}, 0
	for _, r := range records {
		if r.Mode == All {
			clients++
			r.missing(published, missing)
		}
	}
	for _, t := range published {
		switch n := missing[tickKey{t.Symbol, t.Bid}]; {
		case n == 0:
		case n == clients:
			none = append(none, t)
			fallthrough
		default:
			some = append(some, t)
		}
	}
	return some, none
}

// missing counts the ticks that one client did not get.
func (r Record) missing(published []Tick, missing map[tickKey]int) {
	got := map[tickKey]bool{}
	began := map[string]time.Time{}
	for _, e := range r.Events {
		switch e.Kind {
		case Snapshot, Reset, Update:
			got[tickKey{e.Symbol, e.Bid}] = true
			if began[e.Symbol].IsZero() {
				began[e.Symbol] = e.At
			}
		}
	}
	for _, t := range published {
		key, b := tickKey{t.Symbol, t.Bid}, began[t.Symbol]
		if t.State == Accepted && !b.IsZero() && t.Sent.After(b) && !got[key] {
			missing[key]++
		}
	}
}

// Blame adds each tick to the last fault that was injected before the tick was answered. It returns
// how many were answered before any fault.
func Blame(outcomes []Outcome, ticks []Tick, add func(*Outcome)) (rest int) {
	for _, t := range ticks {
		i := len(outcomes) - 1
		for i >= 0 && outcomes[i].Injected.After(t.Answered) {
			i--
		}
		if i < 0 {
			rest++
			continue
		}
		add(&outcomes[i])
	}
	return rest
}

// VerifyKept checks the promise of PUBLISH_ACK=replicated: a tick that was accepted, and not answered
// as unreplicated, is in the history at the end. kept must have been long enough for all of them.
func VerifyKept(published []Tick, kept []Entry) (found []Violation) {
	has := make(map[tickKey]bool, len(kept))
	for _, e := range kept {
		has[tickKey{e.Symbol, e.Bid}] = true
	}
	for _, t := range published {
		if t.State == Accepted && !t.Unreplicated && !has[tickKey{t.Symbol, t.Bid}] {
			found = append(found, Violation{Kind: Unkept, Symbol: t.Symbol, At: t.Answered,
				Detail: fmt.Sprintf("%s (%s %d) was answered as replicated, and the history lacks it", t.Bid, t.Epoch, t.Seq)})
		}
	}
	return found
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

// AnsweredIn returns how many of the ticks were answered within one of the spans.
func AnsweredIn(spans []Span, ticks []Tick) (n int) {
	for _, t := range ticks {
		for _, s := range spans {
			if !t.Answered.Before(s.From) && !t.Answered.After(s.To) {
				n++
				break
			}
		}
	}
	return n
}
