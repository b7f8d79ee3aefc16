package vendor

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

// ecb is the file of the euro foreign exchange reference rates, which the European Central Bank
// publishes at about 16:00 on each working day.
// https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/html/index.en.html
type ecb struct{}

// Bounds of the file. It has about 2 KB and 30 rates; the file of 90 days has 200 KB.
const (
	ecbBytes = 1 << 20
	ecbDepth = 8
	ecbRates = 10_000
)

// Traits implements Vendor. The heartbeat is the time between two looks at the file.
func (ecb) Traits() Traits {
	return Traits{
		Name: "ecb", URL: "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml", Heartbeat: 10 * time.Minute, Spacing: 10 * time.Second,
	}
}

// ecbStream implements Stream.
type ecbStream struct {
	target   Target
	looked   bool
	etag     string // of the newest file, as Modified
	modified string
}

// Connect implements Vendor. The first look is that of the first Read.
func (ecb) Connect(_ context.Context, t Target) (Stream, error) {
	for _, pattern := range t.Symbols {
		if base, _, _ := strings.Cut(pattern, "/"); base != "EUR" && base != "*" {
			return nil, refused("ecb: --symbols: %s: the reference rates are those of the euro, such as EUR/USD or EUR/*", pattern)
		}
	}
	return &ecbStream{target: t}, nil
}

// Read implements Stream: it looks at the file, at once at first and then once per heartbeat. A
// file without news is a heartbeat.
func (s *ecbStream) Read(ctx context.Context) (u Update, err error) {
	if s.looked && !redislink.Sleep(ctx, s.target.Heartbeat) {
		return u, ctx.Err()
	}
	s.looked = true
	ctx, cancel := context.WithTimeout(ctx, s.target.Heartbeat)
	defer cancel()
	file, err := s.get(ctx)
	if file == nil || err != nil {
		return u, err
	}
	day, err := readECB(file)
	if err != nil {
		return u, err
	}
	return s.update(day)
}

// get returns the file, or nil if it is the one that was read before.
func (s *ecbStream) get(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.target.URL, nil)
	if err != nil {
		return nil, refused("--url is no address of a file")
	}
	req.Header.Set("User-Agent", userAgent)
	if s.etag != "" {
		req.Header.Set("If-None-Match", s.etag)
	}
	if s.modified != "" {
		req.Header.Set("If-Modified-Since", s.modified)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return nil, netError(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return nil, nil
	default:
		return nil, statusError(resp, s.target)
	}
	file, err := io.ReadAll(io.LimitReader(resp.Body, ecbBytes+1))
	if err != nil {
		return nil, err
	}
	if len(file) > ecbBytes {
		return nil, fmt.Errorf("ecb: the file has more than %d bytes", ecbBytes)
	}
	s.etag, s.modified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	return file, nil
}

// ecbDay are the rates of one day.
type ecbDay struct {
	date  string
	rates []ecbRate
}

type ecbRate struct{ currency, rate string }

// readECB reads the newest day of a file. It expands no entity and refuses a file with any
// declaration.
func readECB(file []byte) (newest ecbDay, err error) {
	d := xml.NewDecoder(bytes.NewReader(file))
	var day ecbDay
	depth, rates := 0, 0
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return newest, fmt.Errorf("ecb: the file cannot be read: %w", err)
		}
		switch e := token.(type) {
		case xml.Directive:
			return newest, errors.New("ecb: the file declares entities or a type of document, which is refused")
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth > ecbDepth {
				return newest, fmt.Errorf("ecb: the file has more than %d elements within each other", ecbDepth)
			}
			if e.Name.Local != "Cube" {
				continue
			}
			if rates++; rates > ecbRates {
				return newest, fmt.Errorf("ecb: the file has more than %d rates", ecbRates)
			}
			date, currency, rate := ecbAttributes(e)
			switch {
			case date != "":
				if day = (ecbDay{date: date}); day.date > newest.date {
					newest = day
				}
			case currency != "" && day.date == newest.date:
				newest.rates = append(newest.rates, ecbRate{currency, rate})
			}
		}
	}
	if depth != 0 || newest.date == "" || len(newest.rates) == 0 {
		return newest, errors.New("ecb: the file has no rates, or is cut off")
	}
	return newest, nil
}

func ecbAttributes(e xml.StartElement) (date, currency, rate string) {
	for _, a := range e.Attr {
		switch a.Name.Local {
		case "time":
			date = strings.TrimSpace(a.Value)
		case "currency":
			currency = strings.TrimSpace(a.Value)
		case "rate":
			rate = strings.TrimSpace(a.Value)
		}
	}
	return date, currency, rate
}

// frankfurt is the zone of the European Central Bank.
var frankfurt = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return time.FixedZone("CET", 3600)
	}
	return zone
}()

// ecbTime returns the moment to which the rates of a day refer: the central banks agree on them at
// about 14:10.
func ecbTime(date string) (time.Time, bool) {
	t, err := time.ParseInLocation("2006-01-02 15:04", date+" 14:10", frankfurt)
	return t.UTC(), err == nil
}

// update returns the selected rates. A rate is both bid and ask. A currency without a rate on that
// day, which older files note as N/A, is left out.
func (s *ecbStream) update(day ecbDay) (u Update, err error) {
	at, ok := ecbTime(day.date)
	if !ok {
		return u, fmt.Errorf("ecb: the date %s cannot be read", feed.Quoted(day.date))
	}
	var names []string
	for _, r := range day.rates {
		if len(r.currency) > 10 || r.rate == "" || r.rate == "N/A" {
			continue
		}
		name := "EUR/" + r.currency
		names = append(names, name)
		input := []byte(day.date + " " + r.currency + " " + r.rate)
		u.add(s.target, sent{symbol: name, bid: text(r.rate), ask: text(r.rate), time: at.Format(time.RFC3339)}, input)
	}
	symbols, named := s.target.Symbols.Named()
	if !named {
		return u, nil
	}
	u.Bad = slices.DeleteFunc(u.Bad, func(b BadQuote) bool { return b.Quote.Symbol == "" }) // not selected
	missing := map[feed.Symbol]string{}
	for _, symbol := range symbols {
		if !slices.Contains(names, string(symbol)) {
			missing[symbol] = "ecb: no rate of " + symbol.Quote() + " on " + day.date
		}
	}
	if len(missing) == len(symbols) {
		return u, refused("ecb: none of the symbols in --symbols has a rate on %s", day.date)
	}
	u.Unknown = missing
	return u, nil
}

// Close implements Stream. There is no connection between two looks.
func (s *ecbStream) Close() {}
