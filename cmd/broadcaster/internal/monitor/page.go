package monitor

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/redisadmin"
)

const (
	pageWidth  = 80
	pageIndent = 2
	labelWidth = 18
)

// A page is text of at most width columns.
type page struct {
	b     strings.Builder
	width int
}

func newPage() *page { return &page{width: pageWidth} }

func (p *page) writeTo(w io.Writer) { io.WriteString(w, p.b.String()) }

// title begins a section; about is written unchanged.
func (p *page) title(text, about string) {
	if p.b.Len() > 0 {
		p.b.WriteString("\n")
	}
	p.b.WriteString(cut(strings.TrimSpace(strings.ToUpper(text)+" "+cli.Printable(about)), p.width) + "\n")
}

// text writes a paragraph.
func (p *page) text(indent int, text string) {
	for _, line := range wrap(text, p.width-indent) {
		p.b.WriteString(strings.Repeat(" ", indent) + line + "\n")
	}
}

// row writes a label and its value, which may take several lines.
func (p *page) row(label, value string) {
	label = pad(cut(label, labelWidth-1), labelWidth)
	for _, line := range wrap(value, p.width-pageIndent-labelWidth) {
		p.b.WriteString(strings.Repeat(" ", pageIndent) + label + line + "\n")
		label = strings.Repeat(" ", labelWidth)
	}
}

// table writes rows in columns. align has a letter per column: l left, r
// right, and L a left one that is cut to the available width.
func (p *page) table(align string, rows [][]string) {
	for _, line := range columns(align, rows, p.width-pageIndent) {
		p.b.WriteString(strings.Repeat(" ", pageIndent) + line + "\n")
	}
}

// columns lays out a table of at most width columns.
func columns(align string, rows [][]string, width int) []string {
	const gap = 2
	widths := make([]int, len(align))
	room, flexible := width, -1
	for i := range align {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		if align[i] == 'L' {
			flexible = i
		} else {
			room -= widths[i]
		}
		if i > 0 {
			room -= gap
		}
	}
	if flexible >= 0 {
		widths[flexible] = min(widths[flexible], max(room, 1))
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			cell = cut(cli.Printable(cell), widths[i])
			if align[i] == 'r' {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + cell)
			} else {
				b.WriteString(pad(cell, widths[i]))
			}
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", gap))
			}
		}
		lines = append(lines, cut(strings.TrimRight(b.String(), " "), width))
	}
	return lines
}

// wrap breaks a text at spaces into lines of at most width columns, and longer
// words anywhere. An empty text is one empty line.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(cli.Printable(text)) {
		for {
			joined := word
			if line != "" {
				joined = line + " " + word
			}
			if utf8.RuneCountInString(joined) <= width {
				line = joined
				break
			}
			if line != "" {
				lines = append(lines, line)
				line = ""
				continue
			}
			runes := []rune(word)
			lines = append(lines, string(runes[:width]))
			word = string(runes[width:])
		}
	}
	return append(lines, line)
}

// cut shortens a text to n columns.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(n-1, 0)]) + "…"
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

const notAvailable = "not available here"

// sizeText formats a number of bytes: "14.2 MiB".
func sizeText(n redisadmin.Number) string {
	count, known := n.Get()
	if !known {
		return notAvailable
	}
	return bytesText(float64(count))
}

func bytesText(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n >= 1023.95 && i < len(units)-1; i++ {
		n /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

// countText groups digits, "12,345".
func countText(n redisadmin.Number) string {
	count, known := n.Get()
	if !known {
		return notAvailable
	}
	return grouped(count)
}

// numbersText puts numbers into a format of %s; "?" stands for one that the server does not report.
func numbersText(format string, text func(int64) string, numbers ...redisadmin.Number) string {
	told, all := false, true
	cells := make([]any, len(numbers))
	for i, n := range numbers {
		_, known := n.Get()
		told, all = told || known, all && known
		cells[i] = tableNumber(n, text)
	}
	if !told {
		return notAvailable
	}
	line := fmt.Sprintf(format, cells...)
	if !all {
		line += " (?: " + notAvailable + ")"
	}
	return line
}

func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percentText(ratio *float64) string {
	if ratio == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100**ratio)
}

// rateText formats a number of events per second: whole, or with significant digits if it is small.
func rateText(x float64) string {
	if x >= 10 {
		return grouped(int64(x + 0.5))
	}
	return fmt.Sprintf("%.1f", x)
}

// microsText formats a time in microseconds: "31.2 ms".
func microsText(us float64) string {
	switch {
	case us < 999.5:
		return fmt.Sprintf("%.3g µs", us)
	case us < 999.5e3:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.3g s", us/1e6)
}

func durationText(seconds float64) string { return microsText(seconds * 1e6) }

// ageText formats a time span by its two largest units.
func ageText(seconds redisadmin.Number) string {
	n, known := seconds.Get()
	switch d := time.Duration(n) * time.Second; {
	case !known:
		return notAvailable
	case n >= 86_400:
		return fmt.Sprintf("%d d %d h", n/86_400, n%86_400/3600)
	case n >= 3600:
		return fmt.Sprintf("%d h %d min", n/3600, n%3600/60)
	default:
		return d.String()
	}
}
