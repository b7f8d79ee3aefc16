package faulttest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/faulttest"
)

const symbol = "EUR/USD"

var began = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// at is the i-th moment of a stream.
func at(i int) time.Time { return began.Add(time.Duration(i) * 10 * time.Millisecond) }

func bid(n uint64) string { return fmt.Sprintf("1.001%09d", n) }

// accepted is a day on which ticks first to last of an epoch were accepted.
func accepted(epoch string, first, last uint64) (ticks []faulttest.Tick) {
	for n := first; n <= last; n++ {
		ticks = append(ticks, faulttest.Tick{Symbol: symbol, Bid: bid(n), State: faulttest.Accepted, Epoch: epoch, Seq: n,
			Sent: at(int(n)), Answered: at(int(n))})
	}
	return ticks
}

// stream builds what a client was told.
type stream []faulttest.Event

func (s stream) add(e faulttest.Event) stream {
	e.At, e.Symbol = at(len(s)+1), symbol
	return append(slices.Clip(s), e)
}
func (s stream) connect() stream { return s.add(faulttest.Event{Kind: faulttest.Connected}) }
func (s stream) closed(code int) stream {
	return s.add(faulttest.Event{Kind: faulttest.Closed, Code: code})
}
func (s stream) quote(kind faulttest.Kind, epoch string, seq, skipped uint64) stream {
	return s.add(faulttest.Event{Kind: kind, Epoch: epoch, Bid: bid(seq), Seq: seq, Skipped: skipped})
}
func (s stream) snapshot(epoch string, seq uint64) stream {
	return s.quote(faulttest.Snapshot, epoch, seq, 0)
}
func (s stream) reset(epoch string, seq uint64) stream {
	return s.quote(faulttest.Reset, epoch, seq, 0)
}
func (s stream) updates(first, last uint64) stream {
	for n := first; n <= last; n++ {
		s = s.quote(faulttest.Update, "", n, 0)
	}
	return s
}
func (s stream) skip(to, skipped uint64) stream { return s.quote(faulttest.Update, "", to, skipped) }

