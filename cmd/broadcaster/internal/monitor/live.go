package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/redisadmin"
)

const (
	liveEvery    = time.Second
	liveSlow     = 5   // slowest commands kept, of the whole time
	liveHistory  = 60  // samples in the curve
	liveTall     = 34  // least height for the full view
	liveWidest   = 120 // most columns used
	liveTopNames = 3   // commands on a plain line
)

const costWarning = "MONITOR runs: it takes up to half of the throughput of Redis until this ends"

// live shows samples for the requested time.
func (m *monitor) live(ctx context.Context) int {
	start, asked := time.Now(), ctx
	span := time.Duration(m.request.seconds) * time.Second
	// Allow for the last sample, which comes at the end of the time.
	ctx, cancel := context.WithDeadline(ctx, start.Add(span+liveEvery/2))
	defer cancel()
	if m.request.commands {
		fmt.Fprintln(m.stderr, "broadcaster: monitor: "+costWarning)
	}
	show := m.view()
	defer show.end()
	answered, last := false, error(nil)
	for s, err := range m.admin.Watch(ctx, redisadmin.WatchConfig{Every: liveEvery, Commands: m.request.commands}) {
		if err != nil {
			last = err
			show.fault(s.At, reason(err))
		} else {
			answered = true
			show.sample(s)
		}
		if time.Since(start) >= span-liveEvery/4 {
			break
		}
	}
	switch {
	case answered, last == nil && asked.Err() != nil: // Ctrl-C before there was anything
		return cli.OK
	case last == nil: // the time was over while the first question was open
		show.fault(time.Now().UTC(), reason(redisadmin.ErrUnavailable))
	}
	return cli.Failed
}

// A liveView shows samples as they come.
type liveView interface {
	sample(redisadmin.Sample)
	fault(at time.Time, reason string)
	end()
}

func (m *monitor) view() liveView {
	if m.request.json {
		return jsonLines{json.NewEncoder(m.stdout)}
	}
	if f, ok := m.stdout.(*os.File); ok && !m.dumb && term.IsTerminal(int(f.Fd())) {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width >= 40 && height >= 10 {
			return newScreen(f, m.where, m.request, func() (int, int) {
				if width, height, err := term.GetSize(int(f.Fd())); err == nil {
					return width, height
				}
				return width, height
			})
		}
	}
	return &plainLines{w: m.stdout}
}

// jsonLines writes one document per line.
type jsonLines struct{ *json.Encoder }

func (j jsonLines) sample(s redisadmin.Sample) { j.Encode(s) }

func (j jsonLines) fault(at time.Time, reason string) {
	j.Encode(map[string]any{"at": at, "error": reason})
}

func (j jsonLines) end() {}

// plainLines writes lines for files and pipes.
type plainLines struct {
	w      io.Writer
	headed bool
}

func (p *plainLines) sample(s redisadmin.Sample) {
	align := "lrrrrL"
	row := []string{
		s.At.Format("15:04:05"), pad("", 8), pad("", 7), pad("", 10), pad("", 7), topNames(s.Commands),
	}
	for i, text := range []string{orUnknown(s.OpsPerSecond, rateText), tableNumber(s.Clients, grouped), tableNumber(s.UsedBytes, func(n int64) string { return bytesText(float64(n)) }), percentText(s.HitRatio)} {
		row[i+1] = fmt.Sprintf("%*s", len(row[i+1]), text)
	}
	rows := [][]string{{"time UTC", "commands", "clients", "memory", "hits", "busiest, per second"}, row}
	lines := columns(align, rows, pageWidth)
	if p.headed {
		lines = lines[1:]
	}
	p.headed = true
	if text := sampleRemark(s); text != "" {
		lines = append(lines, cut("          "+text, pageWidth))
	}
	for _, e := range s.Slow[:min(len(s.Slow), liveSlow)] {
		lines = append(lines, cut(fmt.Sprintf("          slow %s: %s from %s", microsText(float64(e.Micros)), e.Command, cmp.Or(e.ClientName, e.Client, "-")), pageWidth))
	}
	if t := s.Touched; t != nil {
		lines = append(lines, touchedLines(*t)...)
	}
	for _, line := range lines {
		fmt.Fprintln(p.w, cli.Printable(line))
	}
}

func (p *plainLines) fault(at time.Time, reason string) {
	fmt.Fprintln(p.w, cut(at.Format("15:04:05")+"  "+reason, pageWidth))
}

func (p *plainLines) end() {}

// touchedLines summarizes the keys that MONITOR showed, in a few lines.
func touchedLines(t redisadmin.Touched) (lines []string) {
	text := "keys touched per second: "
	for i, one := range t.Prefixes[:min(len(t.Prefixes), 12)] {
		if i > 0 {
			text += ", "
		}
		text += one.Prefix + " " + rateText(one.PerSecond)
	}
	if len(t.Prefixes) == 0 {
		text += "none"
	}
	if t.Dropped > 0 {
		text += fmt.Sprintf("; %s commands came too fast and are not counted", grouped(t.Dropped))
	}
	if t.Fault != "" {
		text = "MONITOR: " + t.Fault
	}
	for _, line := range wrap(text, pageWidth-10) {
		lines = append(lines, "          "+line)
	}
	return lines
}

// sampleRemark returns a remark that a reader of the sample needs, or "".
func sampleRemark(s redisadmin.Sample) string {
	switch {
	case len(s.Silent) > 0:
		return "the numbers exclude these servers, which do not answer: " + strings.Join(s.Silent, ", ")
	case s.Restarted:
		return "Redis was restarted; its counters started again"
	}
	return ""
}

// topNames returns text such as "get 800, set 300".
func topNames(rates []redisadmin.CommandRate) string {
	if rates == nil {
		return notAvailable
	}
	var parts []string
	for _, r := range rates[:min(len(rates), liveTopNames)] {
		parts = append(parts, strings.ReplaceAll(r.Name, "|", " ")+" "+rateText(r.PerSecond))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// orUnknown formats a number for a table, or "?" if the server does not report it.
func orUnknown(x *float64, text func(float64) string) string {
	if x == nil {
		return "?"
	}
	return text(*x)
}

func tableNumber(n redisadmin.Number, text func(int64) string) string {
	count, known := n.Get()
	if !known {
		return "?"
	}
	return text(count)
}
