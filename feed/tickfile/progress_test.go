package tickfile_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

// manyTicks returns a file whose prices hardly compress.
func manyTicks(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "20200101 %02d%02d%02d%03d,1.%05d,1.%05d,0\n", i/3600%24, i/60%60, i%60, i*7919%1000, i*7919%50000, i*7919%50000+2)
	}
	return b.String()
}

// TestOffset checks that Offset never decreases, stays close to the reading position, and ends at
// the size of the file.
func TestOffset(t *testing.T) {
	const ticks = 20_000
	content := manyTicks(ticks)
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	io.WriteString(z, content)
	z.Close()
	for name, tt := range map[string]struct {
		content string
		within  float64 // of the file
	}{"EURUSD.csv": {content, 0}, "EURUSD.csv.gz": {gz.String(), 0.15}, "EURUSD.zip": {string(zipped(t, map[string]string{"EURUSD.csv": content})), 0.15}} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := tickfile.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		before := int64(0)
		for i := 1; ; i++ {
			_, err := r.Next()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			at := r.Offset()
			part, want := float64(at)/float64(len(tt.content)), float64(i)/ticks
			if at < before || part < want-0.02-tt.within || part > want+0.02+tt.within {
				t.Fatalf("%s: %d after %d, at tick %d: %.3f of the file, want about %.3f", name, at, before, i, part, want)
			}
			before = at
		}
		if left := int64(len(tt.content)) - before; left < 0 || left > 200 {
			t.Errorf("%s: %d of %d bytes at the end", name, before, len(tt.content))
		}
	}
}

// TestSlowPipe checks that ticks of a pipe are returned without waiting for more than is needed to
// recognize the file.
func TestSlowPipe(t *testing.T) {
	for content, name := range map[string]string{
		`{"symbol":"EUR/USD","price":"1.1"}` + "\n": "-",
		manyTicks(41): "EURUSD.fifo",
		"\xff\xfe" + strings.Join(strings.Split(manyTicks(41), ""), "\x00") + "\x00": "EURUSD.fifo",
	} {
		out, in := io.Pipe()
		go func() { io.WriteString(in, content) }()
		r, err := tickfile.NewReader(out, name)
		if err == nil {
			_, err = r.Next()
		}
		if err != nil {
			t.Errorf("%.20q: %v", content, err)
		}
		out.Close()
	}
}

// chunks is a pipe that sends one chunk after another and pauses before each one except the first.
type chunks struct {
	left []string
	now  string
	read int // chunks waited for
}

func (c *chunks) Ready(time.Duration) bool { return c.now != "" }

func (c *chunks) Read(p []byte) (int, error) {
	if c.now == "" {
		if len(c.left) == 0 {
			return 0, io.EOF
		}
		c.now, c.left = c.left[0], c.left[1:]
		c.read++
	}
	n := copy(p, c.now)
	c.now = c.now[n:]
	return n, nil
}

// TestFewLinesOfAPipe checks that a pipe which falls silent after a readable line is not waited
// for, unless its lines can be read in two ways.
func TestFewLinesOfAPipe(t *testing.T) {
	const one = "EUR/USD 1.1 1.2 2022-11-10T15:00:00Z\n"
	wide := func(s string) string { return strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	for _, tt := range []struct {
		chunks []string
		read   int // chunks that it takes to read the first quote
		want   string
	}{
		{[]string{"2022.11.10 15:00:00,1.1,1.2\n", "2022.11.10 15:00:00,1.1,1.2\n"}, 1, one + one},
		{[]string{"time,bid,ask\n2022-11-10T15:00:00Z,1.1,1.2\n", ""}, 1, one},
		{[]string{"\ufefftime,bid,ask\r\n", "2022-11-10T15:00:00Z,1.1,1.2\r\n", "2022-11-10T15:00:00Z,1.1,1.2\r\n"}, 2, one + one},
		{[]string{"\xff\xfe" + wide("time,bid,ask\n2022-11-10T15:00:00Z,1.1,1.2\n"), wide("2022-11-10T15:00:00Z,1.1,1.2\n")}, 1, one + one},
		{[]string{"ticks of today\n", "2022.11.10 15:00:00,1.1,", "1.2\n", "2022.11.10 15:00:00,1.1,1.2\n"}, 3, "bad line 1: 1 fields, want at least 3: time, bid and ask\n" + one + one},
		{[]string{"time,bid,ask\n10/11/2022 15:00:00,1.1,1.2\n", "13/11/2022 15:00:00,1.1,1.2\n", ""}, 2, one + "EUR/USD 1.1 1.2 2022-11-13T15:00:00Z\n"},
		{[]string{"time,open,high,low,close\n", ""}, 1, ""},
	} {
		pipe := &chunks{left: tt.chunks}
		r, err := tickfile.NewReader(pipe, "EURUSD.fifo")
		if pipe.read != tt.read {
			t.Errorf("%q: it takes %d chunks to recognize it, want %d", tt.chunks, pipe.read, tt.read)
		}
		if err != nil {
			if tt.want != "" || !errors.Is(err, tickfile.ErrNotTicks) {
				t.Errorf("%q: %v", tt.chunks, err)
			}
		} else if got := read(t, r); got != tt.want {
			t.Errorf("%q:\n%swant\n%s", tt.chunks, got, tt.want)
		}
	}
}

// TestLineErrors checks that a bad line has the reason and message of a rejected quote, and its
// text.
func TestLineErrors(t *testing.T) {
	const good = "EUR/USD,20200101 17:00:00.065,1.1,1.2\n"
	for line, want := range map[string]feed.Reason{
		"EUR/FOO,20200101 17:00:00.065,1.1,1.2":     feed.ReasonUnknownSymbol,
		"EUR/USD,20200141 17:00:00.065,1.1,1.2":     feed.ReasonBadTime,
		"EUR/USD,20200101 17:00:00.065,x,1.2":       feed.ReasonNotANumber,
		"EUR/USD,20200101 17:00:00.065,,1.2":        feed.ReasonMissingPrice,
		"EUR/USD,20200101 17:00:00.065":             feed.ReasonBadLine,
		"EUR/USD,20200101 17:00:00.065,1.1\x00,1.2": feed.ReasonNotANumber,
		"EUR/USD,20200101 17:00:00.065,1.1,-1.2":    feed.ReasonNegative,
		"EUR/USD,19891231 23:59:59.999,1.1,1.2":     feed.ReasonBadTime,
		"EUR/USD,99991231 23:59:59.999,1.1,1.2":     feed.ReasonBadTime,
		"\x00\x00\x00\x00":                          feed.ReasonBadLine,
		strings.Repeat("x", 50_000):                 feed.ReasonTooLong,
	} {
		r, err := tickfile.NewReader(strings.NewReader(good+line+"\n"+good), "x")
		if err != nil {
			t.Fatal(err)
		}
		r.Next()
		_, err = r.Next()
		bad, ok := errors.AsType[*tickfile.LineError](err)
		if !ok || bad.Line != 2 || bad.Kind != want || !strings.HasPrefix(line, bad.Text) || len(bad.Text) < min(len(line), 256) || len(bad.Text) > tickfile.MaxLine {
			t.Errorf("%.60s: %#v, want %s", line, err, want)
		}
		if _, err := r.Next(); err != nil {
			t.Errorf("%.60s: then %v", line, err)
		}
	}
}
