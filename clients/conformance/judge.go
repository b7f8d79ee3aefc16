package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Tries is how often a runner plays a scenario until it fails, if each time the machine was late.
const Tries = 3

const (
	slack             = time.Second // real time by which a client may be late
	commandsPerSecond = 10
	maxConnects       = 10               // in a minute
	minute            = 54 * time.Second // of the scenario, less what the network may shift
)

// judge returns the faults of the client.
func (r *run) judge(reports []map[string]any) (faults []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	faults = append(faults, r.faults...)
	faults = append(faults, r.judgeConnects()...)
	expect := r.scenario.Expect
	byKind := map[string][]map[string]any{}
	for _, report := range reports {
		kind, _ := report["report"].(string)
		if kind == "error" && report["kind"] == "connection" {
			continue
		}
		byKind[kind] = append(byKind[kind], report)
	}
	if expect.States != nil {
		var states []map[string]any
		for _, state := range expect.States {
			states = append(states, map[string]any{"state": state})
		}
		faults = append(faults, compare("state", states, byKind["state"])...)
	}
	all := r.scenario.allMode()
	faults = append(faults, bySymbol(expand(expect.Quotes), byKind["quote"], func(symbol string, want, got []map[string]any) []string {
		if all(symbol) {
			return compare("quote", want, got)
		}
		return compareConflated(want, got)
	})...)
	faults = append(faults, bySymbol(expect.Gaps, byKind["gap"], func(symbol string, want, got []map[string]any) []string {
		if all(symbol) {
			return compare("gap", want, got)
		}
		return compareTotal(want, got)
	})...)
	faults = append(faults, bySymbol(expect.Statuses, byKind["status"], func(_ string, want, got []map[string]any) []string {
		return compare("status", want, got)
	})...)
	faults = append(faults, bySymbol(expect.Candles, byKind["candle"], func(_ string, want, got []map[string]any) []string {
		return compareCandles(want, got)
	})...)
	faults = append(faults, bySymbol(expect.Days, byKind["day"], func(_ string, want, got []map[string]any) []string {
		return compare("day", want, got)
	})...)
	faults = append(faults, compare("error", expect.Errors, byKind["error"])...)
	for kind := range byKind {
		if !slices.Contains([]string{"state", "quote", "gap", "status", "candle", "day", "error"}, kind) {
			faults = append(faults, fmt.Sprintf("a report of the unknown kind %q", kind))
		}
	}
	return faults
}

// judgeConnects judges the number and the times of the connects, and the commands.
func (r *run) judgeConnects() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if got, want := len(r.attempts), len(r.script); got < want {
		fault("the client connected %d times, want %d", got, want)
	}
	if r.scenario.Auth == "ticket" && r.tickets != r.scenario.Expect.Tickets {
		fault("the client asked for %d tickets, want %d", r.tickets, r.scenario.Expect.Tickets)
	}
	for i, a := range r.attempts {
		if i > 0 && a.script.After != nil && !r.attempts[i-1].endedAt.IsZero() {
			last, b := r.attempts[i-1], a.script.After
			took := a.at.Sub(last.endedAt)
			// The server notices later than the client that the client has ended a connection.
			least := a.at.Sub(cmp.Or(last.provoked, last.endedAt))
			if least < r.scaled(b.MinMS) || b.MaxMS > 0 && took > r.scaled(b.MaxMS)+slack {
				fault("connect %d came %.0f ms after the end of the last connection, want %.0f to %.0f", a.number, r.ms(took), b.MinMS, b.MaxMS)
			}
		}
		if i >= maxConnects {
			if took := a.at.Sub(r.attempts[i-maxConnects].at); took < r.scaled(float64(minute.Milliseconds())) {
				fault("connects %d to %d came within %.0f ms, want 60000", a.number-maxConnects, a.number, r.ms(took))
			}
		}
		for j := 2 * commandsPerSecond; j < len(a.messages); j++ {
			if took := a.messages[j].at.Sub(a.messages[j-2*commandsPerSecond].at); took < r.scaled(800) {
				fault("connect %d: %d commands within %.0f ms, want at most %d in a second", a.number, 2*commandsPerSecond+1, r.ms(took), 2*commandsPerSecond)
				break
			}
		}
		if a.idle && a.code != 1000 && a.code != 1001 && a.code != 1005 {
			fault("connect %d ended without the client's close frame: %s", a.number, a.end)
		}
	}
	return faults
}

// ms returns a real time in ms of the scenario.
func (r *run) ms(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond) / r.scenario.Scale
}

// expand replaces entries with a range of numbers by one entry per number.
func expand(want []map[string]any) (each []map[string]any) {
	for _, w := range want {
		bounds, ok := w["seq"].([]any)
		if !ok || len(bounds) != 2 {
			each = append(each, w)
			continue
		}
		from, _ := bounds[0].(float64)
		to, _ := bounds[1].(float64)
		for seq := uint64(from); seq <= uint64(to); seq++ {
			e := maps.Clone(w)
			e["seq"], e["bid"], e["ask"] = float64(seq), bidOf(seq), askOf(seq)
			each = append(each, e)
		}
	}
	return each
}

