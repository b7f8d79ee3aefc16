package producer

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/vendortest"
)

// keyed returns the arguments that connect to a fake vendor.
func keyed(t *testing.T, vendor string, server *vendortest.Server, more ...string) []string {
	t.Helper()
	args := append([]string{"connect", vendor, "--url", server.URL}, more...)
	if vendor == "oanda" {
		args = append(args, "--account", vendortest.Account)
	}
	if vendor == "oanda" || vendor == "massive" {
		file := filepath.Join(t.TempDir(), "key")
		programtest.WriteFile(t, file, vendortest.Key+"\n")
		args = append(args, "--key-file", file)
	}
	return args
}

// connecting runs `feed connect` until stop, which returns the exit code.
func connecting(t *testing.T, client *redis.Client, args []string) (out *programtest.Buffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, code := &programtest.Buffer{}, make(chan int, 1)
	go func() { code <- feedCommand(ctx, args, openOn(t, client), out, out) }()
	stopped := false
	stop = func() int {
		if stopped {
			return -1
		}
		stopped = true
		cancel()
		return <-code
	}
	t.Cleanup(func() { stop() })
	return out, stop
}

// TestConnect connects to each vendor by one command, with named symbols and with patterns.
func TestConnect(t *testing.T) {
	keys := feed.Keys{Prefix: "fx:"}
	for _, tt := range []struct{ vendor, symbols, bid, bidSize, time string }{
		{"oanda", "usd_jpy,EUR/USD", "117.665", "10000000", `\.\d{6}Z`},
		{"oanda", "USD/*", "117.665", "10000000", `\.\d{6}Z`},
		{"kraken", "USD/JPY", "148.123", "740.0", `\.\d{6}Z`},
		{"kraken", "*", "148.123", "740.0", `\.\d{6}Z`},
		{"massive", "USD/JPY", "108.535", "", `\.\d{3}000Z`},
		{"massive", "*/JPY", "108.535", "", `\.\d{3}000Z`},
		{"ecb", "EUR/JPY", "171.94", "", `T12:10:00\.000000Z`},
		{"ecb", "*/JPY", "171.94", "", `T12:10:00\.000000Z`},
	} {
		t.Run(tt.vendor+" "+tt.symbols, func(t *testing.T) {
			t.Parallel()
			client, server := redistest.Start(t).Client(), vendortest.Start(t, tt.vendor)
			symbol := feed.Symbol("USD/JPY")
			if tt.vendor == "ecb" {
				symbol = "EUR/JPY"
			}
			out, stop := connecting(t, client, keyed(t, tt.vendor, server, "--symbols", tt.symbols))
			programtest.Eventually(t, "a quote", func() bool { return client.Exists(t.Context(), keys.Quote(symbol)).Val() == 1 })
			message := client.Get(t.Context(), keys.Quote(symbol)).Val()
			var q struct {
				Bid     string
				BidSize string `json:"bid_size"`
				Source  string
				TS      string
			}
			if err := json.Unmarshal([]byte(message), &q); err != nil {
				t.Fatal(err)
			}
			if q.Bid != tt.bid || q.BidSize != tt.bidSize || q.Source != tt.vendor || !regexp.MustCompile(tt.time).MatchString(q.TS) {
				t.Errorf("quote %s, want bid %s, size %q, time like %s", message, tt.bid, tt.bidSize, tt.time)
			}
			// The list of symbols is on another server of a cluster, so a symbol is added after its quote.
			programtest.Eventually(t, "the symbol in the list", func() bool { return client.SIsMember(t.Context(), keys.Symbols(), string(symbol)).Val() })
			if all := client.SMembers(t.Context(), keys.Symbols()).Val(); strings.Contains(tt.symbols, "JPY") && !strings.Contains(tt.symbols, "EUR/USD") && len(all) != 1 {
				t.Errorf("published %v, want %s only", all, symbol)
			}
			server.Set(vendortest.WrongDigits, true)
			if tt.vendor != "ecb" { // its next look is in 10 minutes
				programtest.Eventually(t, "a refused quote in the list", func() bool {
					var r accept.RejectedQuote
					text := client.LIndex(t.Context(), keys.Rejected(), 0).Val()
					return json.Unmarshal([]byte(text), &r) == nil && r.Via == accept.ViaConnect && r.Source == tt.vendor && r.Reason == feed.ReasonTooLong
				})
			}
			if code := stop(); code != cli.OK || number(t, out.String(), "received") < 1 || number(t, out.String(), "accepted") < 1 {
				t.Errorf("exit code %d: %s", code, out)
			}
			if strings.Contains(out.String(), vendortest.Key) {
				t.Errorf("the key was printed: %s", out)
			}
		})
	}
}

