package receive_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redistest"
)

// publishRound publishes one quote of each symbol inside the server, so that it costs this process
// only one command.
var publishRound = redis.NewScript(`
for _, symbol in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  redis.call('PUBLISH', 'fx:{' .. symbol .. '}', '{"symbol":"' .. symbol .. '","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":'
    .. ARGV[1] .. ',"epoch":"k3f9a2c7","at":1795342500000000,"source":"inbox"}')
end`)

// rounds is a Sink that reports when the last wanted symbol has its quote.
type rounds struct {
	discard
	symbol string
	got    chan uint64
}

func (r *rounds) Publish(symbol, _ string, seq uint64, _ []byte, _ int64) {
	if symbol == r.symbol {
		r.got <- seq
	}
}

func (r *rounds) Follow(symbol string, _ bool) {
	if symbol == r.symbol {
		r.got <- 0
	}
}

// The cost of receiving depends on the wanted symbols only, whatever else is published.
func BenchmarkInterest(b *testing.B) {
	for _, c := range []struct{ published, wanted int }{{10, 10}, {1000, 10}, {1000, 1000}} {
		b.Run(fmt.Sprintf("published=%d/wanted=%d", c.published, c.wanted), func(b *testing.B) {
			client := redistest.Start(b).Client()
			symbols := manySymbols(c.published)
			wanted := map[string]bool{}
			for i, s := range symbols {
				client.RPush(b.Context(), "published", string(s))
				client.SAdd(b.Context(), keys.Symbols(), string(s))
				if i >= len(symbols)-c.wanted {
					wanted[string(s)] = true
				}
			}
			sink := &rounds{symbol: string(symbols[len(symbols)-1]), got: make(chan uint64, 1)}
			board := receive.NewBoard(receive.BoardConfig{Sink: sink})
			receiver := receive.NewReceiver(receive.ReceiverConfig{Redis: client, Keys: keys, Node: "n", Board: board, Sink: sink,
				Wanted: func(s string) bool { return wanted[s] }})
			start(b, board.Run)
			start(b, receiver.Run)
			<-sink.got // followed
			eventually(b, "every symbol is subscribed to", func() bool { return len(quoteChannels(b, client)) == c.wanted })
			seq := uint64(0)
			before, sent := cpu(), sentBytes(b, client)
			for b.Loop() {
				seq++
				if err := publishRound.Run(b.Context(), client, []string{"published"}, seq).Err(); err != nil && err != redis.Nil {
					b.Fatal(err)
				}
				for <-sink.got != seq {
				}
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/round")
			b.ReportMetric(float64(sentBytes(b, client)-sent)/float64(b.N), "B-from-redis/round")
		})
	}
}

// sentBytes returns how many bytes the server has sent to all clients.
func sentBytes(b *testing.B, c *redis.Client) (n int64) {
	_, rest, _ := strings.Cut(c.Info(b.Context(), "stats").Val(), "total_net_output_bytes:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
