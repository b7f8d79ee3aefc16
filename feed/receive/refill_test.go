package receive_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
)

// world models the quotes of one symbol that Redis has accepted, and those it still keeps.
type world struct {
	all   []feed.Tick
	kept  int // newest of all that history has
	limit int // most that history keeps
	epoch int
	seq   uint64
}

func (w *world) accept() feed.Tick {
	w.seq++
	a := acceptedQuote("EUR/USD", fmt.Sprintf("e%d", w.epoch), w.seq)
	a.At = 1795342500000000 + int64(len(w.all))
	w.all = append(w.all, a)
	w.kept = min(w.kept+1, w.limit)
	return a
}

// begin begins a new epoch; lost means that Redis came back empty.
func (w *world) begin(lost bool) {
	w.epoch, w.seq = w.epoch+1, 0
	if lost {
		w.kept = 0
	}
}

func (w *world) index(epoch string, seq uint64) int {
	return slices.IndexFunc(w.all, func(a feed.Tick) bool { return a.Epoch == epoch && a.Seq == seq })
}

// after returns the answer of History.After.
func (w *world) after(epoch string, seq uint64) (ticks []feed.Tick, complete bool) {
	at, oldest := w.index(epoch, seq), len(w.all)-w.kept
	if at < oldest-1 || at == oldest-1 && at+1 < len(w.all) && w.all[at+1].Epoch != epoch || at < 0 || w.kept == 0 {
		return w.all[oldest:], false
	}
	return w.all[at+1:], true
}

// Whatever messages are lost and whenever history is read, quotes are delivered in the order of
// acceptance and without duplicates. Skipped quotes are counted, and no quote that history still
// has is skipped.
func TestRefill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, reg := newSink(), prometheus.NewPedanticRegistry()
		b := receive.NewBoard(receive.BoardConfig{Sink: s, Registerer: reg})
		b.Heal()
		w := &world{limit: rapid.SampledFrom([]int{0, 3, 20, 1 << 20}).Draw(t, "history")}
		endless := w.limit == 1<<20
		w.accept()
		read := struct { // an answer on its way
			ticks    []feed.Tick
			complete bool
			epoch    string
			seq      uint64
			open     bool
		}{}
		subscribed, stored := true, (*feed.Tick)(nil)
		b.Open("EUR/USD")
		b.Merge("EUR/USD", 0, w.all[0])
		t.Repeat(map[string]func(*rapid.T){
			"accept": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "ticks") {
					if a := w.accept(); subscribed {
						b.Apply(a)
					}
				}
			},
			"message lost": func(t *rapid.T) { w.accept() },
			"repeated": func(t *rapid.T) {
				if subscribed {
					b.Apply(w.all[len(w.all)-1])
				}
			},
			"epoch": func(t *rapid.T) {
				lost := !endless && rapid.Bool().Draw(t, "empty")
				w.begin(lost)
				w.accept()
				if subscribed {
					b.Apply(w.all[len(w.all)-1])
				}
			},
			"connection lost": func(t *rapid.T) { subscribed, stored = false, nil },
			"connected": func(t *rapid.T) {
				if !subscribed {
					subscribed = true
					b.Open("EUR/USD")
				}
			},
			"value read": func(t *rapid.T) {
				if subscribed {
					a := w.all[len(w.all)-1]
					stored = &a
				}
			},
			"marker": func(t *rapid.T) {
				if stored != nil {
					b.Merge("EUR/USD", 0, *stored)
					stored = nil
				}
			},
			"history read": func(t *rapid.T) {
				if _, gap := b.Gaps()["EUR/USD"]; gap {
					read.epoch, read.seq = b.Position("EUR/USD")
					ticks, complete := w.after(read.epoch, read.seq)
					read.ticks, read.complete, read.open = slices.Clone(ticks), complete, true
				}
			},
			"answer": func(t *rapid.T) {
				if epoch, seq := b.Position("EUR/USD"); read.open && epoch == read.epoch && seq == read.seq {
					b.Refill("EUR/USD", read.ticks, read.complete, false)
				}
				read.open = false
			},
			"patience over": func(t *rapid.T) {
				if !endless && rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					b.Refill("EUR/USD", nil, false, true)
				}
			},
			"": func(t *rapid.T) { checkOrder(t, w, s, reg, endless) },
		})
		// It heals: connected again, every gap filled.
		b.Open("EUR/USD")
		b.Merge("EUR/USD", 0, w.all[len(w.all)-1])
		for range len(w.all) {
			if _, gap := b.Gaps()["EUR/USD"]; gap {
				ticks, complete := w.after(b.Position("EUR/USD"))
				b.Refill("EUR/USD", ticks, complete, false)
			}
		}
		published := checkOrder(t, w, s, reg, endless)
		if last := published[len(published)-1]; last != len(w.all)-1 {
			t.Fatalf("ends at %d of %d", last, len(w.all)-1)
		}
		if b.Held() != 0 {
			t.Fatalf("%d still held", b.Held())
		}
	})
}