// TestConnectEnds checks what can never work: it ends with 2 and one line that says why.
func TestConnectEnds(t *testing.T) {
	client := redistest.Start(t).Client()
	badKey := filepath.Join(t.TempDir(), "key")
	programtest.WriteFile(t, badKey, "wrong-key\n")
	for _, tt := range []struct {
		name, vendor string
		args         []string
		want         string
	}{
		{"key", "oanda", []string{"--key-file", badKey}, "Insufficient authorization"},
		{"key", "massive", []string{"--key-file", badKey}, "authentication failed"},
		{"account", "oanda", []string{"--account", "no such account"}, "Account does not exist"},
		{"symbol", "oanda", []string{"--symbols", "EUR/USD,CHF/JPY"}, "Invalid value specified for 'instruments'"},
		{"symbols", "oanda", []string{"--symbols", "SEK/*"}, "--symbols"},
		{"symbol", "kraken", []string{"--symbols", "CHF/JPY"}, "Currency pair not supported CHF/JPY"},
		{"symbols", "kraken", []string{"--symbols", "SEK/*"}, "--symbols"},
		{"symbol", "ecb", []string{"--symbols", "USD/JPY"}, "euro"},
		{"rate", "ecb", []string{"--symbols", "EUR/RUB"}, "none of the symbols"},
	} {
		t.Run(tt.vendor+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			args := append(keyed(t, tt.vendor, vendortest.Start(t, tt.vendor)), tt.args...) // the last of a flag counts
			code := feedCommand(t.Context(), args, openOn(t, client), &stdout, &stderr)
			lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
			if last := lines[len(lines)-1]; code != cli.Misuse || !strings.Contains(last, tt.want) || !strings.HasPrefix(last, "broadcaster: feed connect: ") {
				t.Errorf("exit code %d, last line %q, want 2 and %q", code, last, tt.want)
			}
			if strings.Contains(stderr.String(), "wrong-key") {
				t.Errorf("the key was printed: %s", &stderr)
			}
		})
	}
}

// TestConnectWrongQuotes has vendors send wrong prices and times. Each is refused and listed with
// its source and its way in, and good ones are accepted again afterwards.
func TestConnectWrongQuotes(t *testing.T) {
	keys := feed.Keys{Prefix: "fx:"}
	for _, vendor := range []string{"oanda", "kraken", "massive"} {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			client, server := redistest.Start(t).Client(), vendortest.Start(t, vendor)
			connecting(t, client, keyed(t, vendor, server, "--symbols", "EUR/USD", "--source", "bad clock"))
			accepted := func() int64 { return client.XLen(t.Context(), keys.Ticks("EUR/USD")).Val() }
			more := func() {
				t.Helper()
				before := accepted()
				programtest.Eventually(t, "quotes are accepted", func() bool { return accepted() > before+2 })
			}
			more()
			for sw, reason := range map[vendortest.Switch]feed.Reason{
				vendortest.DayOld: feed.ReasonOld, vendortest.DayAhead: feed.ReasonFuture,
				vendortest.Zero: feed.ReasonZero, vendortest.Crossed: feed.ReasonCrossed,
			} {
				server.Set(sw, true)
				programtest.Eventually(t, string(reason)+" is listed", func() bool {
					for _, text := range client.LRange(t.Context(), keys.Rejected(), 0, -1).Val() {
						var r accept.RejectedQuote
						if json.Unmarshal([]byte(text), &r) == nil && r.Reason == reason {
							if r.Via != accept.ViaConnect || r.Source != "bad_clock" || r.Symbol != "EUR/USD" || r.Message == "" || r.Input == "" {
								t.Fatalf("a rejection that does not name what was refused: %s", text)
							}
							return true
						}
					}
					return false
				})
				server.Set(sw, false)
				more()
			}
		})
	}
}

