package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func median(samples []sample, name string) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.number(name)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return math.NaN()
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// mark ends the part of docs/benchmarks.md that report writes.
const mark = "<!-- measured by hand below -->\n"

// table returns a scenario as markdown.
func (m measured) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n`loadgen %s`; %d rounds, medians.\n\n", m.text, strings.Join(m.load, " "), m.rounds)
	if strings.HasPrefix(m.name, "idle") {
		b.WriteString("| | KB of RSS per client |\n|---|---|\n")
		for i, c := range m.candidates {
			fmt.Fprintf(&b, "| %s | %.1f |\n", c.name, median(m.samples[i], "idle_kb_per_client"))
		}
		return b.String()
	}
	of, cpu := "per delivery", "server_us_per_delivery"
	if m.name == "pace" { // quotes that are conflated are not delivered
		of, cpu = "per client and second", "server_us_per_client_second"
	}
	fmt.Fprintf(&b, "| | server CPU, µs %s | %s / this | delivered per s | quotes per message | bytes per quote | told skipped | lost | p50 ms | p99 ms | p99.9 ms |\n|---|---|---|---|---|---|---|---|---|---|---|\n", of, m.candidates[0].name)
	first := median(m.samples[0], cpu)
	for i, c := range m.candidates {
		get := func(name string) float64 { return median(m.samples[i], name) }
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.0f | %.1f | %.0f | %.0f | %.0f | %.1f | %.1f | %.1f |\n", c.name,
			get(cpu), first/get(cpu), get("delivered_per_s"), get("quotes_per_message"), get("bytes_per_delivery"),
			get("skipped"), get("lost")+get("not_latest")+get("doubled"), get("p50_us")/1e3, get("p99_us")/1e3, get("p999_us")/1e3)
	}
	return b.String()
}

// report writes docs/benchmarks.md and its plot.
func report(docs string, all []measured, took time.Duration) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmarks

Made by `+"`make bench-compare`"+` in %v on a machine with %d processors (%s/%s, %s), on %s. The load client, the server and Redis share these processors; all talk over loopback. Absolute figures are this machine's; the ratios are what to compare. fxcast runs with sessions and limits on, each client signed in as another user; the peers have neither.

- **floor** (`+"`bench/floor`"+`): bare non-blocking writes of prepared frames, nothing else: the price of write(2).
- **fxcast, fx.v1.pb**: the same server, with clients that receive binary quotes.
- **centrifuge** (`+"`bench/centrifuge`"+`): the library behind Centrifugo with its Redis broker: as it comes, and with its options for fewer writes (WriteDelay) and fewer bytes (Protobuf, deltas). It publishes the quotes of a burst in parallel. With deltas its quotes are counted but not read, so that latency and losses are unknown.

Server CPU is user and system time from /proc per delivered quote. Lost counts gaps that `+"`skipped`"+` does not explain, quotes that came twice, and clients that do not end on the newest quote. For programs without `+"`skipped`"+` every gap is a loss.

![CPU per delivery against load](benchmarks.svg)

`, took.Round(time.Second), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), time.Now().UTC().Format("2 January 2006"))
	for _, m := range all {
		b.WriteString(m.table() + "\n")
	}
	path := filepath.Join(docs, "benchmarks.md")
	if old, err := os.ReadFile(path); err == nil { // results measured by hand are below the mark
		if _, rest, ok := strings.Cut(string(old), mark); ok {
			b.WriteString(mark + rest)
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "benchmarks.svg"), []byte(plot(all)), 0o644)
}

// plot draws server CPU per delivery against deliveries per second for the
// scenarios with 1,000 clients and single quotes.
func plot(all []measured) string {
	type point struct{ x, y float64 }
	lines := map[string][]point{}
	var names []string
	top, right := 0.0, 0.0
	for _, m := range all {
		if m.name != "single" && !strings.HasPrefix(m.name, "sweep") {
			continue
		}
		for i, c := range m.candidates {
			p := point{median(m.samples[i], "delivered_per_s"), median(m.samples[i], "server_us_per_delivery")}
			if lines[c.name] == nil {
				names = append(names, c.name)
			}
			lines[c.name] = append(lines[c.name], p)
			top, right = max(top, p.y), max(right, p.x)
		}
	}
	top, right = math.Ceil(top/5)*5, math.Ceil(right/20000)*20000
	const w, h, left, bottom = 720.0, 360.0, 60.0, 50.0
	x := func(v float64) float64 { return left + v/right*(w-left-20) }
	y := func(v float64) float64 { return h - bottom - v/top*(h-bottom-20) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="13"><rect width="100%%" height="100%%" fill="#fff"/>`, w, h)
	for i := range 6 {
		v := top * float64(i) / 5
		fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">%.0f</text>`, left, w-20, y(v), y(v), left-8, y(v)+4, v)
		v = right * float64(i) / 5
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%.0fk</text>`, x(v), h-bottom+18, v/1000)
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">deliveries per second, 1,000 clients</text>`, (w+left)/2, h-10)
	fmt.Fprintf(&b, `<text x="16" y="%g" transform="rotate(-90 16 %g)" text-anchor="middle">server CPU, µs per delivery</text>`, h/2, h/2)
	colors := []string{"#0b62d6", "#777", "#c2410c", "#15803d"}
	for i, name := range names {
		points := lines[name]
		slices.SortFunc(points, func(a, b point) int { return int(a.x - b.x) })
		var path []string
		for _, p := range points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x(p.x), y(p.y)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, x(p.x), y(p.y), colors[i%len(colors)])
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(path, " "), colors[i%len(colors)])
		fmt.Fprintf(&b, `<text x="%g" y="%g" fill="%s">%s</text>`, w-150, 30+18*float64(i), colors[i%len(colors)], name)
	}
	return b.String() + "</svg>\n"
}
