package hub_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
)

// jumps returns the numbers of the quotes with gap in all messages of a kind.
func (p *peer) jumps(kind string) (seqs []uint64) {
	for _, m := range p.messages(kind) {
		for _, q := range m.quotes {
			if q.Gap {
				seqs = append(seqs, q.Seq)
			}
		}
	}
	return seqs
}

// TestJumpsAreReported checks that a quote has gap if it confirmed a jump, or if one that did was
// conflated into it. A snapshot has gap only in the first case.
func TestJumpsAreReported(t *testing.T) {
	t.Run("text", func(t *testing.T) { testJumps(t, newPeer) })
	t.Run("binary", func(t *testing.T) { testJumps(t, newBinaryPeer) })
}

func testJumps(t *testing.T, newPeer func() *peer) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		slow, fast, every := join(t, h, newPeer()), join(t, h, newPeer()), join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		f.subscribe(slow, 0.5, "EUR/USD")
		f.subscribe(fast, 0, "EUR/USD")
		f.every(every, "EUR/USD")
		publish := func(jump bool) {
			at := f.last["EUR/USD"]
			at.seq++
			f.last["EUR/USD"] = at
			f.history["EUR/USD"] = append(f.history["EUR/USD"], at)
			b := body("EUR/USD", at.seq)
			if jump {
				b = append(b, `,"gap":true`...)
			}
			h.Publish("EUR/USD", at.epoch, at.seq, b, int64(at.seq))
			synctest.Wait()
		}
		publish(false) // 2, sent to every client at once
		publish(true)  // 3, conflated into a later one for slow
		publish(false)
		late := join(t, h, newPeer())
		f.subscribe(late, 0, "EUR/USD") // its snapshot is 4
		synctest.Wait()
		publish(false)
		time.Sleep(3 * time.Second) // slow receives 5
		publish(false)
		time.Sleep(3 * time.Second) // slow receives 6
		publish(true)               // 7
		after := join(t, h, newPeer())
		f.subscribe(after, 0, "EUR/USD")
		time.Sleep(3 * time.Second)
		for _, tc := range []struct {
			name string
			peer *peer
			kind string
			want []uint64
		}{
			{"slow", slow, "update", []uint64{5, 7}}, {"fast", fast, "update", []uint64{3, 7}}, {"every", every, "update", []uint64{3, 7}},
			{"late", late, "snapshot", nil}, {"late", late, "update", []uint64{7}}, {"after", after, "snapshot", []uint64{7}},
		} {
			if got := tc.peer.jumps(tc.kind); !slices.Equal(got, tc.want) {
				t.Errorf("%s: gap in the %ss %v, want %v", tc.name, tc.kind, got, tc.want)
			}
		}
	})
}
