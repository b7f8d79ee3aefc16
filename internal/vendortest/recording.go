package vendortest

import (
	"embed"
	"fmt"
	"regexp"
	"strings"
	"time"
)

//go:embed recorded
var recorded embed.FS

// recording holds the messages of a vendor by their kind.
type recording map[string][]string

// load reads the messages of a vendor. Lines that begin with # name the pages from which they come.
func load(vendor string) recording {
	data, err := recorded.ReadFile("recorded/" + vendor + ".txt")
	if err != nil {
		panic(fmt.Sprintf("vendortest: no vendor %q", vendor))
	}
	r, kind := recording{}, ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		name, heading := strings.CutPrefix(line, "== ")
		switch {
		case heading:
			kind = name
		case line != "" && !strings.HasPrefix(line, "#"):
			r[kind] = append(r[kind], line)
		}
	}
	return r
}

// one returns the only message of a kind.
func (r recording) one(kind string) string { return r[kind][0] }

// The places of what the server changes in messages.
var (
	oandaTime   = regexp.MustCompile(`"time":"[^"]*"`)
	krakenTime  = regexp.MustCompile(`"timestamp":"[^"]*"`)
	massiveTime = regexp.MustCompile(`"t":\d+`)
	ecbDate     = regexp.MustCompile(`time='[^']*'`)
	price       = regexp.MustCompile(`("bid":|"b":|"bids":\[\{(?:"liquidity":\d+,)?"price":"|rate=')([0-9.]+)`)
)

func at(message string, place *regexp.Regexp, format string, args ...any) string {
	return place.ReplaceAllLiteralString(message, fmt.Sprintf(format, args...))
}

// atTime returns a message of a vendor with the time t.
func atTime(vendor, message string, t time.Time) string {
	switch vendor {
	case "oanda":
		return at(message, oandaTime, `"time":"%s"`, t.UTC().Format("2006-01-02T15:04:05.000000000Z"))
	case "kraken":
		return at(message, krakenTime, `"timestamp":"%s"`, t.UTC().Format("2006-01-02T15:04:05.000000Z"))
	case "massive":
		return at(message, massiveTime, `"t":%d`, t.UnixMilli())
	}
	return at(message, ecbDate, "time='%s'", t.UTC().Format(time.DateOnly))
}

// withPrice returns a message with another first price, which is the bid.
func withPrice(message string, change func(price string) string) string {
	m := price.FindStringSubmatchIndex(message)
	if m == nil {
		return message
	}
	return message[:m[4]] + change(message[m[4]:m[5]]) + message[m[5]:]
}

// spoiled returns a message of a price at a time, as the switches of prices and clocks change it.
func (s *Server) spoiled(message string, t time.Time) string {
	switch {
	case s.on(DayOld):
		t = t.AddDate(0, 0, -1)
	case s.on(DayAhead):
		t = time.Now().AddDate(0, 0, 1)
	}
	message = atTime(s.vendor, message, t)
	switch {
	case s.on(WrongDigits):
		return withPrice(message, func(p string) string { return p + strings.Repeat("7", 60) })
	case s.on(Zero):
		return withPrice(message, func(string) string { return "0.00000" })
	case s.on(Crossed):
		return withPrice(message, func(p string) string { return "9" + p })
	}
	return message
}
