package tickfile_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/fxcast/fxcast/feed/tickfile"
)

// TestBombs checks that a few kilobytes which expand a thousandfold are neither held in memory nor
// read to the end.
func TestBombs(t *testing.T) {
	const unpacked, most = 16 << 20, 8 << 20 // most is what a reader may allocate: a window of zstd is 4 MiB
	packers := map[string]func(io.Writer) (io.Writer, func() error){
		"gzip": func(w io.Writer) (io.Writer, func() error) {
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			return z, z.Close
		},
		"zip": func(w io.Writer) (io.Writer, func() error) {
			z := zip.NewWriter(w)
			f, err := z.Create("EURUSD.csv")
			if err != nil {
				t.Fatal(err)
			}
			return f, z.Close
		},
		"zstd": func(w io.Writer) (io.Writer, func() error) {
			z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
			if err != nil {
				t.Fatal(err)
			}
			return z, z.Close
		},
	}
	for kind, packer := range packers {
		for filling, want := range map[string]string{"x": "no end of line", "\x00": "no end of line", "\n": "no tick in"} {
			var bomb bytes.Buffer
			w, end := packer(&bomb)
			io.WriteString(w, histdata)
			block := bytes.Repeat([]byte(filling), 1<<20)
			for range unpacked / len(block) {
				if _, err := w.Write(block); err != nil {
					t.Fatal(err)
				}
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := tickfile.NewReader(bytes.NewReader(bomb.Bytes()), "EURUSD.csv")
			if err != nil {
				t.Errorf("%s of %q: %v", kind, filling, err)
				continue
			}
			if got := read(t, r); !strings.HasPrefix(got, "EUR/USD 1.121200 ") || !strings.Contains(got, want) || len(got) > 1000 {
				t.Errorf("%s of %q: %.200s", kind, filling, got)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("%s of %q: %d bytes were allocated for %d", kind, filling, took, bomb.Len())
			}
			if kind != "zip" && r.Offset() > int64(bomb.Len())/2 {
				t.Errorf("%s of %q: %d of %d bytes were read", kind, filling, r.Offset(), bomb.Len())
			}
		}
	}
}

// TestMarks checks that files with any byte order mark are read correctly or refused with a reason.
func TestMarks(t *testing.T) {
	const heading, tick = "time,bid,ask\n", "2022-11-10T15:00:00Z,1.1,1.2\n"
	const one = "EUR/USD 1.1 1.2 2022-11-10T15:00:00Z\n"
	// Code units of this many bytes, big-endian or little-endian.
	coded := func(text string, size int, bigEnd bool) string {
		var b strings.Builder
		for _, c := range []byte(text) {
			zeros := strings.Repeat("\x00", size-1)
			if bigEnd {
				b.WriteString(zeros + string(rune(c)))
			} else {
				b.WriteString(string(rune(c)) + zeros)
			}
		}
		return b.String()
	}
	for _, tt := range []struct{ name, content, want string }{
		{"UTF-8", "\xef\xbb\xbf" + heading + tick, one},
		{"UTF-8 without a heading", "\xef\xbb\xbf" + tick, one},
		{"UTF-8 of joined files", "\xef\xbb\xbf" + heading + tick + "\xef\xbb\xbf" + heading + tick, one + one},
		{"UTF-16", "\xff\xfe" + coded(heading+tick, 2, false), one},
		{"UTF-16, big end first", "\xfe\xff" + coded(heading+tick, 2, true), one},
		{"UTF-32", "\xff\xfe\x00\x00" + coded(heading+tick, 4, false), "it is in UTF-32"},
		{"UTF-32, big end first", "\x00\x00\xfe\xff" + coded(heading+tick, 4, true), "it is in UTF-32"},
		{"UTF-16 without a mark", coded(heading+tick, 2, false), "unknown format"},
		{"UTF-16 without a mark, big end first", coded(heading+tick, 2, true), "unknown format"},
		{"UTF-7", "+/v8-" + heading + tick, "no column of the time"},
		{"UTF-7 without a heading", "+/v8-" + tick + tick, "bad line 1: "},
		{"UTF-1", "\xf7\x64\x4c" + heading + tick, "no column of the time"},
		{"UTF-EBCDIC", "\xdd\x73\x66\x73" + heading + tick, "no column of the time"},
		{"SCSU", "\x0e\xfe\xff" + heading + tick, "no column of the time"},
		{"BOCU-1", "\xfb\xee\x28" + heading + tick, "no column of the time"},
		{"GB 18030", "\x84\x31\x95\x33" + heading + tick, "no column of the time"},
	} {
		r, err := tickfile.NewReader(strings.NewReader(tt.content), "EURUSD.csv")
		got := ""
		if err == nil {
			got = read(t, r)
		} else if got = err.Error(); !errors.Is(err, tickfile.ErrFormat) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n%swant\n%s", tt.name, got, tt.want)
		}
	}
}
