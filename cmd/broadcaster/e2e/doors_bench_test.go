package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// benchSymbols are 28, as many as pairs of the eight major currencies.
var benchSymbols = func() (symbols []string) {
	currencies := []string{"EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "JPY"}
	for i, base := range currencies {
		for _, quote := range currencies[i+1:] {
			symbols = append(symbols, base+"/"+quote)
		}
	}
	return symbols
}()

// A door takes quotes, which a node accepts.
type door struct {
	name string
	send func(quotes []string) error // JSON objects; it may return before they are accepted
	most int                         // quotes that may be on their way; 0 = any
}

// BenchmarkDoors measures how many quotes per second a node takes through each door, from the first
// one that is sent until the last one is accepted. The doors take turns on one node with one Redis.
// Each ratio is the median of the rounds' quotients to POST.
func BenchmarkDoors(b *testing.B) {
	server := redistest.Start(b)
	c := server.Client()
	public := benchNode(b, "REDIS_URL="+server.URL(), "PUBLISH_TOKEN="+pubToken)
	heard := c.PSubscribe(b.Context(), "fx:{*}")
	b.Cleanup(func() { heard.Close() })
	if _, err := heard.Receive(b.Context()); err != nil {
		b.Fatal(err)
	}
	accepted := heard.Channel(redis.WithChannelSize(1 << 16))

	const quotes, batch = 10_240, 256
	texts := make([]string, quotes)
	for i := range texts {
		texts[i] = fmt.Sprintf(`{"symbol":"%s","bid":"1.08501","ask":"1.08513"}`, benchSymbols[i%len(benchSymbols)])
	}
	post := func(part []string) error {
		r, err := http.NewRequest(http.MethodPost, public+"/api/v1/quotes", bytes.NewReader(list(part)))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+pubToken)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var answer struct{ Accepted int }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Accepted != len(part) {
			return fmt.Errorf("%d accepted of %d, %v", answer.Accepted, len(part), err)
		}
		return nil
	}
	pipelined := func(part []string, command func(p redis.Pipeliner, quote string)) error {
		_, err := c.Pipelined(b.Context(), func(p redis.Pipeliner) error {
			for _, quote := range part {
				command(p, quote)
			}
			return nil
		})
		return err
	}
	const callers = 4
	doors := []door{
		{"POST", func(part []string) error {
			var wg sync.WaitGroup
			errs := make([]error, callers)
			for i := range callers {
				wg.Go(func() { errs[i] = post(part[i*len(part)/callers : (i+1)*len(part)/callers]) })
			}
			wg.Wait()
			return errs[0]
		}, 0},
		{"inbox", func(part []string) error {
			return pipelined(part, func(p redis.Pipeliner, quote string) { p.Publish(b.Context(), "forex_updates", quote) })
		}, 4 * batch},
		{"stream", func(part []string) error {
			return pipelined(part, func(p redis.Pipeliner, quote string) {
				p.XAdd(b.Context(), &redis.XAddArgs{Stream: "forex_stream", MaxLen: 100_000, Approx: true, Values: []any{"data", quote}})
			})
		}, 0},
		{"stream-lists", func(part []string) error {
			return c.XAdd(b.Context(), &redis.XAddArgs{Stream: "forex_stream", MaxLen: 100_000, Approx: true, Values: []any{"data", string(list(part))}}).Err()
		}, 0},
	}
	perSecond := func(d door) float64 {
		size := batch
		if d.name == "POST" {
			size = callers * batch
		}
		got, began := 0, time.Now()
		await := func(n int) {
			for got < n {
				select {
				case <-accepted:
					got++
				case <-time.After(30 * time.Second):
					b.Fatalf("%s: %d of %d quotes are accepted", d.name, got, quotes)
				}
			}
		}
		sent := 0
		for part := range slices.Chunk(texts, size) {
			if err := d.send(part); err != nil {
				b.Fatalf("%s: %v", d.name, err)
			}
			if sent += len(part); d.most > 0 {
				await(sent - d.most)
			}
		}
		await(quotes)
		return quotes / time.Since(began).Seconds()
	}
	rates, ratios := map[string][]float64{}, map[string][]float64{}
	for _, d := range doors {
		perSecond(d)
	}
	for b.Loop() {
		var first float64
		for i, d := range doors {
			rate := perSecond(d)
			if i == 0 {
				first = rate
			}
			rates[d.name], ratios[d.name] = append(rates[d.name], rate), append(ratios[d.name], rate/first)
		}
	}
	for _, d := range doors {
		b.ReportMetric(median(rates[d.name]), d.name+"/s")
		b.ReportMetric(median(ratios[d.name]), d.name+"/POST")
	}
}

func list(quotes []string) []byte {
	var b bytes.Buffer
	for i, quote := range quotes {
		b.WriteByte("[,"[min(i, 1)])
		b.WriteString(quote)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// benchNode starts a node and returns its address.
func benchNode(b *testing.B, environ ...string) (public string) {
	b.Helper()
	out := &programtest.Buffer{}
	cmd := program(context.Background(), b, append([]string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0"}, environ...))
	cmd.Stdout, cmd.SysProcAttr = out, redistest.ProcAttr()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // nobody looks at how it ends
	})
	programtest.Eventually(b, "the node is ready", func() bool {
		public = out.Find(`fxcast is at (https?://\S+?)/\s`)
		if public == "" {
			return false
		}
		resp, err := http.Get(public + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return public
}
