package vendor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/feed/vendor"
)

// brief is a vendor that sends one quote, and ends its connection at the moment when it has been
// silent for two heartbeats. Later connections fail.
type brief struct{ connects int }

func (*brief) Traits() vendor.Traits {
	return vendor.Traits{Name: "brief", Heartbeat: heartbeat}
}

func (b *brief) Connect(context.Context, vendor.Target) (vendor.Stream, error) {
	if b.connects++; b.connects > 1 {
		return nil, errors.New("no answer")
	}
	return &briefStream{}, nil
}

type briefStream struct{ read bool }

func (s *briefStream) Read(context.Context) (u vendor.Update, err error) {
	if !s.read {
		s.read = true
		u.Quotes = []feed.Quote{{Symbol: "EUR/USD", Bid: "1.1", Ask: "1.2"}}
		return u, nil
	}
	time.Sleep(2 * heartbeat)
	return u, errors.New("the connection ends")
}

func (s *briefStream) Close() {}

// A vendor is silent also if its connection ends at the very moment when its time is over.
func TestSilenceAtTheEndOfAConnection(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			reg, halted := prometheus.NewPedanticRegistry(), make(chan feed.Symbol, 1)
			s := vendor.New(vendor.Config{
				Vendor: &brief{}, Target: vendor.Target{Symbols: vendor.Selection{"EUR/USD"}}, Registerer: reg,
				Publish: func(context.Context, []feed.Quote) error { return nil },
				Halt:    func(_ context.Context, s feed.Symbol) (bool, error) { halted <- s; return true, nil },
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			select {
			case <-halted:
			case <-ctx.Done():
				t.Error("the symbol was not halted within a minute")
			}
			if n := feedtest.Metric(t, reg, "fx_connect_silences_total"); n != 1 {
				t.Errorf("%v silences", n)
			}
			cancel()
			<-ended
		})
		if t.Failed() {
			return
		}
	}
}
