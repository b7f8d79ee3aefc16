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

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

// manyTicks is a file whose prices do not compress away.
func manyTicks(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "20200101 %02d%02d%02d%03d,1.%05d,1.%05d,0\n", i/3600%24, i/60%60, i%60, i*7919%1000, i*7919%50000, i*7919%50000+2)
	}
	return b.String()
}

// TestOffset: it never goes back, is where the reading is and not far ahead, and ends
// at the size of the file.
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

// TestSlowPipe: what a pipe sent is read without waiting for more than it takes to
// recognise the file.
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

// TestLineErrors: a bad line says why as a rejected quote does, and what it was.
func TestLineErrors(t *testing.T) {
	const good = "EUR/USD,20200101 17:00:00.065,1.1,1.2\n"
	for line, want := range map[string]feed.Reason{
		"EUR/FOO,20200101 17:00:00.065,1.1,1.2": feed.ReasonUnknownSymbol,
		"EUR/USD,20200141 17:00:00.065,1.1,1.2": feed.ReasonBadTime,
		"EUR/USD,20200101 17:00:00.065,x,1.2":   feed.ReasonNotANumber,
		"EUR/USD,20200101 17:00:00.065":         feed.ReasonBadLine,
		strings.Repeat("x", 50_000):             feed.ReasonTooLong,
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
