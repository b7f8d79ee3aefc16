package producer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/vendor"
)

const connectUsage = `Usage: broadcaster feed connect [flags] VENDOR

Publishes the quotes of a vendor of prices until it is interrupted. VENDOR is:

  oanda    OANDA, the v20 pricing stream; needs a key and --account
  kraken   Kraken, the WebSocket v2 ticker: currencies and cryptocurrencies
  massive  Massive, formerly Polygon, the forex WebSocket; needs a key
  ecb      the daily reference rates of the European Central Bank

It reconnects automatically. It ends only if the vendor refuses the key, the account
or all symbols. Run it twice for safety: while one process is connected, others
for the same vendor, account and symbols stand by, and take over within 5 s.
A vendor's licence may not allow showing its prices to others: docs/vendors.md.

  --symbols LIST   symbols or patterns, such as EUR/USD,GBP/* (default *, all
                   that the vendor offers and INSTRUMENTS knows)
  --url URL        address instead of the vendor's usual one, such as
                   https://stream-fxpractice.oanda.com for a practice account
  --key-file FILE  file with the key; without it FEED_KEY or FEED_KEY_FILE
  --account A      account at the vendor
  --source NAME    the quotes' source (default the vendor's name)
  --metrics ADDR   serve Prometheus metrics at http://ADDR/metrics

Exit codes: 0 interrupted; 1 Redis cannot be reached; 2 wrong usage, or the
vendor refuses.
`

// connectFlags is the command line of `feed connect`.
type connectFlags struct {
	vendor  vendor.Vendor
	target  vendor.Target
	metrics string
}

// parseConnect reads the command line. key is that of the settings.
func parseConnect(args []string, instruments *feed.Instruments, key string) (f connectFlags, err error) {
	fs := flag.NewFlagSet("connect", flag.ContinueOnError)
	symbols := fs.String("symbols", "*", "")
	keyFile := fs.String("key-file", "", "")
	fs.StringVar(&f.target.URL, "url", "", "")
	fs.StringVar(&f.target.Account, "account", "", "")
	fs.StringVar(&f.target.Source, "source", "", "")
	fs.StringVar(&f.metrics, "metrics", "", "")
	names, err := cli.ParseMixed(fs, args)
	if err != nil {
		return f, err
	}
	want := "want one of: " + strings.Join(vendor.Names(), ", ")
	switch {
	case len(names) == 0:
		return f, errors.New("no VENDOR, " + want)
	case len(names) > 1:
		return f, fmt.Errorf("unexpected argument %.64q, want one VENDOR", names[1])
	}
	if f.vendor = vendor.Named(names[0]); f.vendor == nil {
		return f, fmt.Errorf("unknown vendor %.64q, %s", names[0], want)
	}
	given, traits := cli.Given(fs), f.vendor.Traits()
	f.target.Instruments = instruments
	if f.target.Symbols, err = selected(*symbols, instruments); err != nil {
		return f, err
	}
	if given["source"] {
		if f.target.Source, err = sourceName(f.target.Source); err != nil {
			return f, err
		}
	}
	if given["url"] {
		if f.target.URL, err = address(f.target.URL, traits.URL); err != nil {
			return f, err
		}
	}
	if traits.Account && f.target.Account == "" {
		return f, fmt.Errorf("--account: %s needs one, such as 101-004-1234567-001", traits.Name)
	}
	switch {
	case given["key-file"] && !traits.Key:
		return f, fmt.Errorf("--key-file: %s needs no key", traits.Name)
	case given["key-file"]:
		if key, err = config.SecretFile("the key", *keyFile); err != nil {
			return f, fmt.Errorf("--key-file: %w", err)
		}
	case traits.Key && key == "":
		return f, fmt.Errorf("no key: %s needs one, give --key-file, FEED_KEY or FEED_KEY_FILE", traits.Name)
	}
	if traits.Key { // a key of another vendor is not sent
		f.target.Key = strings.TrimSpace(key)
	}
	return f, nil
}

// selected reads the value of --symbols.
func selected(list string, instruments *feed.Instruments) (chosen vendor.Selection, err error) {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		pattern, err := instruments.ParsePattern(part)
		if err != nil {
			return nil, fmt.Errorf("--symbols: %w", err)
		}
		chosen = append(chosen, pattern)
	}
	if len(chosen) == 0 {
		return nil, errors.New("--symbols: empty, want symbols such as EUR/USD,GBP/*")
	}
	slices.Sort(chosen)
	return slices.Compact(chosen), nil
}

// address reads the value of --url, which must be of the same kind as the vendor's own.
func address(text, own string) (string, error) {
	schemes := []string{"http", "https"}
	if strings.HasPrefix(own, "ws") {
		schemes = []string{"ws", "wss"}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return "", fmt.Errorf("--url: want an address such as %s, with %s", own, strings.Join(schemes, " or ")) // text may hold a password
	}
	return strings.TrimRight(text, "/"), nil
}

// connection identifies what is connected to: of several processes with the same name one is
// connected.
func (f connectFlags) connection() string {
	sum := sha256.Sum256([]byte(f.target.Account + "\x00" + strings.Join(f.target.Symbols, ",")))
	return f.vendor.Traits().Name + ":" + hex.EncodeToString(sum[:8])
}