// checkOrder returns which quotes were delivered, as indexes into the accepted ones.
func checkOrder(t *rapid.T, w *world, s *sink, reg *prometheus.Registry, endless bool) []int {
	var published []int
	var counted uint64
	for _, e := range s.all() {
		var epoch string
		var seq uint64
		if n, _ := fmt.Sscanf(e, "publish EUR/USD %s %d", &epoch, &seq); n != 2 {
			continue
		}
		at := w.index(epoch, seq)
		if n := len(published); n > 0 {
			before := published[n-1]
			if at <= before || endless && at != before+1 {
				t.Fatalf("quote %d follows %d", at, before)
			}
			counted += seq - 1
			if last := w.all[before]; last.Epoch == epoch {
				counted -= last.Seq
			}
		}
		published = append(published, at)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "fx_feed_missed_total" && uint64(f.GetMetric()[0].GetCounter().GetValue()) != counted {
			t.Fatalf("%v counted as missed, want %d", f.GetMetric()[0].GetCounter().GetValue(), counted)
		}
	}
	return published
}

// Quotes beyond the limit of held ones are dropped and read from history in turn.
func TestRefillHoldsBounded(t *testing.T) {
	s, reg := newSink(), prometheus.NewPedanticRegistry()
	b := receive.NewBoard(receive.BoardConfig{Sink: s, Registerer: reg})
	b.Heal()
	w := &world{limit: 1 << 20}
	b.Apply(w.accept())
	w.accept() // lost
	for range receive.MaxHeld + 50 {
		b.Apply(w.accept())
	}
	if b.Held() != receive.MaxHeld {
		t.Errorf("%d held, want %d", b.Held(), receive.MaxHeld)
	}
	if n := metric(t, reg, "fx_feed_gap_buffer_overflow_total"); n != 50 {
		t.Errorf("%v let go, want 50", n)
	}
	b.Refill("EUR/USD", w.all[1:2], true, false) // as if read before the rest came
	if len(b.Gaps()) != 1 {
		t.Fatal("the quotes that were let go are not asked for")
	}
	b.Refill("EUR/USD", w.all[b.Gaps()["EUR/USD"]:], true, false)
	if seqs := s.seqs("EUR/USD", "e0"); len(seqs) != len(w.all) || !contiguous(seqs) {
		t.Errorf("%d quotes handed on of %d", len(seqs), len(w.all))
	}
	if b.Held() != 0 || len(b.Gaps()) != 0 {
		t.Errorf("%d held, gaps %v, want none", b.Held(), b.Gaps())
	}
	if missed := metric(t, reg, "fx_feed_missed_total"); missed != 0 {
		t.Errorf("%v missed", missed)
	}
}

func TestBoardTellsSource(t *testing.T) {
	s := newSink()
	b := receive.NewBoard(receive.BoardConfig{Sink: s})
	seq := uint64(0)
	apply := func(source string) {
		seq++
		a := acceptedQuote("EUR/USD", "e", seq)
		a.Source = source
		b.Apply(a)
	}
	apply("first")
	apply("first")
	apply("backup")
	apply("first") // too soon after the last change: reported once it lasts
	eventually(t, "the change back", func() bool { apply("first"); return s.has("status EUR/USD live from first") })
	var told []string
	for _, e := range s.all() {
		if len(e) > 6 && e[:6] == "status" {
			told = append(told, e)
		}
	}
	check(t, "statuses", told, "status EUR/USD live", "status EUR/USD live from backup", "status EUR/USD live from first")
}
