package hub_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// lengths frames a message by four bytes of length; a ping has length 0.
type lengths struct{}

func (lengths) AppendMessage(dst, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(payload))), payload...)
}

// packedLengths marks a compressed frame by the top bit and really compresses.
type packedLengths struct{ lengths }

func (packedLengths) AppendMessage(dst, payload []byte) []byte {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestSpeed)
	_, _ = w.Write(payload)
	_ = w.Close()
	return append(binary.BigEndian.AppendUint32(dst, uint32(packed.Len())|1<<31), packed.Bytes()...)
}

// binaryLengths marks a binary frame by the bit below the top one.
type binaryLengths struct{ lengths }

func (binaryLengths) AppendBinary(dst, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(payload))|1<<30), payload...)
}

func (lengths) Ping() []byte { return make([]byte, 4) }

// A message has every field that a client of the hub may receive; unknown fields are errors.
type message struct {
	Type      string
	Op        string
	OK        []string
	MaxRate   float64 `json:"max_rate"`
	Mode      string
	Reset     bool
	Source    string
	Expect    []string // only in tests: topics whose snapshot is due
	Data      json.RawMessage
	Symbol    string
	Status    string
	Since     string
	Channel   string
	Dropped   int
	Code      int
	Reason    string
	Reconnect int64 `json:"reconnect_after_ms"`
	TS        string
	Text      string

	at     time.Time
	quotes []quote
}

type quote struct {
	Symbol, Bid, Ask, TS string
	BidSize              string `json:"bid_size"`
	AskSize              string `json:"ask_size"`
	Seq                  uint64
	Epoch                *string
	Skipped              *uint64
	Status               *string
	Gap                  bool
}

// wants lists the settings that a client requested by pattern, in order.
type wants struct {
	rate  map[string]float64
	every map[string]bool
	asked map[string]int
	n     int
}

func newWants() wants { return wants{map[string]float64{}, map[string]bool{}, map[string]int{}, 0} }

func (w *wants) add(pattern string, rate float64) {
	w.n++
	w.rate[pattern], w.asked[pattern] = rate, w.n
}

func (w *wants) remove(pattern string) {
	delete(w.rate, pattern)
	delete(w.every, pattern)
	delete(w.asked, pattern)
}

// deciding applies the rule of the contract: the exact pattern, else the narrower, else the later
// one.
func (w *wants) deciding(topic string) (pattern string, ok bool) {
	if _, ok := w.rate[topic]; ok {
		return topic, true
	}
	for p := range w.rate {
		if p != "*" && matches(p, topic) && (pattern == "" || w.asked[p] > w.asked[pattern]) {
			pattern = p
		}
	}
	if pattern == "" {
		_, ok = w.rate["*"]
		return "*", ok
	}
	return pattern, true
}

func matches(pattern, topic string) bool {
	return pattern == topic || pattern == "*" ||
		strings.HasSuffix(pattern, "/*") && strings.HasPrefix(topic, pattern[:len(pattern)-1]) ||
		strings.HasPrefix(pattern, "*/") && strings.HasSuffix(topic, pattern[1:])
}

type position struct {
	epoch string
	seq   uint64
}

var errLost = errors.New("connection reset")

// A peer is a connection with a strict client at its end: the client parses every message and
// records every breach of the protocol.
type peer struct {
	client    *hub.Client
	packed    bool              // accepts compressed messages
	binary    *protocol.Decoder // not nil: it gets snapshots and updates in binary; guarded by mu
	positions bool              // joins with JoinOptions.Positions
	rate      float64           // joins with JoinOptions.MaxRate

	inflated int   // compressed messages; guarded by mu
	asked    wants // as requested by the test

	mu       sync.Mutex // guards the fields below
	log      []message
	pings    int
	writes   int
	faults   []string
	wants    wants // as acknowledged
	have     map[string]position
	status   map[string]string
	updated  map[string]time.Time // last update since a snapshot or a change of rate
	awaiting map[string]bool      // snapshots that acks announced
	unsure   map[string]bool      // topics that were forgotten: their snapshots may not come
	first    bool                 // the first quote of a subscription may be a snapshot
	begun    map[string]bool      // with first: topics whose first quote has come
	since    map[string]position  // positions it resumes from
	resumed  map[string]bool      // the next quote is the first of the connection
	resets   []resetAt
	blocked  bool // Write takes one more batch and is then not ready
	owes     bool // must still call Ready
	owesFrom time.Time
	code     int
	reason   string
	closes   int

	onWrite func() error // called without the lock
	onClose func()
}

