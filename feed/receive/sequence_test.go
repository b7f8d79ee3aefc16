package receive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

func (s state) String() string {
	return [...]string{"idle", "opening", "following", "refilling", "beginning"}[s]
}

// transitions are the arrows of the diagram at state.
var transitions = map[state][]state{
	idle:      {idle, opening},
	opening:   {opening, following, beginning, idle},
	following: {following, refilling, idle},
	refilling: {refilling, following, idle},
	beginning: {beginning, following, refilling, idle},
}

// redisTime is when the first ticks of the tests are accepted, by Redis's clock.
const redisTime = 1_700_000_000_000_000

// tickOf reads "a7" or "a7@12.5": epoch a, number 7, accepted after 12.5 s.
func tickOf(t testing.TB, text string) feed.Tick {
	t.Helper()
	name, after, late := strings.Cut(text, "@")
	seq, err := strconv.ParseUint(name[1:], 10, 64)
	at := int64(redisTime + seq)
	if late {
		seconds, _ := strconv.ParseFloat(after, 64)
		at = redisTime + int64(seconds*1e6)
	}
	if err != nil {
		t.Fatalf("tick %q: %v", text, err)
	}
	return feed.Tick{Symbol: "EUR/USD", Epoch: name[:1], Seq: seq, At: at}
}

func (c change) String() string {
	var parts []string
	for _, a := range c.passed {
		parts = append(parts, a.tick.Epoch+strconv.FormatUint(a.tick.Seq, 10))
	}
	for name, is := range map[string]bool{"follow": c.follow, "gap": c.gap, "outdated": c.outdated, "overflow": c.overflow,
		fmt.Sprint("missed ", c.missed): c.missed > 0, fmt.Sprint("refilled ", c.refilled): c.refilled > 0} {
		if is {
			parts = append(parts, name)
		}
	}
	slices.Sort(parts[len(c.passed):])
	return strings.Join(parts, ", ")
}

