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

// recordSize is the size of a tick in a .bi5 file. It has five big-endian words: milliseconds since
// the hour, ask and bid as integers, and the two volumes.
const recordSize = 20

// records is the content of a .bi5 file: one hour of one symbol.
type records struct {
	in     *bufio.Reader
	symbol feed.Symbol
	digits int // of prices, after the point
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
		return feed.Quote{}, &LineError{Line: r.number, Kind: feed.ReasonBadLine, Reason: fmt.Sprintf("%d ms is not within the hour", millis)}
	}
	return feed.Quote{
		Symbol: r.symbol, Time: r.hour.Add(time.Duration(millis) * time.Millisecond),
		Bid: scaled(binary.BigEndian.Uint32(b[8:]), r.digits), Ask: scaled(binary.BigEndian.Uint32(b[4:]), r.digits),
	}, nil
}

// scaled returns n / 10^digits as text with exactly digits after the point.
func scaled(n uint32, digits int) string {
	s := strconv.FormatUint(uint64(n), 10)
	if missing := digits + 1 - len(s); missing > 0 {
		s = strings.Repeat("0", missing) + s
	}
	return s[:len(s)-digits] + "." + s[len(s)-digits:]
}

// looksBinary reports whether head is not text. The first byte of a .bi5 file is zero, since an
// hour has fewer than 2^24 ms.
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

// looksLikeRecords reports whether head can be the beginning of a .bi5 file. If the first tick is
// damaged, a whole second or third one is enough.
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
