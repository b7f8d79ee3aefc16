package vendor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// oanda is the pricing stream of the v20 REST API: an HTTP response that does not end, with one
// JSON object a line. https://developer.oanda.com/rest-live-v20/pricing-ep/
type oanda struct{}

const (
	oandaLine        = 1 << 20 // bytes of a line
	oandaInstruments = 4 << 20 // bytes of the list of instruments
)

// Traits implements Vendor. OANDA sends a heartbeat every 5 s, and recommends at most 2 connects a
// second.
func (oanda) Traits() Traits {
	return Traits{
		Name: "oanda", URL: "https://stream-fxtrade.oanda.com", Heartbeat: 5 * time.Second, Spacing: 500 * time.Millisecond,
		Key: true, Account: true,
	}
}

// oandaPrice has the fields of all lines.
type oandaPrice struct {
	Type       string        `json:"type"` // PRICE (also without a type), HEARTBEAT
	Time       string        `json:"time"`
	Instrument string        `json:"instrument"`
	Bids       []oandaBucket `json:"bids"` // the best first
	Asks       []oandaBucket `json:"asks"`
	Status     string        `json:"status"`
	Tradeable  *bool         `json:"tradeable"`
	Error      string        `json:"errorMessage"`
}

type oandaBucket struct {
	Price     text `json:"price"`
	Liquidity text `json:"liquidity"`
}

// tradeable reports whether the price can be traded. Without bids or asks there is nothing to trade
// with.
func (p oandaPrice) tradeable() bool {
	return (p.Tradeable == nil || *p.Tradeable) && (p.Status == "" || p.Status == "tradeable") && len(p.Bids) > 0 && len(p.Asks) > 0
}

// oandaStream implements Stream.
type oandaStream struct {
	target Target
	body   io.Closer
	lines  *bufio.Reader
}

// Connect implements Vendor.
func (oanda) Connect(ctx context.Context, t Target) (Stream, error) {
	symbols, named := t.Symbols.Named()
	if !named {
		names, err := oandaOffers(ctx, t)
		if err != nil {
			return nil, err
		}
		if symbols = t.offered(names); len(symbols) == 0 {
			return nil, refused("oanda offers the account no symbol that matches --symbols and is known")
		}
	}
	names := make([]string, len(symbols))
	for i, s := range symbols {
		names[i] = s.Base() + "_" + s.Quote()
	}
	address := t.URL + "/v3/accounts/" + url.PathEscape(t.Account) + "/pricing/stream?instruments=" + url.QueryEscape(strings.Join(names, ","))
	resp, err := oandaGet(ctx, t, address)
	if err != nil {
		return nil, err
	}
	return &oandaStream{t, resp.Body, bufio.NewReaderSize(resp.Body, 64<<10)}, nil
}

// oandaGet returns the response to a request, whose body the caller closes.
func oandaGet(ctx context.Context, t Target, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, refused("--url is no address of a server")
	}
	req.Header.Set("Authorization", "Bearer "+t.Key)
	req.Header.Set("Accept-Datetime-Format", "RFC3339")
	req.Header.Set("User-Agent", userAgent)
	resp, err := httpClient.Do(req)
	if err != nil {
		return nil, netError(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, statusError(resp, t)
	}
	return resp, nil
}

// oandaOffers returns the names of the instruments of the account, from the host of requests that
// belongs to the host of streams.
func oandaOffers(ctx context.Context, t Target) (names []string, err error) {
	base := strings.Replace(t.URL, "://stream-", "://api-", 1)
	resp, err := oandaGet(ctx, t, base+"/v3/accounts/"+url.PathEscape(t.Account)+"/instruments")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Instruments []struct {
			Name string `json:"name"`
		} `json:"instruments"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, oandaInstruments)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("oanda sent a list of instruments that cannot be read: %w", err)
	}
	for _, instrument := range answer.Instruments {
		names = append(names, instrument.Name)
	}
	return names, nil
}

// Read implements Stream.
func (s *oandaStream) Read(context.Context) (u Update, err error) {
	line, err := s.line()
	if err != nil {
		return u, err
	}
	var p oandaPrice
	switch {
	case len(line) == 0:
		return u, nil
	case json.Unmarshal(line, &p) != nil:
		return Update{Ignored: 1}, nil
	case p.Error != "":
		return u, fmt.Errorf("oanda ended the stream: %s", s.target.clean(p.Error))
	case p.Type == "HEARTBEAT":
		return u, nil
	case p.Type != "PRICE" && p.Type != "" || p.Instrument == "":
		return Update{Ignored: 1}, nil
	case !p.tradeable():
		u.halt(s.target, p.Instrument, line)
		return u, nil
	}
	bid, ask := p.Bids[0], p.Asks[0]
	u.add(s.target, sent{p.Instrument, bid.Price, ask.Price, bid.Liquidity, ask.Liquidity, p.Time}, line)
	return u, nil
}

// line returns the next line. The caller may keep it.
func (s *oandaStream) line() (line []byte, err error) {
	for {
		part, err := s.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return []byte(strings.TrimSpace(string(line))), nil
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < oandaLine:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("oanda sent a line of more than %d bytes", oandaLine)
		case errors.Is(err, io.EOF):
			err = errors.New("oanda ended the stream")
		}
		return nil, err
	}
}

// Close implements Stream.
func (s *oandaStream) Close() { s.body.Close() }
