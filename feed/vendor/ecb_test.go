package vendor_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/vendor"
)

// ecbFile returns a file as the European Central Bank publishes it.
func ecbFile(days ...string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
<gesmes:subject>Reference rates</gesmes:subject><gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
<Cube>` + strings.Join(days, "") + "</Cube></gesmes:Envelope>"
}

func ecbDay(date string, rates ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<Cube time='%s'>", date)
	for i := 0; i < len(rates); i += 2 {
		fmt.Fprintf(&b, "<Cube currency='%s' rate='%s'/>", rates[i], rates[i+1])
	}
	return b.String() + "</Cube>"
}

// TestECBFiles reads files that are good and files that must be refused.
func TestECBFiles(t *testing.T) {
	good := ecbFile(ecbDay("2026-04-13", "USD", "1.1684", "JPY", "186.75"), ecbDay("2026-04-10", "USD", "1.1711", "CHF", "0.9241"))
	for _, file := range []string{good, strings.ReplaceAll(good, "'", `"`), "\ufeff" + good} {
		if date, rates, err := vendor.ReadECB([]byte(file)); err != nil || date != "2026-04-13" || fmt.Sprint(rates) != "map[JPY:186.75 USD:1.1684]" {
			t.Errorf("%.40s…: %s %v %v", file, date, rates, err)
		}
	}
	var bomb strings.Builder
	bomb.WriteString(`<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">`)
	for i := range 9 {
		fmt.Fprintf(&bomb, `<!ENTITY lol%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&lol%d;", i), 10))
	}
	bomb.WriteString("]>" + ecbFile(ecbDay("2026-04-13", "USD", "&lol9;")))
	for name, file := range map[string]string{
		"entities":       bomb.String(),
		"entity in rate": ecbFile(ecbDay("2026-04-13", "USD", "&lol;")),
		"nesting":        strings.Repeat("<Cube>", 1000) + strings.Repeat("</Cube>", 1000),
		"open nesting":   strings.Repeat("<a>", 100_000),
		"many rates":     ecbFile(ecbDay("2026-04-13", strings.Fields(strings.Repeat("USD 1.1 ", 20_000))...)),
		"cut off":        good[:len(good)/2],
		"end missing":    strings.TrimSuffix(good, "</gesmes:Envelope>"),
		"no rates":       ecbFile(ecbDay("2026-04-13")),
		"a page":         "<html><body>Down for maintenance</body></html>",
		"no XML":         "1.1684",
		"nothing":        "",
	} {
		if date, rates, err := vendor.ReadECB([]byte(file)); err == nil {
			t.Errorf("%s: read as %s %v", name, date, rates)
		}
	}
}

// TestECBTime checks the moment of a day's rates in winter and summer.
func TestECBTime(t *testing.T) {
	for date, want := range map[string]string{"2026-01-13": "2026-01-13T13:10:00Z", "2026-07-13": "2026-07-13T12:10:00Z"} {
		if at, ok := vendor.ECBTime(date); !ok || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %v", date, at)
		}
	}
	for _, date := range []string{"", "13.04.2026", "2026-02-30", "2026-04-13T00:00"} {
		if at, ok := vendor.ECBTime(date); ok {
			t.Errorf("%q: %v", date, at)
		}
	}
}

// readOnce connects to a server of files and reads one update.
func readOnce(t *testing.T, handler http.HandlerFunc, symbols ...string) (vendor.Update, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := vendor.Named("ecb").Connect(ctx, vendor.Target{URL: server.URL, Symbols: symbols, Source: "ecb", Heartbeat: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	return stream.Read(ctx)
}

// A file that is small only while it is compressed is not read to its end.
func TestECBCompressedBomb(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 200 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	_, err := readOnce(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.Copy(w, bytes.NewReader(packed.Bytes()))
	}, "*")
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(vendor.ECBBytes)) {
		t.Errorf("200 MB: %v", err)
	}
}

// Odd rows of a file do not keep the others from being read.
func TestECBOddRows(t *testing.T) {
	file := ecbFile(ecbDay("2026-04-13", "USD", "1.1684", "JPY", "N/A", "CYP", "N/A", "", "", "TRL", "1", "CHF", "0", "GBP", "0,87058", "SEK", "1.0892E1",
		"NOK", " 11.098 ", "VERYLONGCODE", "1", "USD/X", "1", "EUR", "1", "PLN", ""))
	serve := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, file) }
	u, err := readOnce(t, serve, "*")
	if err != nil {
		t.Fatal(err)
	}
	var quotes, bad []string
	for _, q := range u.Quotes {
		quotes = append(quotes, string(q.Symbol)+" "+q.Bid+" "+q.Ask)
	}
	for _, b := range u.Bad {
		bad = append(bad, fmt.Sprintf("%s %s", b.Quote.Symbol, b.Rejection.Reason))
	}
	if got, want := strings.Join(quotes, ", "), "EUR/USD 1.1684 1.1684, EUR/SEK 10.892 10.892, EUR/NOK 11.098 11.098"; got != want {
		t.Errorf("quotes %s, want %s", got, want)
	}
	if got, want := strings.Join(bad, ", "), "EUR/CHF zero, EUR/GBP not_a_number"; got != want {
		t.Errorf("bad %s, want %s", got, want)
	}
	if u, err = readOnce(t, serve, "EUR/JPY", "EUR/USD"); err != nil || len(u.Quotes) != 1 || len(u.Bad) != 0 || u.Unknown["EUR/JPY"] == "" {
		t.Errorf("EUR/JPY without a rate: %+v, %v", u, err)
	}
}

// TestECBRealHistory reads every day of the real history with its odd rows, in the form of the daily
// file, and compares the digits.
func TestECBRealHistory(t *testing.T) {
	dir := os.Getenv("FXCAST_DATA")
	if dir == "" {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("FXCAST_DATA is not set")
		}
		t.Skip("FXCAST_DATA is not set: no real rates")
	}
	f, err := os.Open(filepath.Join(dir, "ecb_eurofxref-hist.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	head, file := rows[0], ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, file) }))
	defer server.Close()
	target := vendor.Target{URL: server.URL, Symbols: vendor.Selection{"*"}, Source: "ecb", Heartbeat: 20 * time.Second}
	instruments, rates := (*feed.Instruments)(nil), 0
	for _, row := range rows[1:] {
		var day []string
		want := map[feed.Symbol]string{}
		for i := 1; i < len(row); i++ {
			day = append(day, head[i], row[i])
			if s, err := instruments.ParseSymbol("EUR/" + head[i]); err == nil && row[i] != "N/A" {
				want[s] = row[i]
			}
		}
		file = ecbFile(ecbDay(row[0], day...))
		stream, err := vendor.Named("ecb").Connect(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		u, err := stream.Read(t.Context())
		if err != nil || len(u.Bad) > 0 || len(u.Quotes) != len(want) {
			t.Fatalf("%s: %d quotes, %d bad, %v; want %d", row[0], len(u.Quotes), len(u.Bad), err, len(want))
		}
		for _, q := range u.Quotes {
			if q.Bid != want[q.Symbol] || q.Ask != q.Bid || q.Time.Format(time.DateOnly) != row[0] {
				t.Fatalf("%s: %+v, want %s", row[0], q, want[q.Symbol])
			}
		}
		rates += len(want)
	}
	if len(rows) < 6000 || rates < 150_000 {
		t.Errorf("only %d days and %d rates", len(rows), rates)
	}
}