func TestSequence(t *testing.T) {
	// Each step is a call, its change and the state after it.
	for _, c := range []struct {
		name  string
		steps []string
	}{
		{"ticks in order", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a6 = a6: following", "a7 = a7: following"}},
		{"no last value", []string{
			"open = opening", "snapshot = follow: following", "a1 = a1: following"}},
		{"a live tick is newer than the last value", []string{
			"open = opening", "a7 = : opening", "a8 = : opening", "snapshot a7 = a8, follow: following", "a9 = a9: following"}},
		{"an epoch is left before the last value is read", []string{
			"open = opening", "a7@1 = : opening", "b1@2 = : opening", "a8@3 = outdated: opening", "b1@2 = outdated: opening",
			"snapshot b1@2 = b1, follow: following", "a8@4 = outdated: following"}},
		{"nothing twice, nothing older", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a5 = outdated: following", "a4 = outdated: following"}},
		{"a gap is filled", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a8 = gap: refilling", "a9 = : refilling",
			"refill a6 a7 a8 = a6, a7, a8, a9, refilled 3: following", "a10 = a10: following"}},
		{"history was read before the tick that is held", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a8 = gap: refilling",
			"refill a6 = a6, gap, refilled 1: refilling", "refill a7 a8 = a7, a8, refilled 2: following"}},
		{"history no longer reaches back", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a10 = gap: refilling",
			"refill short a8 a9 a10 = a8, a9, a10, missed 2, refilled 3: following"}},
		{"history begins after some that are held", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a7 = gap: refilling", "a8 = : refilling", "a12 = : refilling",
			"refill short a11 a12 = a7, a8, a11, a12, missed 3, refilled 2: following"}},
		{"history has an older epoch that never came here", []string{
			"open = opening", "snapshot c5@5 = c5, follow: following", "d9@9 = gap: refilling",
			"refill short b7@1 c4@4 d8@8 d9@9 = d8, d9, missed 7, refilled 2: following"}},
		{"history has nothing", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a8 = gap: refilling", "a11 = : refilling",
			"refill short = a8, gap, missed 2: refilling", "refill short a10 a11 = a10, a11, missed 1, refilled 2: following"}},
		{"history cannot be read", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a8 = gap: refilling", "a10 = : refilling",
			"give up = a8, a10, missed 3: following"}},
		{"nobody refills", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "no refills a8 = a8, missed 2: following"}},
		{"a message was lost before the connection failed", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "open = following", "snapshot a7 = gap: refilling",
			"refill a6 a7 = a6, a7, refilled 2: following"}},
		{"nothing was lost", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "open = following", "snapshot a5 = : following",
			"open = following", "a6 = a6: following", "snapshot b9 = : following"}},
		{"a new epoch may hide the end of the old one", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "b1 = gap: refilling", "refill a6 b1 = a6, b1, refilled 2: following",
			"c3 = gap: refilling", "refill short c2 c3 = c2, c3, missed 1, refilled 2: following"}},
		{"an epoch that was left does not come back", []string{
			"open = opening", "snapshot a5@0 = a5, follow: following", "b1@1 = gap: refilling", "refill b1@1 = b1, refilled 1: following",
			"a6@2 = outdated: following", "b2@3 = b2: following", "a7@10 = outdated: following"}},
		{"unless Redis went back to it", []string{
			"open = opening", "snapshot a5@0 = a5, follow: following", "no refills b1@1 = b1: following", "a9@11 = gap: refilling",
			"give up = a9, missed 8: following", "b2@12 = outdated: following"}},
		{"a new symbol from its first tick on", []string{
			"began", "open = opening", "a3 = : opening", "snapshot a2 = gap: beginning", "a4 = : beginning",
			"refill a1 a2 a3 a4 = a1, a2, a3, a4, follow, refilled 4: following"}},
		{"its connection fails meanwhile", []string{
			"began", "open = opening", "snapshot a2 = gap: beginning", "open = beginning", "snapshot a4 = : beginning",
			"refill a1 a2 = a1, a2, follow, gap, refilled 2: refilling", "refill a3 a4 = a3, a4, refilled 2: following"}},
		{"a new symbol at its first tick", []string{
			"began", "open = opening", "snapshot a1 = a1, follow: following"}},
		{"a symbol that is no longer new", []string{
			"began", "later", "open = opening", "snapshot a3 = a3, follow: following"}},
		{"left and followed again", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "a8 = gap: refilling", "leave = idle", "a9 = : idle", "snapshot a9 = : idle",
			"refill a6 = : idle", "open = opening", "a20 = : opening", "open = opening", "snapshot a21 = a21, follow: following"}},
		{"too many to hold", []string{
			"open = opening", "snapshot a5 = a5, follow: following", "full a8 = gap: refilling", "full a9 = overflow: refilling", "full a10 = overflow: refilling",
			"refill a6 a7 a8 = a6, a7, a8, gap, refilled 3: refilling", "refill a9 a10 = a9, a10, refilled 2: following"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, now := &sequence{}, time.Now()
			for _, step := range c.steps {
				do, want, _ := strings.Cut(step, " = ")
				if got := apply(t, s, do, &now); got != want {
					t.Fatalf("%s: %s, want %s", do, got, want)
				}
			}
		})
	}
}

// apply makes one call and returns its change and the state after it.
func apply(t *testing.T, s *sequence, do string, now *time.Time) string {
	t.Helper()
	*now = now.Add(time.Millisecond)
	m := moment{now: *now, refill: true, hold: true}
	arrived := func(text string) arrival { return arrival{tickOf(t, text), *now, now.Add(time.Minute)} }
	words := strings.Fields(do)
	var c change
	switch words[0] {
	case "began":
		s.began = *now
		return ""
	case "later":
		*now = now.Add(newFor)
		return ""
	case "open":
		s.Open(*now)
		return s.state.String()
	case "leave":
		s.Leave()
		return s.state.String()
	case "snapshot":
		var last *arrival
		if len(words) > 1 {
			a := arrived(words[1])
			last = &a
		}
		c = s.Snapshot(last, m)
	case "refill", "give":
		after, _, _ := s.Gap()
		h := refill{after: after, complete: true, giveUp: words[0] == "give"}
		for _, w := range words[1:] {
			switch w {
			case "short":
				h.complete = false
			case "up":
				h.complete = false
			default:
				h.ticks = append(h.ticks, tickOf(t, w))
			}
		}
		c = s.Refill(h, m, time.Minute)
	case "no": // refills
		m.refill = false
		c = s.Offer(arrived(words[2]), m)
	case "full":
		m.hold = false
		c = s.Offer(arrived(words[1]), m)
	default:
		c = s.Offer(arrived(words[0]), m)
	}
	return c.String() + ": " + s.state.String()
}

// Whatever is lost, read late or given up, ticks are passed on in the order of acceptance and
// without duplicates, and each skipped number is counted.
func TestSequenceProperty(t *testing.T) {
	for range 20 {
		rapid.Check(t, anyInterleaving)
	}
}

