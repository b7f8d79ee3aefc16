package accept_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// BenchmarkAck publishes in turn without and with Replicated to the same master, so that both meet
// the same load of the machine. Each turn is one call of each caller.
func BenchmarkAck(b *testing.B) {
	for _, size := range []struct{ callers, quotes int }{{1, 1}, {1, 100}, {16, 16}} {
		b.Run(fmt.Sprintf("callers=%d/quotes=%d", size.callers, size.quotes), func(b *testing.B) {
			master, _ := startReplica(b)
			publishers := []*accept.Publisher{startPublisher(b, master.Client()), startPublisher(b, master.Client(), replicated)}
			quotes := make([]feed.Quote, size.quotes)
			for i := range quotes {
				quotes[i] = eurusd("1.08501", "1.08513")
			}
			took := make([][]time.Duration, 2) // by turn
			for b.Loop() {
				for i, p := range publishers {
					began := time.Now()
					var calls sync.WaitGroup
					for range size.callers {
						calls.Go(func() {
							if out, err := p.Publish(context.Background(), quotes); err != nil || out[0].Unreplicated {
								b.Errorf("%+v, %v", out[0], err)
							}
						})
					}
					calls.Wait()
					took[i] = append(took[i], time.Since(began))
				}
			}
			for i, name := range []string{"accepted", "replicated"} {
				total := time.Duration(0)
				for _, d := range took[i] {
					total += d
				}
				slices.Sort(took[i])
				n := len(took[i])
				b.ReportMetric(float64(n*size.callers*size.quotes)/total.Seconds(), name+"-quotes/s")
				b.ReportMetric(float64(took[i][n/2].Microseconds()), name+"-p50-µs")
				b.ReportMetric(float64(took[i][n*99/100].Microseconds()), name+"-p99-µs")
			}
		})
	}
}