func kinds(found []faulttest.Violation) (kinds []string) {
	for _, v := range found {
		if !slices.Contains(kinds, v.Kind) {
			kinds = append(kinds, v.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func TestVerify(t *testing.T) {
	both := append(accepted("a", 1, 5), accepted("b", 6, 9)...) // b begins at 6 here: numbers are those of the prices
	unknown := accepted("a", 1, 10)
	unknown[4].State, unknown[4].Epoch, unknown[4].Seq = faulttest.Unknown, "", 0
	rejected := accepted("a", 1, 10)
	rejected[4].State, rejected[4].Epoch, rejected[4].Seq = faulttest.Rejected, "", 0
	twice := accepted("a", 1, 10)
	twice[9].Seq = 9
	day := accepted("a", 1, 10)
	start := stream(nil).connect()
	for _, tc := range []struct {
		name   string
		ticks  []faulttest.Tick
		latest []string // violations in mode latest
		all    []string // and in mode all
		stream stream
	}{
		{"all of it", day, nil, nil, start.snapshot("a", 1).updates(2, 10)},
		{"from the middle", day, nil, nil, start.snapshot("a", 4).updates(5, 10)},
		{"no snapshot", day, nil, nil, start.quote(faulttest.Update, "a", 1, 0).updates(2, 10)},
		{"conflated", day, nil, []string{"lost", "skipped"}, start.snapshot("a", 1).skip(5, 3).skip(10, 4)},
		{"a lost tick", day, []string{"gap"}, []string{"gap", "lost"}, start.snapshot("a", 1).updates(2, 4).updates(6, 10)},
		{"skipped too many", day, []string{"skipped"}, []string{"lost", "skipped"}, start.snapshot("a", 1).skip(5, 4).updates(6, 10)},
		{"skipped too few", day, []string{"gap"}, []string{"gap", "lost"}, start.snapshot("a", 1).skip(5, 2).updates(6, 10)},
		{"a double", day, []string{"double"}, []string{"double"}, start.snapshot("a", 1).updates(2, 5).updates(5, 10)},
		{"the snapshot again as an update", day, []string{"double"}, []string{"double"}, start.snapshot("a", 1).updates(1, 10)},
		{"a reorder", day, []string{"gap", "order"}, []string{"gap", "order"}, start.snapshot("a", 1).updates(2, 4).updates(6, 6).updates(5, 5).updates(6, 10)},
		{"a stale last value", day, []string{"final"}, []string{"final", "lost"}, start.snapshot("a", 1).updates(2, 9)},
		{"nothing", day, []string{"final"}, []string{"final"}, start},
		{"no epoch", day, []string{"epoch"}, []string{"epoch"}, start.snapshot("", 1).snapshot("a", 1).updates(2, 10)},
		{"no epoch on the second connection", day, []string{"epoch"}, []string{"epoch"},
			start.snapshot("a", 1).updates(2, 5).closed(1012).connect().snapshot("", 5).updates(6, 10)},
		{"again with a snapshot", day, nil, []string{"gap", "lost"}, start.snapshot("a", 1).updates(2, 5).closed(1012).connect().snapshot("a", 8).updates(9, 10)},
		{"again with an older snapshot", day, nil, []string{"order"}, start.snapshot("a", 1).updates(2, 5).closed(0).connect().snapshot("a", 3).updates(4, 10)},
		{"resumed", day, nil, nil, start.snapshot("a", 1).updates(2, 5).closed(4008).connect().add(faulttest.Event{Kind: faulttest.Resumed}).
			quote(faulttest.Update, "a", 6, 0).updates(7, 10)},
		{"resumed, and no epoch", day, []string{"epoch"}, []string{"epoch"}, start.snapshot("a", 1).updates(2, 5).closed(4008).connect().
			add(faulttest.Event{Kind: faulttest.Resumed}).updates(6, 10)},
		{"resumed with a gap", day, nil, []string{"gap", "lost"}, start.snapshot("a", 1).updates(2, 5).closed(4008).connect().
			add(faulttest.Event{Kind: faulttest.Resumed}).quote(faulttest.Update, "a", 7, 0).updates(8, 10)},
		{"resumed with a double", day, nil, []string{"double"}, start.snapshot("a", 1).updates(2, 5).closed(4008).connect().
			add(faulttest.Event{Kind: faulttest.Resumed}).quote(faulttest.Update, "a", 5, 0).updates(6, 10)},
		{"reset", day, nil, nil, start.snapshot("a", 1).updates(2, 5).closed(0).connect().reset("a", 8).updates(9, 10)},
		{"a new epoch", both, nil, nil, start.snapshot("a", 1).updates(2, 5).quote(faulttest.Update, "b", 6, 0).updates(7, 9)},
		{"a new epoch, its first tick and the last of the old lost", both, nil, nil, start.snapshot("a", 1).updates(2, 4).quote(faulttest.Update, "b", 7, 0).updates(8, 9)},
		{"a new epoch, then a lost tick", both, []string{"gap"}, []string{"gap", "lost"}, start.snapshot("a", 1).updates(2, 5).quote(faulttest.Update, "b", 6, 0).updates(8, 9)},
		{"an epoch comes back", both, []string{"order"}, []string{"order"}, start.snapshot("a", 1).updates(2, 3).quote(faulttest.Update, "b", 6, 0).
			quote(faulttest.Update, "a", 4, 0).quote(faulttest.Update, "b", 7, 0).updates(8, 9)},
		{"an unknown one came", unknown, nil, nil, start.snapshot("a", 1).updates(2, 10)},
		{"a rejected one came", rejected, []string{"phantom"}, []string{"phantom"}, start.snapshot("a", 1).updates(2, 10)},
		{"nobody sent it", day[:9], []string{"final", "phantom"}, []string{"final", "phantom"}, start.snapshot("a", 1).updates(2, 10)},
		{"two ticks with one number", twice, []string{"content", "double"}, []string{"content", "double"}, start.snapshot("a", 1).updates(2, 10)},
		{"another price", day, []string{"content", "double"}, []string{"content", "double"}, start.snapshot("a", 1).updates(2, 4).
			add(faulttest.Event{Kind: faulttest.Update, Bid: bid(4), Seq: 5}).updates(6, 10)},
		{"closed without a reason", day, []string{"revocation"}, []string{"revocation"}, start.snapshot("a", 1).updates(2, 10).closed(4001)},
	} {
		for mode, want := range map[string][]string{faulttest.Latest: tc.latest, faulttest.All: tc.all} {
			found := faulttest.Verify(tc.ticks, nil, []faulttest.Record{{Client: "c", Mode: mode, Symbols: []string{symbol}, Events: tc.stream}})
			if got := kinds(found); !slices.Equal(got, want) {
				t.Errorf("%s, mode %s: %v, want %v\n%v", tc.name, mode, got, want, found)
			}
		}
	}
}

// A reset is in order only where the tick that the client stood at is gone.
func TestVerifyReset(t *testing.T) {
	ticks := append(accepted("a", 1, 7), accepted("b", 8, 10)...)
	kept := func(epoch string, first, last uint64) (kept []faulttest.Entry) {
		for _, t := range accepted(epoch, first, last) {
			kept = append(kept, faulttest.Entry{Symbol: symbol, Epoch: epoch, Seq: t.Seq})
		}
		return kept
	}
	open := stream(nil).connect().snapshot("a", 1).updates(2, 5)
	for _, tc := range []struct {
		name   string
		kept   []faulttest.Entry
		stream stream
		want   []string
	}{
		{"history has it", kept("a", 1, 7), open.closed(0).connect().reset("a", 7).quote(faulttest.Update, "b", 8, 0).updates(9, 10), []string{"reset"}},
		{"without a new connection", kept("a", 5, 7), open.reset("a", 7).quote(faulttest.Update, "b", 8, 0).updates(9, 10), []string{"reset"}},
		{"into a new epoch", append(kept("a", 1, 7), kept("b", 8, 10)...), open.closed(0).connect().reset("b", 10), []string{"reset"}},
		{"history begins later", kept("a", 6, 7), open.closed(0).connect().reset("a", 7).quote(faulttest.Update, "b", 8, 0).updates(9, 10), nil},
		{"it was lost", append(kept("a", 1, 4), kept("b", 8, 10)...), open.closed(0).connect().reset("b", 10), nil},
		{"the very first", kept("a", 1, 7), stream(nil).connect().reset("a", 7).quote(faulttest.Update, "b", 8, 0).updates(9, 10), nil},
	} {
		found := faulttest.Verify(ticks, tc.kept, []faulttest.Record{{Client: "c", Mode: faulttest.All, Symbols: []string{symbol}, Events: tc.stream}})
		if got := kinds(found); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v\n%v", tc.name, got, tc.want, found)
		}
	}
}

// TestVerifyDelivered checks that package client must deliver each quote that it received once, and
// report every gap.
func TestVerifyDelivered(t *testing.T) {
	day := accepted("a", 1, 6)
	whole := stream(nil).connect().snapshot("a", 1).updates(2, 4).closed(0).connect().quote(faulttest.Update, "a", 5, 0).updates(6, 6)
	again := stream(nil).connect().snapshot("a", 1).updates(2, 4).closed(0).connect().snapshot("a", 4).updates(5, 6)
	reset := stream(nil).connect().snapshot("a", 1).updates(2, 3).closed(0).connect().reset("a", 6)
	delivered := func(seqs ...int) (d []faulttest.Delivery) { // below zero: after a gap
		for _, n := range seqs {
			d = append(d, faulttest.Delivery{Symbol: symbol, Epoch: "a", Seq: uint64(max(n, -n)), Gap: n < 0})
		}
		return d
	}
	for _, tc := range []struct {
		name       string
		stream     stream
		deliveries []faulttest.Delivery
		latest     []string
		all        []string
	}{
		{"all of it", whole, delivered(1, 2, 3, 4, 5, 6), nil, nil},
		{"what came twice once", again, delivered(1, 2, 3, 4, 5, 6), nil, nil},
		{"twice", again, delivered(1, 2, 3, 4, 4, 5, 6), []string{"delivered"}, []string{"delivered"}},
		{"out of order", whole, delivered(1, 3, 2, 4, 5, 6), []string{"delivered"}, []string{"delivered"}},
		{"one left out", whole, delivered(1, 2, 3, 5, 6), nil, []string{"delivered"}},
		{"one left out and a gap reported", whole, delivered(1, 2, 3, -5, 6), []string{"delivered"}, []string{"delivered"}},
		{"the last left out", whole, delivered(1, 2, 3, 4, 5), nil, []string{"delivered"}},
		{"one that did not come", whole, delivered(1, 2, 3, 4, 5, 6, 7), []string{"delivered"}, []string{"delivered"}},
		{"a gap reported and none there", whole, delivered(1, 2, -3, 4, 5, 6), []string{"delivered"}, []string{"delivered"}},
		{"a gap and none reported", reset, delivered(1, 2, 3, 6), nil, []string{"delivered"}},
		{"a gap reported", reset, delivered(1, 2, 3, -6), []string{"delivered"}, nil},
	} {
		for mode, want := range map[string][]string{faulttest.Latest: tc.latest, faulttest.All: tc.all} {
			found := faulttest.Verify(day, nil, []faulttest.Record{{Client: "c", Mode: mode, Events: tc.stream, Deliveries: tc.deliveries}})
			if mode == faulttest.Latest { // its snapshot may be older, and is never a gap
				found = slices.DeleteFunc(found, func(v faulttest.Violation) bool { return v.Kind != faulttest.Delivered })
			}
			if got := kinds(found); !slices.Equal(got, want) {
				t.Errorf("%s, mode %s: %v, want %v\n%v", tc.name, mode, got, want, found)
			}
		}
	}
}

func TestVerifyRevocation(t *testing.T) {
	day := accepted("a", 1, 10)
	open := stream(nil).connect().snapshot("a", 1).updates(2, 4)
	ended := at(len(open))
	for _, tc := range []struct {
		name   string
		stream stream
		within time.Duration
		want   []string
	}{
		{"in time", open.closed(4001), time.Second, nil},
		{"late", open.updates(5, 9).closed(4001), 30 * time.Millisecond, []string{"revocation"}},
		{"never", open.updates(5, 10), time.Second, []string{"revocation"}},
		{"otherwise, and connected again", open.closed(1012).connect().closed(4001), time.Second, nil},
		{"connected after it", open.closed(4001).connect(), time.Second, []string{"revocation"}},
	} {
		found := faulttest.Verify(day, nil, []faulttest.Record{{Client: "c", Mode: faulttest.Latest, Symbols: []string{symbol},
			Events: tc.stream, Revoked: ended, Within: tc.within}})
		if got := kinds(found); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v\n%v", tc.name, got, tc.want, found)
		}
	}
}

// Two clients that were told different things of the same number.
func TestVerifyClientsAgree(t *testing.T) {
	ticks := accepted("a", 1, 10)
	ticks[4].Epoch, ticks[4].Seq = "", 0 // accepted, and its number not told
	one := stream(nil).connect().snapshot("a", 1).updates(2, 10)
	other := stream(nil).connect().snapshot("a", 1).updates(2, 4).skip(6, 1).updates(7, 10)
	other[5].Bid = bid(5) // a six with the price of the five
	records := []faulttest.Record{{Client: "one", Mode: faulttest.Latest, Events: one}, {Client: "other", Mode: faulttest.Latest, Events: other}}
	if got := kinds(faulttest.Verify(ticks, nil, records)); !slices.Contains(got, "content") {
		t.Errorf("%v, want content", got)
	}
}

func TestMissed(t *testing.T) {
	s := stream(nil).connect().snapshot("a", 1).updates(2, 4).closed(0).connect().reset("a", 8).updates(9, 10)
	other := stream(nil).connect().snapshot("a", 1).updates(2, 6).closed(0).connect().reset("a", 8).updates(9, 10)
	s[1].At, other[1].At = began, began
	some, none := faulttest.Missed(accepted("a", 1, 10), []faulttest.Record{{Mode: faulttest.All, Events: s}, {Mode: faulttest.All, Events: other}, {Mode: faulttest.Latest}})
	if len(some) != 3 || some[0].Seq != 5 {
		t.Errorf("one missed %v, want the 3 before its reset", some)
	}
	if len(none) != 1 || none[0].Seq != 7 {
		t.Errorf("nobody got %v, want 7 alone", none)
	}
	outcomes := []faulttest.Outcome{{Fault: "one", Injected: at(2)}, {Fault: "two", Injected: at(6)}}
	if rest := faulttest.Blame(outcomes, some, func(o *faulttest.Outcome) { o.Lost++ }); rest != 0 || outcomes[0].Lost != 1 || outcomes[1].Lost != 2 {
		t.Errorf("%d blamed on none, else %+v", rest, outcomes)
	}
	spans := []faulttest.Span{{From: at(1), To: at(2)}, {From: at(6), To: at(6)}}
	if n := faulttest.AnsweredIn(spans, some); n != 1 {
		t.Errorf("%d of %v answered in %v, want 1", n, some, spans)
	}
	var text strings.Builder
	report := &faulttest.Report{}
	report.Add(faulttest.Run{Redis: "sentinel replicated", Outcomes: outcomes, Every: 5 * time.Millisecond, Accepted: 10, Lost: 3,
		Unreplicated: 4, LostUnreplicated: 2, Splits: spans, LostInSplits: 1})
	report.WriteTo(&text)
	for _, want := range []string{"two", "10ms", "of 10 accepted ticks 3 reached", "4 were answered as unreplicated, of which 2 were lost", "2 splits", "1 of the lost ticks"} {
		if got := text.String(); !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
}

// A tick that a replica had, by its answer, must be kept. Others need not be.
func TestVerifyKept(t *testing.T) {
	ticks := accepted("a", 1, 6)
	ticks[1].Epoch = "" // an answer may not carry the number
	ticks[2].Unreplicated = true
	ticks[3].State = faulttest.Unknown
	var kept []faulttest.Entry
	for _, n := range []uint64{1, 5} {
		kept = append(kept, faulttest.Entry{Symbol: symbol, Bid: bid(n), Epoch: "a", Seq: n})
	}
	found := faulttest.VerifyKept(ticks, kept)
	if len(found) != 2 || found[0].Kind != faulttest.Unkept || !strings.Contains(found[0].Detail, bid(2)) || !strings.Contains(found[1].Detail, bid(6)) {
		t.Errorf("%v, want the ticks 2 and 6", found)
	}
}

func TestSchedule(t *testing.T) {
	faults := []faulttest.Fault{{Name: "a"}, {Name: "b", Heal: healed}, {Name: "c", Heal: healed, Shortest: time.Second, Longest: 2 * time.Second}}
	names := func(steps []faulttest.Step) (names []string) {
		for _, s := range steps {
			names = append(names, fmt.Sprint(s.Fault.Name, s.Calm, s.Hold))
			if s.Fault.Heal == nil && s.Hold != 0 || s.Fault.Name == "c" && (s.Hold < time.Second || s.Hold > 2*time.Second) {
				t.Errorf("%s holds for %v", s.Fault.Name, s.Hold)
			}
		}
		return names
	}
	one, again, other := names(faulttest.Schedule(1, faults, time.Minute)), names(faulttest.Schedule(1, faults, time.Minute)), names(faulttest.Schedule(2, faults, time.Minute))
	if !slices.Equal(one, again) || slices.Equal(one, other) || len(one) < 12 {
		t.Errorf("seed 1: %v\nagain: %v\nseed 2: %v", one, again, other)
	}
	if first := faulttest.Schedule(1, faults, 0); len(first) != 1 {
		t.Errorf("no time: %d steps, want one", len(first))
	}
}

func healed(context.Context) error { return nil }
