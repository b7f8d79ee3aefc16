package monitor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/redisadmin"
)

// screen is the view on a terminal: a frame redrawn in place on the alternate screen. At the end it
// restores the terminal and prints the last frame as text.
type screen struct {
	w       io.Writer
	where   string
	request request
	size    func() (width, height int)
	start   time.Time

	last    redisadmin.Sample
	any     bool // a sample has come
	problem string
	slowest []redisadmin.SlowEntry // of the whole time
	ops     []float64
	over    bool
}

const (
	ansiOpen  = "\x1b[?1049h\x1b[?25l\x1b[2J" // alternate screen, no cursor
	ansiClose = "\x1b[?25h\x1b[?1049l"
	ansiHome  = "\x1b[H"
	ansiRest  = "\x1b[K" // clears to the end of the line
	ansiBelow = "\x1b[J"
	ansiTitle = "\x1b[7m"
	ansiBold  = "\x1b[1m"
	ansiPlain = "\x1b[0m"
)

func newScreen(w io.Writer, where string, r request, size func() (int, int)) *screen {
	s := &screen{w: w, where: where, request: r, size: size, start: time.Now()}
	io.WriteString(w, ansiOpen)
	s.draw()
	return s
}

func (s *screen) sample(one redisadmin.Sample) {
	s.last, s.any, s.problem = one, true, ""
	s.slowest = append(s.slowest, one.Slow...)
	slices.SortStableFunc(s.slowest, func(a, b redisadmin.SlowEntry) int { return cmp.Compare(b.Micros, a.Micros) })
	s.slowest = s.slowest[:min(len(s.slowest), liveSlow)]
	if one.OpsPerSecond != nil {
		s.ops = append(s.ops, *one.OpsPerSecond)
		s.ops = s.ops[max(0, len(s.ops)-liveHistory):]
	}
	if text := sampleRemark(one); text != "" {
		s.problem = text
	}
	s.draw()
}

func (s *screen) fault(at time.Time, reason string) {
	s.problem = reason
	s.draw()
}