func FuzzSequence(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anyInterleaving)) }

// model is Redis and the connection to it, as one symbol sees them.
type model struct {
	all    []feed.Tick // accepted, in order
	epoch  int
	seq    uint64
	kept   int // newest of all that history has
	limit  int // most that history keeps
	now    time.Time
	stored int // index of the last value that was read; -1 = none
	answer *refill

	s         sequence
	connected bool
	offered   []int // indexes in all
	passed    []int // indexes in all, since the symbol was last followed
	following bool  // as follow and Leave say
	well      bool
}

func anyInterleaving(t *rapid.T) {
	m := &model{now: time.Unix(1_700_000_000, 0), stored: -1, limit: rapid.SampledFrom([]int{0, 3, 20, 1 << 20}).Draw(t, "history")}
	endless := m.limit == 1<<20
	t.Repeat(map[string]func(*rapid.T){
		"accept": func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "ticks") {
				m.accept()
				m.offer(t, len(m.all)-1)
			}
		},
		"message lost": func(t *rapid.T) { m.accept() },
		"repeated": func(t *rapid.T) {
			if n := len(m.offered); n > 0 {
				m.offer(t, m.offered[rapid.IntRange(max(0, n-3), n-1).Draw(t, "which")])
			}
		},
		"epoch": func(t *rapid.T) {
			m.epoch, m.seq = m.epoch+1, 0
			if !endless && rapid.Bool().Draw(t, "history lost") {
				m.kept = 0
			}
		},
		"connection lost": func(*rapid.T) { m.connected, m.stored, m.offered = false, -1, nil },
		"connected":       func(t *rapid.T) { m.connect(t) },
		"value read": func(*rapid.T) {
			if m.connected {
				m.stored = len(m.all) - 1
			}
		},
		"marker": func(t *rapid.T) { m.merge(t) },
		"left": func(t *rapid.T) {
			before := m.s.state
			if followed := m.s.Leave(); followed != (before >= following) {
				t.Fatalf("Leave = %v in state %v", followed, before)
			}
			m.check(t, before, change{})
			m.connected, m.stored, m.passed, m.following, m.offered = false, -1, nil, false, nil
		},
		"history read": func(t *rapid.T) { m.read() },
		"answer": func(t *rapid.T) {
			if m.answer != nil {
				m.refill(t, *m.answer)
			}
		},
		"patience over": func(t *rapid.T) {
			if after, _, open := m.s.Gap(); open && !endless {
				m.refill(t, refill{after: after, giveUp: true})
			}
		},
		"": func(t *rapid.T) {
			for i := 1; endless && i < len(m.passed); i++ {
				if m.passed[i] != m.passed[i-1]+1 {
					t.Fatalf("tick %d was left out, and history has it", m.passed[i-1]+1)
				}
			}
		},
	})
	// After recovery the newest tick has been passed on and none is held.
	m.well = true
	m.accept()
	m.connected = false
	m.connect(t)
	m.stored = len(m.all) - 1
	m.merge(t)
	for range len(m.all) + 1 {
		if m.read() {
			m.refill(t, *m.answer)
		}
	}
	if n := len(m.passed); n == 0 || m.passed[n-1] != len(m.all)-1 || m.s.state != following || !m.following {
		t.Fatalf("in the end %v of %d ticks, state %v", m.passed, len(m.all), m.s.state)
	}
}

func (m *model) accept() {
	m.seq++
	m.now = m.now.Add(time.Millisecond)
	m.all = append(m.all, feed.Tick{Symbol: "EUR/USD", Epoch: fmt.Sprint("e", m.epoch), Seq: m.seq, At: m.now.UnixMicro()})
	m.kept = min(m.kept+1, m.limit)
}

func (m *model) index(p protocol.Position) int {
	return slices.IndexFunc(m.all, func(t feed.Tick) bool { return idOf(t).Position == p })
}

func (m *model) moment(t *rapid.T) moment {
	r := rapid.IntRange(0, 9).Draw(t, "room, somebody refills")
	return moment{now: m.now, refill: r != 1 || m.limit == 1<<20 || m.well, hold: r > 0}
}

func (m *model) arrival(i int) arrival {
	return arrival{m.all[i], m.now, m.now.Add(time.Minute)}
}

func (m *model) offer(t *rapid.T, i int) {
	if !m.connected {
		return
	}
	m.offered = append(m.offered, i)
	before := m.s.state
	m.check(t, before, m.s.Offer(m.arrival(i), m.moment(t)))
}

