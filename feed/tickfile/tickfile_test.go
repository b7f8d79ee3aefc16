package tickfile_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

// read returns all of r as one text, with a quote or a bad line per line.
func read(t *testing.T, r *tickfile.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		q, err := r.Next()
		var bad *tickfile.LineError
		switch {
		case err == io.EOF:
			return b.String()
		case errors.As(err, &bad):
			b.WriteString("bad " + bad.Error() + "\n")
		case err != nil:
			b.WriteString("end " + err.Error() + "\n")
			if _, again := r.Next(); again != err {
				t.Errorf("after the end by %v came %v", err, again)
			}
			return b.String()
		default:
			b.WriteString(string(q.Symbol) + " " + q.Bid + " " + q.Ask + " " + q.Time.Format(time.RFC3339Nano) + "\n")
		}
	}
}

const histdata = "20200101 170000065,1.121200,1.121720,0\n20200731 235959999,1.2,1.25000,0\n"

func TestFormats(t *testing.T) {
	tests := []struct{ name, file, content, format, want string }{
		{
			"Dukascopy", "GBPJPY_ticks.csv",
			"Gmt time,Ask,Bid,AskVolume,BidVolume\r\n03.12.2012 00:00:01.883,132.158,132.141,1.50,1.13\r\n",
			"dukascopy", "GBP/JPY 132.141 132.158 2012-12-03T00:00:01.883Z\n",
		}, {
			"Dukascopy without heading", "EURUSD.csv", "03.12.2012 00:00:01.883,1.30010,1.3,1,1\n",
			"dukascopy", "EUR/USD 1.3 1.30010 2012-12-03T00:00:01.883Z\n",
		}, {
			"Dukascopy, other order and date", "EURUSD.csv", "Time (UTC),Bid,Ask\n2012.12.03 00:00:01.883,1.3,1.30010\n",
			"dukascopy", "EUR/USD 1.3 1.30010 2012-12-03T00:00:01.883Z\n",
		}, {
			"Dukascopy, local time", "EURUSD.csv", "Local time,Ask,Bid\n03.12.2012 00:30:00.000 GMT+0100,1.3,1.2\n03.12.2012 00:30:00.000,1.3,1.2\n",
			"dukascopy", "EUR/USD 1.2 1.3 2012-12-02T23:30:00Z\nbad line 3: the time is local but has no zone: want one such as GMT+0100 after it, or --zone\n",
		}, {
			"HistData", "DAT_ASCII_EURUSD_T_202001.csv", histdata,
			"histdata", "EUR/USD 1.121200 1.121720 2020-01-01T22:00:00.065Z\nEUR/USD 1.2 1.25000 2020-08-01T04:59:59.999Z\n",
		}, {
			"TrueFX", "any.csv", "USD/JPY,20130101 22:00:00.295,86.655,86.728\nEUR/USD,20130101 22:00:00.296,1.30,1.31\n",
			"truefx", "USD/JPY 86.655 86.728 2013-01-01T22:00:00.295Z\nEUR/USD 1.30 1.31 2013-01-01T22:00:00.296Z\n",
		}, {
			"MetaTrader 5", "EURGBPm_202211101500_202211101600.csv",
			"<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n" +
				"2022.11.10\t15:00:00.010\t0.86680\t\t\t\t2\r\n" +
				"2022.11.10\t15:00:00.017\t\t0.86712\t\t\t4\r\n" +
				"2022.11.10\t15:00:00.020\t0.86682\t0.86712\t\t\t6\r\n" +
				"2022.11.10\t15:00:00.031\t0.86683\t\t\t\t2\r\n" +
				"2022.11.10\t15:00:00.040\t\t0.8671\r\n",
			"metatrader5", "bad line 2: the ask is empty and no previous line has one\n" +
				"EUR/GBP 0.86680 0.86712 2022-11-10T15:00:00.017Z\n" +
				"EUR/GBP 0.86682 0.86712 2022-11-10T15:00:00.02Z\n" +
				"EUR/GBP 0.86683 0.86712 2022-11-10T15:00:00.031Z\n" +
				"EUR/GBP 0.86683 0.8671 2022-11-10T15:00:00.04Z\n",
		}, {
			"MetaTrader 4", "EURGBP.csv", "2022.11.10 15:00:00.017,0.86682,0.86712\n",
			"metatrader4", "EUR/GBP 0.86682 0.86712 2022-11-10T15:00:00.017Z\n",
		}, {
			"MetaTrader 4, date apart", "EUR_GBP.csv", "2022.11.10;15:00:00;0.86682;0.86712\n",
			"metatrader4", "EUR/GBP 0.86682 0.86712 2022-11-10T15:00:00Z\n",
		}, {
			"byte order mark, blank lines, no final newline", "EURUSD.csv",
			"\xef\xbb\xbf\n  \r\n20200101 170000065,1.1,1.2,0\n\n20200101 170000066,1.1,1.2,0",
			"histdata", "EUR/USD 1.1 1.2 2020-01-01T22:00:00.065Z\nEUR/USD 1.1 1.2 2020-01-01T22:00:00.066Z\n",
		}, {
			"bad lines", "EURUSD.csv",
			"a title\n20200101 170000065,1.1,1.2,0\n20200132 170000065,1.1,1.2,0\n20200101 170000065,-1.1,1.2,0\n" +
				"20200101 170000065,1.1,1e5,0\n20200101 170000065,1.1\n" + strings.Repeat("x", 100_000) + "\n20200101 170000064,1.1,1.2,0\n",
			"histdata", "bad line 1: 1 fields, want at least 3: time, bid and ask\n" +
				"EUR/USD 1.1 1.2 2020-01-01T22:00:00.065Z\n" +
				"bad line 3: the time is \"20200132 170000065\", want one such as 20121231 170001883\n" +
				"bad line 4: the bid is \"-1.1\", want a decimal number\n" +
				"EUR/USD 1.1 100000 2020-01-01T22:00:00.065Z\n" +
				"bad line 6: 2 fields, want at least 3: time, bid and ask\n" +
				"bad line 7: longer than 1024 bytes\n" +
				"EUR/USD 1.1 1.2 2020-01-01T22:00:00.064Z\n",
		}, {
			"prices keep their digits", "EURUSD.csv", "20200101 170000065,1.0000000000000000001,1.10,0\n",
			"histdata", "EUR/USD 1.0000000000000000001 1.10 2020-01-01T22:00:00.065Z\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(tt.content), iotest.OneByteReader(strings.NewReader(tt.content))} {
				r, err := tickfile.NewReader(in, tt.file)
				if err != nil {
					t.Fatal(err)
				}
				if got := read(t, r); got != tt.want || r.Format() != tt.format {
					t.Errorf("%s:\n%swant %s:\n%s", r.Format(), got, tt.format, tt.want)
				}
			}
		})
	}
}