func (s *screen) end() {
	width, _ := s.size()
	s.over = true
	var b strings.Builder
	b.WriteString(ansiClose)
	for _, line := range s.lines(min(width, liveWidest), 100) {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	io.WriteString(s.w, b.String())
}

// draw writes one frame in one call, so that it does not flicker.
func (s *screen) draw() {
	width, height := s.size()
	width = min(width, liveWidest)
	var b strings.Builder
	b.WriteString(ansiHome)
	lines := s.lines(width, height)
	for i, line := range lines {
		switch {
		case i == 0:
			line = ansiTitle + pad(line, width) + ansiPlain
		case line != "" && line == strings.ToUpper(line) && !strings.HasPrefix(line, " "):
			line = ansiBold + line + ansiPlain
		}
		b.WriteString(line + ansiRest)
		if i < len(lines)-1 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString(ansiBelow)
	io.WriteString(s.w, b.String())
}

// lines returns a frame of at most width columns and height lines.
func (s *screen) lines(width, height int) []string {
	spent := min(int(time.Since(s.start).Seconds()+0.5), s.request.seconds)
	lines := []string{fmt.Sprintf("redis %s  %d of %d s", s.where, spent, s.request.seconds)}
	if !s.over {
		lines[0] += "  Ctrl-C ends"
	}
	if s.problem != "" {
		lines = append(lines, wrap("! "+s.problem, width)...)
	}
	if s.request.commands && !s.over {
		lines = append(lines, wrap("! "+costWarning, width)...)
	}
	lines = append(lines, "")
	if !s.any {
		return clip(append(lines, "the first numbers come after a second"), width, height)
	}
	one := s.last
	memory := sizeText(one.UsedBytes)
	if limit := one.MaxBytes.Or(0); limit > 0 {
		memory += fmt.Sprintf(" of %s (%.0f %%)", sizeText(one.MaxBytes), 100*float64(one.UsedBytes.Or(0))/float64(limit))
	}
	bytesRate := func(x float64) string { return bytesText(x) + "/s" }
	lines = append(lines,
		fmt.Sprintf("commands %s/s   clients %s   blocked %s   memory %s", orUnknown(one.OpsPerSecond, rateText), tableNumber(one.Clients, grouped), tableNumber(one.Blocked, grouped), memory),
		fmt.Sprintf("in %s   out %s   hits %s   expired %s   evicted %s", orUnknown(one.InputBytesPerSecond, bytesRate), orUnknown(one.OutputBytesPerSecond, bytesRate), percentText(one.HitRatio), tableNumber(one.Expired, grouped), tableNumber(one.Evicted, grouped)),
	)
	if curve := curveText(s.ops, width-26); curve != "" {
		lines = append(lines, fmt.Sprintf("%s  at most %s/s", curve, rateText(slices.Max(s.ops))))
	}
	// The part below the commands has a fixed size; the commands take the rest.
	rest := liveSlow
	if height < liveTall {
		rest = 2
	}
	var below []string
	below = append(below, "", "SLOWEST SO FAR")
	switch {
	case one.Slow == nil:
		below = append(below, "  "+notAvailable)
	case len(s.slowest) == 0:
		below = append(below, "  none above slowlog-log-slower-than")
	default:
		var rows [][]string
		for _, e := range s.slowest[:min(len(s.slowest), rest)] {
			rows = append(rows, []string{e.At.Format("15:04:05"), microsText(float64(e.Micros)), e.Command, cut(cmp.Or(e.ClientName, e.Client, "-"), 21)})
		}
		for _, line := range columns("lrLl", rows, width-2) {
			below = append(below, "  "+line)
		}
	}
	if t := one.Touched; t != nil {
		below = append(below, s.touched(*t, width, rest)...)
	}
	room := max(height-len(lines)-len(below)-3, 1)
	lines = append(lines, "")
	if one.Commands == nil {
		lines = append(lines, "COMMANDS", "  "+notAvailable)
	} else {
		rows := [][]string{{"COMMAND", "PER SECOND", "MEAN", "FAILED"}}
		for _, r := range one.Commands[:min(len(one.Commands), room)] {
			mean := orUnknown(r.MeanMicros, microsText)
			rows = append(rows, []string{"  " + strings.ReplaceAll(r.Name, "|", " "), rateText(r.PerSecond), mean, tableNumber(r.Failed, grouped)})
		}
		lines = append(lines, columns("lrrr", rows, width)...)
	}
	return clip(append(lines, below...), width, height)
}

// touched is the part of a frame that MONITOR fills.
func (s *screen) touched(t redisadmin.Touched, width, rest int) []string {
	lines := []string{"", "KEYS TOUCHED PER SECOND"}
	if t.Fault != "" {
		return append(lines, wrap("  MONITOR: "+t.Fault, width)...)
	}
	var rows [][]string
	for _, one := range t.Prefixes[:min(len(t.Prefixes), rest)] {
		rows = append(rows, []string{one.Prefix, rateText(one.PerSecond)})
	}
	for _, line := range columns("lr", rows, width-2) {
		lines = append(lines, "  "+line)
	}
	if len(rows) == 0 {
		lines = append(lines, "  none")
	}
	if t.Dropped > 0 {
		lines = append(lines, fmt.Sprintf("  %s commands came too fast and are not counted", grouped(t.Dropped)))
	}
	if rest < liveSlow { // a small terminal
		return lines
	}
	lines = append(lines, "", "LATEST COMMANDS")
	for _, c := range t.Latest[max(0, len(t.Latest)-rest):] {
		lines = append(lines, "  "+c.At.Format("15:04:05.000")+"  "+c.Command)
	}
	return lines
}

// curveText draws values from left to right, newest right.
func curveText(values []float64, width int) string {
	const steps = "▁▂▃▄▅▆▇█"
	if len(values) < 2 || width < 10 {
		return ""
	}
	values = values[max(0, len(values)-width):]
	most := slices.Max(values)
	var b strings.Builder
	for _, v := range values {
		i := 0
		if most > 0 {
			i = int(v / most * 7)
		}
		b.WriteRune([]rune(steps)[i])
	}
	return b.String()
}

// clip cuts a frame to its size.
func clip(lines []string, width, height int) []string {
	lines = lines[:min(len(lines), max(height, 1))]
	for i, line := range lines {
		lines[i] = cut(cli.Printable(line), width)
	}
	return lines
}