// TestConnectRevokedKey revokes the key of a connection that has worked. It ends with 2 and one line
// that says why, after it was refused several times.
func TestConnectRevokedKey(t *testing.T) {
	for _, vendor := range []string{"oanda", "massive"} {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			client, server := redistest.Start(t).Client(), vendortest.Start(t, vendor)
			out, code := &programtest.Buffer{}, make(chan int, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			go func() {
				code <- feedCommand(ctx, keyed(t, vendor, server, "--symbols", "EUR/USD"), openOn(t, client), out, out)
			}()
			programtest.Eventually(t, "a quote", func() bool { return client.Exists(ctx, "fx:{EUR/USD}:quote").Val() == 1 })
			server.Set(vendortest.Unauthorized, true)
			server.Set(vendortest.Drop, true)
			server.Set(vendortest.Drop, false)
			if code := <-code; code != cli.Misuse || out.Find(`(broadcaster: feed connect: .*FEED_KEY)`) == "" {
				t.Errorf("exit code %d: %s", code, out)
			}
			if n := len(server.Connects()); n < 4 {
				t.Errorf("%d connects, want three more after the key had worked", n)
			}
			if out.Find("("+vendortest.Key+")") != "" {
				t.Errorf("the key was printed: %s", out)
			}
		})
	}
}

// Some symbols that a vendor does not know do not keep it from sending the others. OANDA refuses
// them all.
func TestConnectKnownSymbolsGoOn(t *testing.T) {
	for vendor, symbols := range map[string]string{"kraken": "CHF/JPY,EUR/USD", "massive": "CHF/JPY,EUR/USD", "ecb": "EUR/RUB,EUR/USD"} {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			client, server := redistest.Start(t).Client(), vendortest.Start(t, vendor)
			connecting(t, client, keyed(t, vendor, server, "--symbols", symbols))
			programtest.Eventually(t, "a quote", func() bool { return client.Exists(t.Context(), "fx:{EUR/USD}:quote").Val() == 1 })
		})
	}
}

// TestConnectStandby runs three processes for the same symbols, and one for others.
func TestConnectStandby(t *testing.T) {
	client, server := redistest.Start(t).Client(), vendortest.Start(t, "kraken")
	args := keyed(t, "kraken", server, "--symbols", "EUR/USD,USD/JPY")
	_, stopFirst := connecting(t, client, args)
	programtest.Eventually(t, "the first connects", func() bool { return len(server.Connects()) == 1 })
	connecting(t, client, keyed(t, "kraken", server, "--symbols", "USDJPY, eur-usd")) // the same
	connecting(t, client, args)
	connecting(t, client, keyed(t, "kraken", server, "--symbols", "USD/JPY"))
	programtest.Eventually(t, "the one for other symbols connects", func() bool { return len(server.Connects()) == 2 })
	if held := client.Keys(t.Context(), "fx:connect:*:lease").Val(); len(held) != 2 {
		t.Errorf("leases %v, want two", held)
	}
	stopFirst()
	programtest.Eventually(t, "one of the others takes over", func() bool { return len(server.Connects()) == 3 })
	before := client.HGet(t.Context(), "fx:{EUR/USD}:seq", "seq").Val()
	programtest.Eventually(t, "it publishes", func() bool { return client.HGet(t.Context(), "fx:{EUR/USD}:seq", "seq").Val() != before })
	if n := len(server.Connects()); n != 3 {
		t.Errorf("%d connects, want 3", n)
	}
}

func TestConnectMetrics(t *testing.T) {
	client, server := redistest.Start(t).Client(), vendortest.Start(t, "oanda")
	busy := "127.0.0.1:0"
	var log *programtest.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	open := func(ctx context.Context) (*output, error) {
		out, err := openOn(t, client)(ctx)
		if err == nil {
			out.logger, log = programtest.Log()
		}
		return out, err
	}
	opened, code := make(chan struct{}), make(chan int, 1)
	go func() {
		code <- feedCommand(ctx, keyed(t, "oanda", server, "--symbols", "EUR/USD", "--metrics", busy), func(ctx context.Context) (*output, error) {
			defer close(opened)
			return open(ctx)
		}, io.Discard, io.Discard)
	}()
	<-opened
	programtest.Eventually(t, "the address", func() bool { return log.Find(`addr=(\S+)`) != "" })
	busy = log.Find(`addr=(\S+)`)
	programtest.Eventually(t, "the vendor is up", func() bool {
		resp, err := http.Get("http://" + busy + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(body), `fx_connect_up{vendor="oanda"} 1`) && strings.Contains(string(body), `fx_connect_leader{vendor="oanda"} 1`)
	})
	var stderr bytes.Buffer
	if code := feedCommand(t.Context(), keyed(t, "oanda", server, "--metrics", busy), openOn(t, client), io.Discard, &stderr); code != cli.Failed || !strings.Contains(stderr.String(), "--metrics") {
		t.Errorf("an address in use: exit code %d: %s", code, &stderr)
	}
	cancel()
	select {
	case <-code:
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}
