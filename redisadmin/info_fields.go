package redisadmin

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// fields are the names and values of a section.
type fields map[string]string

// infoParser keeps the first error.
type infoParser struct{ err error }

func (p *infoParser) fault(name, text, want string) {
	if p.err == nil {
		p.err = fmt.Errorf("redisadmin: info: %.40s is %.40q, want %s", name, text, want)
	}
}

// count parses a number that cannot be negative. Redis writes -1 for "none yet".
func (p *infoParser) count(f fields, name string) Number {
	text, ok := f[name]
	if !ok {
		return Number{}
	}
	text = strings.TrimSpace(text)
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && n == -1 {
		return Number{}
	}
	if err != nil || n < 0 {
		p.fault(name, text, "a whole number")
		return Number{}
	}
	return Known(n)
}

// word returns a text without control characters.
func word(f fields, name string) Text { return Text(printable(f[name], maxInfoText)) }

func (p *infoParser) flag(f fields, name string) *bool {
	text, ok := f[name]
	if !ok {
		return nil
	}
	if text != "0" && text != "1" {
		p.fault(name, text, "0 or 1")
		return nil
	}
	return new(text == "1")
}

func (p *infoParser) decimal(f fields, name string) *float64 {
	text, ok := f[name]
	if !ok {
		return nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		p.fault(name, text, "a number")
		return nil
	}
	if math.IsNaN(x) || math.IsInf(x, 0) { // before the first measurement
		return nil
	}
	return &x
}

// pairs parses "a=1,b=2".
func pairs(line string) fields {
	f := fields{}
	for pair := range strings.SplitSeq(line, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			f[name] = strings.TrimSpace(value)
		}
	}
	return f
}

// lines parses "a:1\r\nb:2".
func lines(text string) fields {
	f := fields{}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			f[name] = value
		}
	}
	return f
}