// bySymbol compares the reports of one kind, symbol by symbol.
func bySymbol(want, got []map[string]any, compare func(symbol string, want, got []map[string]any) []string) (faults []string) {
	split := func(reports []map[string]any) map[string][]map[string]any {
		m := map[string][]map[string]any{}
		for _, report := range reports {
			symbol := fmt.Sprint(report["symbol"])
			m[symbol] = append(m[symbol], report)
		}
		return m
	}
	wanted, reported := split(want), split(got)
	symbols := maps.Clone(wanted)
	maps.Copy(symbols, reported)
	for _, symbol := range slices.Sorted(maps.Keys(symbols)) {
		faults = append(faults, compare(symbol, wanted[symbol], reported[symbol])...)
	}
	return faults
}

// allMode returns whether a symbol is subscribed in mode all.
func (s *Scenario) allMode() func(symbol string) bool {
	return func(symbol string) bool {
		base, quote, _ := strings.Cut(symbol, "/")
		return slices.ContainsFunc(s.Client, func(c ClientStep) bool {
			return c.Mode == protocol.ModeAll && slices.ContainsFunc(c.Symbols, func(name string) bool {
				return name == symbol || name == "*" || name == base+"/*" || name == "*/"+quote
			})
		})
	}
}

// compareConflated compares quotes of mode latest, in which a client may replace a quote that its
// subscriber has not read by a newer one. The newer one's skipped then counts it.
func compareConflated(want, got []map[string]any) []string {
	next := 0
	for i, g := range got {
		skipped, found := 0.0, false
		for ; next < len(want) && !found; next++ {
			w := maps.Clone(want[next])
			own, _ := w["skipped"].(float64)
			delete(w, "skipped")
			if next > 0 && !reflect.DeepEqual(w["epoch"], want[next-1]["epoch"]) {
				skipped = 0
			}
			skipped += own
			if found = differs(w, g) == "" && g["skipped"] == skipped; !found {
				skipped++
			}
		}
		if !found {
			return []string{fmt.Sprintf("quote %d is not among those sent, or its skipped is wrong: reported %s, want %s, which may be conflated", i+1, list(got, i), list(want, 0))}
		}
	}
	if next < len(want) {
		return []string{fmt.Sprintf("the last quotes were not reported: %s", list(want, next))}
	}
	return nil
}

// compareCandles compares candles. A client may replace a running one that its subscriber has not read
// by a later one.
func compareCandles(want, got []map[string]any) []string {
	for len(want) > 0 && len(got) > 0 {
		if differs(want[0], got[0]) == "" {
			want, got = want[1:], got[1:]
		} else if want[0]["open"] == true && len(want) > 1 {
			want = want[1:]
		} else {
			break
		}
	}
	return compare("candle", want, got)
}

// compareTotal compares gaps of mode latest, which may be conflated like quotes.
func compareTotal(want, got []map[string]any) []string {
	total := func(gaps []map[string]any) (n float64) {
		for _, g := range gaps {
			missing, _ := g["missing"].(float64)
			n += missing
		}
		return n
	}
	if len(got) > len(want) || len(got) == 0 && len(want) > 0 || total(got) != total(want) {
		return []string{fmt.Sprintf("gaps: reported %s, want %s, which may be conflated", list(got, 0), list(want, 0))}
	}
	return nil
}

// compare compares the reports of one kind with those expected.
func compare(kind string, want, got []map[string]any) (faults []string) {
	for i := range min(len(want), len(got)) {
		if why := differs(want[i], got[i]); why != "" {
			return []string{fmt.Sprintf("%s %d: %s; reported %s, want %s", kind, i+1, why, list(got, i), list(want, i))}
		}
		if kind == "error" && got[i]["kind"] == "protocol" && (got[i]["message"] == nil || got[i]["message"] == "") {
			faults = append(faults, fmt.Sprintf("error %d has no message", i+1))
		}
	}
	switch {
	case len(got) < len(want):
		faults = append(faults, fmt.Sprintf("%d reports of %q, want %d; missing %s", len(got), kind, len(want), list(want, len(got))))
	case len(got) > len(want):
		faults = append(faults, fmt.Sprintf("%d reports of %q, want %d; too many %s", len(got), kind, len(want), list(got, len(want))))
	}
	return faults
}

// list returns up to five reports, beginning with one.
func list(reports []map[string]any, from int) string {
	text, _ := json.Marshal(reports[from:min(len(reports), from+5)]) // values that come from JSON
	return string(text)
}

// differs reports which of the wanted fields differs, or "". A wanted nil must be absent.
func differs(want, got map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w, g := want[name], got[name]
		if name == "symbols" {
			w, g = sorted(w), sorted(g)
		}
		if !reflect.DeepEqual(w, g) {
			return fmt.Sprintf("%q differs", name)
		}
	}
	return ""
}

func sorted(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int {
		x, y := fmt.Sprint(a), fmt.Sprint(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return list
}

// seen returns what the server has seen of the client.
func (r *run) seen() map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	attempts := []any{}
	for _, a := range r.attempts {
		messages := []json.RawMessage{}
		for _, m := range a.messages[:min(len(a.messages), 100)] {
			messages = append(messages, m.text)
		}
		entry := map[string]any{"at_ms": r.ms(a.at.Sub(r.began)), "auth": a.auth, "protocol": a.protocol, "end": a.end, "messages": messages}
		if !a.endedAt.IsZero() {
			entry["ended_ms"] = r.ms(a.endedAt.Sub(r.began))
		}
		attempts = append(attempts, entry)
	}
	return map[string]any{"attempts": attempts, "tickets": r.tickets}
}