func TestUTF16(t *testing.T) {
	text := "\ufeff<DATE>\t<TIME>\t<BID>\t<ASK>\r\n2022.11.10\t15:00:00.017\t0.86682\t0.86712\r\n"
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		var b []byte
		for _, u := range utf16.Encode([]rune(text)) {
			b = order.AppendUint16(b, u)
		}
		r, err := tickfile.NewReader(bytes.NewReader(b), "EURGBP.csv")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := read(t, r), "EUR/GBP 0.86682 0.86712 2022-11-10T15:00:00.017Z\n"; got != want {
			t.Errorf("%v: got %swant %s", order, got, want)
		}
	}
}

// records returns the content of a .bi5 file before compression.
func records(fields ...[3]uint32) []byte {
	var b []byte
	for _, f := range fields {
		for _, v := range f {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = append(b, 0x3f, 0x80, 0, 0, 0x3f, 0x80, 0, 0)
	}
	return b
}

func packLZMA(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := lzma.NewWriter(&b)
	return pack(t, &b, w, err, data)
}

func pack(t *testing.T, b *bytes.Buffer, w io.WriteCloser, err error, data []byte) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBi5(t *testing.T) {
	data := packLZMA(t, records([3]uint32{1883, 132158, 132141}, [3]uint32{3_600_000, 132158, 132141}, [3]uint32{3_599_999, 99, 7}))
	gbpjpy := "GBP/JPY 132.141 132.158 2012-12-03T12:00:01.883Z\n" +
		"bad line 2: 3600000 ms is not within the hour\n" +
		"GBP/JPY 0.007 0.099 2012-12-03T12:59:59.999Z\n"
	for name, want := range map[string]string{
		"/data/GBPJPY/2012/11/03/12h_ticks.bi5":     gbpjpy,
		"dukascopy_GBPJPY_2012-12-03_12h_ticks.bi5": gbpjpy,
		"x/EURUSD/2013/00/31/05h_ticks.bi5":         strings.NewReplacer("GBP/JPY 132.141 132.158", "EUR/USD 1.32141 1.32158", "GBP/JPY 0.007 0.099", "EUR/USD 0.00007 0.00099", "2012-12-03T12", "2013-01-31T05").Replace(gbpjpy),
	} {
		r, err := tickfile.NewReader(bytes.NewReader(data), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := read(t, r); got != want || r.Format() != "bi5" {
			t.Errorf("%s: %s:\n%swant:\n%s", name, r.Format(), got, want)
		}
	}

	if _, err := tickfile.NewReader(bytes.NewReader(data), "GBPJPY.bi5"); !errors.Is(err, tickfile.ErrFormat) {
		t.Errorf("no hour: %v, want ErrFormat", err)
	}
	if _, err := tickfile.NewReader(bytes.NewReader(data), "2012-12-03_12h_ticks.bi5"); !errors.Is(err, tickfile.ErrNoSymbol) {
		t.Errorf("no symbol: %v, want ErrNoSymbol", err)
	}
	cut := packLZMA(t, records([3]uint32{1883, 132158, 132141})[:25-6])
	r, err := tickfile.NewReader(bytes.NewReader(cut), "GBPJPY_2012-12-03_12h.bi5")
	if err == nil {
		t.Errorf("a record of 19 bytes was taken: %s", read(t, r))
	}
	cut = packLZMA(t, append(records([3]uint32{1883, 132158, 132141}), 0, 0, 1))
	if r, err = tickfile.NewReader(bytes.NewReader(cut), "GBPJPY_2012-12-03_12h.bi5"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, r); !strings.Contains(got, "end after record 1: 3 bytes too many") {
		t.Errorf("3 bytes too many: %s", got)
	}
	// Dukascopy's hours without ticks are empty files.
	if r, err = tickfile.NewReader(strings.NewReader(""), "GBPJPY/2012/11/08/12h_ticks.bi5"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, r); got != "" {
		t.Errorf("an empty hour has %s", got)
	}
}

// histdataBzip2 is the constant histdata, compressed by bzip2.
const histdataBzip2 = "QlpoOTFBWSZTWVAqcccAABpYAGAQQAV7oCAAVDTSYjBBKnoJoNHqxoR1RyAfYnWEp85MMIvIM9ls1VJYoh3jTOb4VzCD8XckU4UJBQKnHHA="

func TestCompression(t *testing.T) {
	plain := []byte(histdata)
	packed := map[string][]byte{"none": plain, "lzma": packLZMA(t, plain)}
	var gz bytes.Buffer
	packed["gzip"] = pack(t, &gz, gzip.NewWriter(&gz), nil, plain)
	var x bytes.Buffer
	xw, err := xz.NewWriter(&x)
	packed["xz"] = pack(t, &x, xw, err, plain)
	var zs bytes.Buffer
	zw, err := zstd.NewWriter(&zs)
	packed["zstd"] = pack(t, &zs, zw, err, plain)
	if packed["bzip2"], err = base64.StdEncoding.DecodeString(histdataBzip2); err != nil {
		t.Fatal(err)
	}
	packed["zip"] = zipped(t, map[string]string{"DAT_ASCII_EURUSD_T_202001.csv": histdata, "DAT_ASCII_EURUSD_T_202001.txt": "File status report"})

	const want = "EUR/USD 1.121200 1.121720 2020-01-01T22:00:00.065Z\nEUR/USD 1.2 1.25000 2020-08-01T04:59:59.999Z\n"
	for kind, data := range packed {
		t.Run(kind, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "EURUSD.data")
			if kind == "zip" {
				name = filepath.Join(filepath.Dir(name), "ticks.data") // the member has the symbol
			}
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := tickfile.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, r); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if r, err = tickfile.NewReader(iotest.HalfReader(bytes.NewReader(data)), name); err != nil {
				t.Fatal(err)
			}
			if got := read(t, r); got != want {
				t.Errorf("through a pipe:\n%swant:\n%s", got, want)
			}
			r.Close()
			if kind == "none" {
				return
			}
			// Cut off: an error, no panic, and no clean end.
			r, err = tickfile.NewReader(bytes.NewReader(data[:len(data)-len(data)/4]), name)
			if err != nil {
				return
			}
			if got := read(t, r); !strings.Contains(got, "end ") {
				t.Errorf("a truncated file ends well:\n%s", got)
			}
			r.Close()
		})
	}
}

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSymbol(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  feed.Symbol
		want string // "" = ErrNoSymbol
	}{
		{"EURUSD.csv", "", "EUR/USD"},
		{"eurusd_2020.csv", "", "EUR/USD"},
		{"EUR-USD 2020.csv", "", "EUR/USD"},
		{"EURUSDm_2020.csv", "", "EUR/USD"},
		{"GBPJPY/ticks.csv", "", "GBP/JPY"},
		{"ticks.csv", "USD/CHF", "USD/CHF"},
		{"EURUSD.csv", "USD/CHF", "USD/CHF"},
		{"ticks.csv", "", ""},
		{"EURUSD_GBPUSD.csv", "", ""},
		{"EUREUR.csv", "", ""},
	} {
		var opts []tickfile.Option
		if tt.opt != "" {
			opts = append(opts, tickfile.WithSymbol(tt.opt))
		}
		r, err := tickfile.NewReader(strings.NewReader(histdata), tt.name, opts...)
		switch {
		case tt.want == "" && !errors.Is(err, tickfile.ErrNoSymbol):
			t.Errorf("%s: %v, want ErrNoSymbol", tt.name, err)
		case tt.want != "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "":
			if q, err := r.Next(); err != nil || string(q.Symbol) != tt.want {
				t.Errorf("%s: symbol %s, %v, want %s", tt.name, q.Symbol, err, tt.want)
			}
		}
	}
	r, err := tickfile.NewReader(strings.NewReader("USD/JPY,20130101 22:00:00.295,86.655,86.728\n"), "x", tickfile.WithSymbol("EUR/USD"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, r), "bad line 1: the symbol is USD/JPY, want EUR/USD\n"; got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

func TestUnknown(t *testing.T) {
	for name, content := range map[string]string{
		"empty":              "",
		"blank":              "\n\n",
		"text":               "hello\nworld\n",
		"bars of MetaTrader": "2022.11.10,15:00,1.1,1.2,1.0,1.1,100\n",
		"bars of HistData":   "20200101 170000;1.121230;1.121230;1.121230;1.121230;0\n",
		"picture":            "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x10",
		"zip of two":         string(zipped(t, map[string]string{"a.csv": histdata, "b.csv": histdata})),
		"gzip of nothing":    "\x1f\x8b",
	} {
		r, err := tickfile.NewReader(strings.NewReader(content), "EURUSD.csv")
		if err == nil {
			t.Errorf("%s was recognized as %s", name, r.Format())
		} else if s := err.Error(); len(s) > 300 || strings.ContainsAny(s, "\n\x00") {
			t.Errorf("%s: the error is not one bounded line: %q", name, s)
		}
	}
	if _, err := tickfile.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := tickfile.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
}

// TestHugeDictionary checks that a header cannot claim gigabytes of memory.
func TestHugeDictionary(t *testing.T) {
	head := append([]byte{0x5d, 0, 0, 0, 0x80}, bytes.Repeat([]byte{0xff}, 8)...)
	_, err := tickfile.NewReader(bytes.NewReader(append(head, make([]byte, 100)...)), "EURUSD_2012-12-03_12h.bi5")
	if err == nil || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("a dictionary of 2 GiB: %v", err)
	}
}

// TestEndlessLine checks that a line without end is given up instead of being skipped forever.
func TestEndlessLine(t *testing.T) {
	in := io.MultiReader(strings.NewReader(histdata), endless{})
	r, err := tickfile.NewReader(in, "EURUSD.csv")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, r); !strings.Contains(got, "end after line 2: no end of line") {
		t.Errorf("got %s", got)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