func newPeer() *peer {
	return &peer{positions: true, wants: newWants(), asked: newWants(), have: map[string]position{}, status: map[string]string{},
		updated: map[string]time.Time{}, awaiting: map[string]bool{}, unsure: map[string]bool{}, begun: map[string]bool{}, since: map[string]position{}, resumed: map[string]bool{}}
}

// newBinaryPeer returns a peer that gets its quotes in binary.
func newBinaryPeer() *peer {
	p := newPeer()
	p.binary = new(protocol.Decoder)
	return p
}

// anyPeer draws a peer of either kind.
func anyPeer(t *rapid.T) *peer {
	if rapid.Bool().Draw(t, "binary") {
		return newBinaryPeer()
	}
	return newPeer()
}

// A resetAt is a snapshot that reported missed ticks before it.
type resetAt struct {
	topic string
	at    position
}

func (p *peer) fault(format string, args ...any) {
	if len(p.faults) < 10 {
		p.faults = append(p.faults, fmt.Sprintf(format, args...))
	}
}

func (p *peer) joined(c *hub.Client) { p.client = c }

func (p *peer) Write(batch hub.Batch) (bool, error) {
	if p.onWrite != nil {
		if err := p.onWrite(); err != nil {
			return false, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	if p.owes {
		p.fault("written to before Ready")
	}
	if p.closes > 0 {
		p.fault("written to after Close")
	}
	if len(batch.Frames) == 0 {
		p.fault("empty write")
	}
	if !p.positions && len(batch.Positions) > 0 {
		p.fault("positions without having asked")
	}
	p.takeFrames(batch)
	if p.blocked {
		p.owes, p.owesFrom = true, time.Now()
	}
	return !p.blocked, nil
}

// takeFrames reads whole frames; mu must be held.
func (p *peer) takeFrames(batch hub.Batch) {
	frames, positions := batch.Frames, batch.Positions
	for len(frames) > 0 {
		offset, before := len(batch.Frames)-len(frames), len(p.log)
		n := binary.BigEndian.Uint32(frames)
		compressed := n>>31 == 1
		coded := n>>30&1 == 1
		n &^= 3 << 30
		switch body := slices.Clone(frames[4 : 4+n]); {
		case n == 0:
			p.pings++
		case coded != (p.binary != nil) && (coded || bytes.HasPrefix(body, []byte(protocol.UpdateHead)) || bytes.HasPrefix(body, []byte(`{"type":"snapshot"`))):
			p.fault("quotes in the wrong form: %q", body)
		case coded:
			message, err := p.binary.Decode(body)
			if err != nil {
				p.fault("decode: %v", err)
				break
			}
			p.take(message.Append(nil))
		case compressed && !p.packed:
			p.fault("compressed without having asked")
		case compressed:
			message, err := io.ReadAll(flate.NewReader(bytes.NewReader(body)))
			if err != nil {
				p.fault("inflate: %v", err)
			}
			p.inflated++
			p.take(message)
		default:
			p.take(body)
		}
		frames = frames[4+n:]
		if p.positions && len(p.log) > before {
			positions = p.reach(p.log[before], offset, positions)
		}
	}
	if len(positions) > 0 {
		p.fault("positions that belong to no message: %v", positions)
	}
}

// reach compares the positions of one message with its quotes and returns the remaining positions.
func (p *peer) reach(m message, offset int, positions []hub.Reached) []hub.Reached {
	reached := map[string]position{}
	for len(positions) > 0 && positions[0].Message == offset {
		reached[positions[0].Topic] = position{positions[0].Epoch, positions[0].Seq}
		positions = positions[1:]
	}
	quoted := map[string]position{}
	for _, q := range m.quotes {
		quoted[q.Symbol] = p.have[q.Symbol]
	}
	if !maps.Equal(reached, quoted) {
		p.fault("a message brought the client to %v, the hub says %v", quoted, reached)
	}
	return positions
}

func (p *peer) Backlog() (int, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.owes {
		return 0, 0
	}
	return 1, time.Since(p.owesFrom)
}

func (p *peer) Close(why protocol.Close, last []byte) {
	p.mu.Lock()
	p.positions = false // a batch that the connection did not take has no positions
	p.takeFrames(hub.Batch{Frames: last})
	if p.closes++; p.closes > 1 {
		p.fault("closed twice")
	}
	p.code, p.reason = why.Code, why.Reason
	p.mu.Unlock()
	if p.onClose != nil {
		p.onClose()
	}
}

func (p *peer) block() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocked = true
}

func (p *peer) unblock() {
	p.mu.Lock()
	p.blocked = false
	p.mu.Unlock()
	p.room()
}

// forgive expects no snapshot of a topic any more.
func (p *peer) forgive(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsure[topic] = true
	delete(p.awaiting, topic)
}

// room writes everything; if blocked, the next write is again the last.
func (p *peer) room() {
	p.mu.Lock()
	owes := p.owes
	p.owes = false
	p.mu.Unlock()
	if owes {
		p.client.Ready()
	}
}

func (p *peer) take(payload []byte) {
	m := message{at: time.Now()}
	if notice, err := protocol.Decode(payload); err == nil {
		switch notice.(type) {
		case protocol.CandleUpdate, protocol.DayUpdate:
			m.Type, m.Text = "notice", strings.TrimSuffix(string(payload), "\n")
			p.log = append(p.log, m)
			return
		}
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		p.fault("not a message: %v: %s", err, payload)
		return
	}
	switch m.Type {
	case "ack":
		p.ack(m)
	case "snapshot", "update":
		q := json.NewDecoder(bytes.NewReader(m.Data))
		q.DisallowUnknownFields()
		if err := q.Decode(&m.quotes); err != nil || len(m.quotes) == 0 {
			p.fault("not quotes: %v: %s", err, payload)
			return
		}
		for _, q := range m.quotes {
			if m.Reset {
				// A topic may have been published before a wildcard matched it.
				pattern, _ := p.wants.deciding(q.Symbol)
				if _, known := p.have[q.Symbol]; known || q.Seq == 1 || !hub.IsWildcard(pattern) {
					p.resets = append(p.resets, resetAt{q.Symbol, position{*q.Epoch, q.Seq}})
				}
				p.awaiting[q.Symbol] = true
			}
			p.quote(q, m.Type == "snapshot", m.at)
		}
	case "resumed":
		at, ok := p.since[m.Symbol]
		if !ok {
			p.fault("resumed %s, which it did not ask for", m.Symbol)
		}
		delete(p.since, m.Symbol)
		p.have[m.Symbol] = at
		p.resumed[m.Symbol] = true
	case "status":
		if m.Symbol != "" {
			if _, ok := p.wants.deciding(m.Symbol); !ok {
				p.fault("status of %s, which is not subscribed", m.Symbol)
			}
			p.status[m.Symbol] = m.Status
			if m.Status == "unknown" {
				delete(p.updated, m.Symbol)
			}
		}
	case "message":
		if !slices.Contains(slices.Collect(maps.Keys(p.wants.rate)), "channel:"+m.Channel) {
			p.fault("message of channel %s, which is not subscribed", m.Channel)
		}
	case "heartbeat", "closing", "welcome", "pong":
	default:
		p.fault("unknown type %q", m.Type)
	}
	p.log = append(p.log, m)
}

func (p *peer) ack(m message) {
	for _, pattern := range m.OK {
		maps.DeleteFunc(p.begun, func(t string, _ bool) bool { return matches(pattern, t) }) // the mode may change
		if m.Op == "subscribe" {
			p.wants.add(pattern, m.MaxRate)
			delete(p.wants.every, pattern)
			if m.Mode == "all" {
				p.wants.every[pattern] = true
			}
		} else {
			p.wants.remove(pattern)
		}
	}
	clear(p.updated) // rates may have changed
	for _, topic := range m.Expect {
		if !p.unsure[topic] {
			p.awaiting[topic] = true
		}
	}
	if m.Op == "unsubscribe" {
		maps.DeleteFunc(p.awaiting, func(t string, _ bool) bool { _, ok := p.wants.deciding(t); return !ok })
		maps.DeleteFunc(p.have, func(t string, _ position) bool { _, ok := p.wants.deciding(t); return !ok })
		maps.DeleteFunc(p.status, func(t, _ string) bool { _, ok := p.wants.deciding(t); return !ok })
	}
}

func (p *peer) quote(q quote, snapshot bool, now time.Time) {
	pattern, ok := p.wants.deciding(q.Symbol)
	if !ok {
		p.fault("quote of %s, which is not subscribed", q.Symbol)
		return
	}
	had, known := p.have[q.Symbol]
	have := position{had.epoch, q.Seq}
	first := p.resumed[q.Symbol]
	delete(p.resumed, q.Symbol)
	switch {
	case snapshot:
		if q.Epoch == nil {
			p.fault("snapshot of %s without epoch", q.Symbol)
			return
		}
		if q.Skipped != nil {
			p.fault("snapshot of %s with skipped", q.Symbol)
		}
		if !p.awaiting[q.Symbol] && !p.unsure[q.Symbol] && (!p.first || p.begun[q.Symbol]) {
			p.fault("snapshot of %s, none is due", q.Symbol)
		}
		have.epoch = *q.Epoch
		if known && have.epoch == had.epoch && q.Seq < had.seq {
			p.fault("snapshot of %s goes back from %d to %d", q.Symbol, had.seq, q.Seq)
		}
		delete(p.awaiting, q.Symbol)
		delete(p.updated, q.Symbol)
	case q.Epoch != nil:
		if have.epoch = *q.Epoch; known && have.epoch == had.epoch && !first {
			p.fault("%s %d repeats its epoch", q.Symbol, q.Seq)
		}
	case first:
		p.fault("first quote of %s after it was resumed has no epoch", q.Symbol)
		if q.Skipped != nil {
			p.fault("%s %d has skipped with a new epoch", q.Symbol, q.Seq)
		}
	case !known:
		p.fault("first quote of %s without epoch", q.Symbol)
	default:
		skipped := uint64(0)
		if q.Skipped != nil {
			if skipped = *q.Skipped; skipped == 0 {
				p.fault("%s has skipped 0", q.Symbol)
			}
		}
		if q.Seq-had.seq-1 != skipped {
			p.fault("%s: %d after %d, skipped %d", q.Symbol, q.Seq, had.seq, skipped)
		}
	}
	p.begun[q.Symbol] = true
	if !snapshot {
		if _, held := p.since[q.Symbol]; held {
			p.fault("update of %s before it was resumed", q.Symbol)
		}
		if p.wants.every[pattern] && known && (q.Skipped != nil || q.Epoch != nil && q.Seq != 1 && !first || first && *q.Epoch == had.epoch && q.Seq != had.seq+1) {
			p.fault("%s: %d after %d, every tick was asked for", q.Symbol, q.Seq, had.seq)
		}
		if p.awaiting[q.Symbol] {
			p.fault("update of %s before its snapshot", q.Symbol)
		}
		if rate := p.wants.rate[pattern]; rate > 0 && !p.unsure[q.Symbol] { // a topic that was forgotten begins again
			least := time.Duration(float64(time.Second) / rate)
			if last, ok := p.updated[q.Symbol]; ok && now.Sub(last) < least {
				p.fault("%s: %v after the last update, max_rate %g", q.Symbol, now.Sub(last), rate)
			}
		}
		p.updated[q.Symbol] = now
	}
	p.have[q.Symbol] = have
	if want, _, _ := protocol.CutBody(string(body(q.Symbol, q.Seq))); q.Bid != want.Bid || q.Ask != want.Ask || q.BidSize != want.BidSize || q.AskSize != want.AskSize || q.TS != want.Time {
		p.fault("%+v, want %+v", q, want)
	}
	p.status[q.Symbol] = "live"
	if q.Status != nil {
		if p.status[q.Symbol] = *q.Status; *q.Status == "live" {
			p.fault("%s says that it is live", q.Symbol)
		}
	}
}

// check reports the breaches that the strict client has found.
func (p *peer) check(t failer) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		t.Errorf("%s", f)
	}
}

// messages returns all messages of a type so far.
func (p *peer) messages(kind string) (found []message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.log {
		if m.Type == kind {
			found = append(found, m)
		}
	}
	return found
}

// types returns the types of all messages since forget.
func (p *peer) types() (types []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.log {
		types = append(types, m.Type)
	}
	return types
}

func (p *peer) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = nil
}

// seqs returns the numbers of a topic's updates so far.
func (p *peer) seqs(topic string) (seqs []uint64) {
	for _, m := range p.messages("update") {
		for _, q := range m.quotes {
			if q.Symbol == topic {
				seqs = append(seqs, q.Seq)
			}
		}
	}
	return seqs
}

func (p *peer) closed() (code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code
}

func (p *peer) pinged() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pings
}
