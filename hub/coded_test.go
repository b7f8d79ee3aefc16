package hub_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// A recorder keeps the binary messages of a connection, in front of a peer.
type recorder struct {
	*peer
	batches [][]byte
}

func (r *recorder) Write(batch hub.Batch) (bool, error) {
	for frames := batch.Frames; len(frames) > 0; {
		n := binary.BigEndian.Uint32(frames)
		size := n &^ (3 << 30)
		if n>>30 == 1 {
			r.batches = append(r.batches, bytes.Clone(frames[4:4+size]))
		}
		frames = frames[4+size:]
	}
	return r.peer.Write(batch)
}

// last returns the size of the newest message.
func (r *recorder) last() int { return len(r.batches[len(r.batches)-1]) }

func joinRecorder(t *testing.T, h *hub.Hub) *recorder {
	t.Helper()
	r := &recorder{peer: newBinaryPeer()}
	if _, err := h.Join(r, hub.JoinOptions{Framing: 2, Positions: true, Joined: r.joined}); err != nil {
		t.Fatal(err)
	}
	return r
}

// A client gets a difference if the hub still has the last quote that it got, and else a key. A connection's first
// quote of a symbol is a key with the name.
func TestBinaryClients(t *testing.T) {
	const difference = 16 // the longest, alone in its message
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, _ *feed) {
		at := position{epoch: "k3f9"}
		publish := func() {
			at.seq++
			b := protocol.Quote{Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513", Time: protocol.At(time.UnixMicro(int64(1_700_000_000_000_000 + 250_123*at.seq))), Seq: at.seq}.AppendBody(nil)
			h.Publish("EUR/USD", at.epoch, at.seq, b, 1)
			synctest.Wait()
		}
		h.SetStatus("EUR/USD", "live", "", time.Now())
		publish()
		a, b := joinRecorder(t, h), joinRecorder(t, h)
		for _, r := range []*recorder{a, b} {
			r.client.Subscribe([]string{"EUR/USD"}, hub.Settings{}, nil)
		}
		synctest.Wait()
		for _, r := range []*recorder{a, b} {
			if len(r.batches) != 1 || !bytes.Contains(r.batches[0], []byte("EUR/USD")) || !bytes.Contains(r.batches[0], []byte("k3f9")) {
				t.Fatalf("snapshot: %x, want one with the name and the epoch", r.batches)
			}
		}
		publish()
		publish()
		if a.last() > difference || !bytes.Equal(a.batches[2], b.batches[2]) {
			t.Errorf("%x and %x, want one difference for both", a.batches[2], b.batches[2])
		}
		b.block()
		publish() // the last one that b takes
		publish()
		publish()
		b.unblock()
		synctest.Wait()
		if a.last() > difference || b.last() > difference+2 {
			t.Errorf("after conflation %x, want a difference that skips one", b.batches[len(b.batches)-1])
		}
		b.block()
		for range 10 { // more than the hub keeps
			publish()
		}
		b.unblock()
		synctest.Wait()
		if a.last() > difference || b.last() <= difference+2 || bytes.Contains(b.batches[len(b.batches)-1], []byte("EUR/USD")) {
			t.Errorf("after much conflation %x, want a key without the name", b.batches[len(b.batches)-1])
		}
		publish()
		if a.last() > difference || !bytes.Equal(a.batches[len(a.batches)-1], b.batches[len(b.batches)-1]) {
			t.Errorf("%x and %x, want one difference for both again", a.batches[len(a.batches)-1], b.batches[len(b.batches)-1])
		}
		at = position{epoch: "k3fa"}
		publish()
		if last := a.batches[len(a.batches)-1]; !bytes.Contains(last, []byte("k3fa")) || !bytes.Contains(last, []byte("EUR/USD")) {
			t.Errorf("%x, want a key with the new epoch", last)
		}
	})
}

// Clients with one pace get differences to what their last message had, however much it skipped.
func TestBinaryPace(t *testing.T) {
	const difference = 24 // the longest: of seconds, and with skipped
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		steady := joinRecorder(t, h) // takes each tick
		f.publish("EUR/USD", 1)
		f.subscribe(steady.peer, 0, "EUR/USD")
		var paced []*recorder
		for range 3 {
			r := joinRecorder(t, h)
			pace(r.peer, quarter, false)
			f.subscribe(r.peer, 0, "EUR/USD")
			paced = append(paced, r)
		}
		synctest.Wait()
		differences := 0
		for n := range 20 {
			for range 1 + n%3 { // one alone is not skipped over
				f.publish("EUR/USD", 1)
				synctest.Wait()
			}
			time.Sleep(quarter)
			synctest.Wait()
			for _, r := range paced {
				if !bytes.Equal(r.batches[len(r.batches)-1], paced[0].batches[len(paced[0].batches)-1]) {
					t.Fatal("equal clients got different messages")
				}
			}
			if paced[0].last() <= difference {
				differences++
			}
		}
		if differences < 5 { // the decimals and sizes of these quotes change often
			t.Errorf("%d of 20 messages were differences", differences)
		}
		for _, r := range append(paced, steady) {
			f.settled(t, r.peer)
		}
	})
}

// The ticks that a client has missed come as differences, after a key.
func TestBinaryResume(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		f.publish("EUR/USD", 100)
		r := joinRecorder(t, h)
		r.since["EUR/USD"] = f.history["EUR/USD"][49]
		r.asked.add("EUR/USD", 0)
		r.asked.every["EUR/USD"] = true
		r.client.Subscribe([]string{"EUR/USD"}, hub.Settings{All: true, Hold: []string{"EUR/USD"}}, ackMode("subscribe", "all", []string{"EUR/USD"}, 0, nil))
		from := f.history["EUR/USD"][49]
		if again := r.client.Resume("EUR/USD", protocol.Position{Epoch: from.epoch, Seq: from.seq}, f.after("EUR/USD", from, 0), true); again {
			t.Error("again")
		}
		f.publish("EUR/USD", 10)
		synctest.Wait()
		f.settled(t, r.peer)
		if got := len(r.seqs("EUR/USD")); got != 60 {
			t.Errorf("%d ticks, want 60", got)
		}
		bytes := 0
		for _, b := range r.batches {
			bytes += len(b)
		}
		if bytes > 60*24 { // every fourth changes its decimals or sizes, and is a key
			t.Errorf("%d bytes for 60 ticks", bytes)
		}
	})
}
