package tickfile

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// recogniseDukascopy takes the heading of JForex and of the web site's exports,
// "Gmt time,Ask,Bid,AskVolume,BidVolume", in whose order the columns come, and a
// first line without it: then the ask comes before the bid.
func recogniseDukascopy(line string) (lineParser, bool) {
	columns := strings.Split(strings.ToLower(line), ",")
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	d := dukascopy{ask: 1, bid: 2}
	if strings.Contains(columns[0], "time") {
		d.heading, d.ask, d.bid = line, -1, -1
		for i, c := range columns {
			switch c {
			case "ask":
				d.ask = i
			case "bid":
				d.bid = i
			}
		}
		if d.ask < 0 || d.bid < 0 {
			return nil, false
		}
		zone := strings.Trim(strings.TrimSpace(strings.Replace(columns[0], "time", "", 1)), "()")
		d.needsZone = zone != "gmt" && zone != "utc"
		return d.parse, false
	}
	if len(columns[0]) < 3 || columns[0][2] != '.' { // yyyy.mm.dd without a heading is MetaTrader's
		return nil, false
	}
	if _, err := d.parse(line); err != nil {
		return nil, false
	}
	return d.parse, false
}

type dukascopy struct {
	heading   string // "" if there is none
	ask, bid  int
	needsZone bool // the heading does not say UTC, so each time must
}

func (d dukascopy) parse(line string) (q feed.Quote, err error) {
	if line == d.heading {
		return q, errNoTick // also where it is repeated, in files that were joined
	}
	f := strings.Split(line, ",")
	if len(f) <= max(d.ask, d.bid) {
		return q, fmt.Errorf("%d fields, want time, ask, bid", len(f))
	}
	t, err := d.time(f[0])
	if err != nil {
		return q, err
	}
	return quote(t, f[d.bid], f[d.ask])
}

// time reads 03.12.2012 00:00:01.883 or 2012.12.03 00:00:01.883, UTC, and the
// former's local times, which end in " GMT+0100".
func (d dukascopy) time(text string) (time.Time, error) {
	clock, zone, zoned := strings.Cut(text, " GMT")
	var offset time.Duration
	if zoned {
		at, err := time.Parse("-0700", zone)
		if err != nil {
			return time.Time{}, badTime(text, "31.12.2012 00:00:01.883 GMT+0100")
		}
		_, seconds := at.Zone()
		offset = time.Duration(seconds) * time.Second
	} else if d.needsZone {
		return time.Time{}, errTimeZone
	}
	t, ok := parseTime(clock, "dd.MM.yyyy HH:mm:ss.fff")
	if !ok {
		t, ok = parseTime(clock, "yyyy.MM.dd HH:mm:ss.fff")
	}
	if !ok {
		return time.Time{}, badTime(text, "31.12.2012 00:00:01.883")
	}
	return t.Add(-offset), nil
}

// recordSize is the size of a tick in a .bi5 file: five big-endian words, which
// are milliseconds since the hour, ask and bid as integers, and the two volumes.
const recordSize = 20

// records is the content of a .bi5 file, one hour of one symbol.
type records struct {
	in     *bufio.Reader
	symbol feed.Symbol
	hour   time.Time
	number int
}

const hourMillis = 3_600_000

func (r *records) next() (feed.Quote, error) {
	var b [recordSize]byte
	n, err := io.ReadFull(r.in, b[:])
	switch {
	case err == io.EOF:
		return feed.Quote{}, io.EOF
	case err == io.ErrUnexpectedEOF:
		return feed.Quote{}, fmt.Errorf("after record %d: %d bytes too many at the end: %w", r.number, n, err)
	case err != nil:
		return feed.Quote{}, fmt.Errorf("after record %d: %w", r.number, err)
	}
	r.number++
	millis := binary.BigEndian.Uint32(b[0:])
	if millis >= hourMillis {
		return feed.Quote{}, &LineError{r.number, fmt.Sprintf("%d ms is not within the hour", millis)}
	}
	digits := r.symbol.Digits() // Dukascopy scales prices by 1e5, where a pip is 0.01 by 1e3
	q, err := quote(r.hour.Add(time.Duration(millis)*time.Millisecond),
		scaled(binary.BigEndian.Uint32(b[8:]), digits), scaled(binary.BigEndian.Uint32(b[4:]), digits))
	q.Symbol = r.symbol
	return q, err
}

// scaled writes n / 10^digits with exactly digits after the point.
func scaled(n uint32, digits int) string {
	s := strconv.FormatUint(uint64(n), 10)
	if missing := digits + 1 - len(s); missing > 0 {
		s = strings.Repeat("0", missing) + s
	}
	return s[:len(s)-digits] + "." + s[len(s)-digits:]
}

// looksBinary reports whether head is no text. The first byte of a .bi5 file is
// zero since an hour has fewer than 2^24 ms.
func looksBinary(head []byte) bool {
	if utf16Order(head) != nil {
		return false
	}
	for _, c := range head[:min(len(head), recordSize)] {
		if c == 0 {
			return true
		}
	}
	return false
}

// looksLikeRecords reports whether head can begin a .bi5 file. One whose first
// tick is damaged is still one if the next is whole.
func looksLikeRecords(head []byte) bool {
	for i := 0; i < 3 && len(head) >= recordSize; i++ {
		ask, bid := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
		if binary.BigEndian.Uint32(head) < hourMillis && bid > 0 && ask/2 <= bid && bid/2 <= ask {
			return true
		}
		head = head[recordSize:]
	}
	return false
}