func (m *model) connect(t *rapid.T) {
	if m.connected {
		return
	}
	m.connected = true
	before := m.s.state
	if before == idle && rapid.Bool().Draw(t, "just began") && m.s.newest.Epoch == "" {
		m.s.began = m.now
	}
	m.s.Open(m.now)
	m.check(t, before, change{})
}

func (m *model) merge(t *rapid.T) {
	if !m.connected {
		return
	}
	var last *arrival
	if m.stored >= 0 {
		a := m.arrival(m.stored)
		last = &a
	}
	before := m.s.state
	m.check(t, before, m.s.Snapshot(last, m.moment(t)))
	m.stored = -1
}

// read reads history for the open gap, if there is one.
func (m *model) read() bool {
	after, _, open := m.s.Gap()
	if !open {
		return false
	}
	at, oldest := m.index(after), len(m.all)-m.kept
	if after.Seq == 0 { // all of its epoch
		at = m.index(protocol.Position{Epoch: after.Epoch, Seq: 1}) - 1
	}
	m.answer = &refill{after: after}
	lost := at < oldest-1 || at == oldest-1 && at+1 < len(m.all) && m.all[at+1].Epoch != after.Epoch || m.kept == 0
	if m.answer.complete = !lost; lost {
		at = oldest - 1
	}
	m.answer.ticks = slices.Clone(m.all[at+1:])
	return true
}

func (m *model) refill(t *rapid.T, h refill) {
	before := m.s.state
	m.check(t, before, m.s.Refill(h, m.moment(t), time.Minute))
	m.answer = nil
}

// check checks the change of a call and the sequence after it.
func (m *model) check(t *rapid.T, before state, c change) {
	s := &m.s
	if !slices.Contains(transitions[before], s.state) {
		t.Fatalf("state %v after %v", s.state, before)
	}
	switch held := len(s.held); {
	case (s.state == idle || s.state == following) && held > 0,
		s.state == opening && held > 1, s.state >= refilling && held == 0:
		t.Fatalf("%d ticks held in state %v", held, s.state)
	}
	if c.follow {
		if m.following || s.state < following || s.state == beginning {
			t.Fatalf("follow in state %v after %v", s.state, before)
		}
		m.following = true
	}
	var missed uint64
	for _, a := range c.passed {
		i := m.index(idOf(a.tick).Position)
		if n := len(m.passed); n > 0 {
			last := m.passed[n-1]
			if i <= last {
				t.Fatalf("tick %d after %d", i, last)
			}
			missed += m.all[i].Seq - 1
			if m.all[i].Epoch == m.all[last].Epoch {
				missed -= m.all[last].Seq
			}
		}
		m.passed = append(m.passed, i)
	}
	if c.missed != missed {
		t.Fatalf("%d counted as missed, want %d", c.missed, missed)
	}
}

// Epochs whose order is known do not come back, however late, unless one begins.
func TestSequenceOfOrderedEpochs(t *testing.T) {
	began := time.Now()
	epoch := func(n int) string { return feed.NewEpoch(began.Add(time.Duration(n) * time.Second)) }
	one, two, three := epoch(1), epoch(2), epoch(3)
	var s sequence
	s.Open(began)
	s.Snapshot(nil, moment{now: began})
	for i, step := range []struct {
		epoch   string
		seq     uint64
		seconds int64
		want    string
		back    string
	}{
		{two, 4, 0, two + "4", ""},
		{one, 7, 1, "outdated", ""},
		{one, 8, 60, "outdated", one}, // which another node may have left
		{one, 1, 61, one + "1", ""},   // but a publisher's clock may be behind
		{two, 5, 62, "outdated", ""},
		{three, 9, 63, three + "9, missed 8", ""},
		{two, 6, 70, "outdated", ""},
		{one, 2, 80, "outdated", one},
		{"abcdefgh", 3, 81, "abcdefgh3, missed 2", ""}, // of version 0.1: the order is not known
		{three, 10, 82, "outdated", ""},
		{three, 11, 100, three + "11, missed 10", ""},
	} {
		tick := feed.Tick{Symbol: "EUR/USD", Epoch: step.epoch, Seq: step.seq, At: redisTime + step.seconds*1e6}
		c := s.Offer(arrival{tick: tick}, moment{now: began})
		if c.String() != step.want || c.back != step.back {
			t.Errorf("step %d: %s, back to %q, want %s, %q", i+1, c, c.back, step.want, step.back)
		}
	}
}
