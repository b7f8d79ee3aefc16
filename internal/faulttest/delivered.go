package faulttest

// deliveries checks what package client delivered against what it received.
func (v *verifier) deliveries(r Record) {
	received := r.received()
	last := map[string]Delivery{}
	for _, d := range r.Deliveries {
		before, known := last[d.Symbol]
		last[d.Symbol] = d
		e := Event{Symbol: d.Symbol}
		rest := received[d.Symbol]
		for r.Mode == Latest && len(rest) > 0 && rest[0] != d.number() {
			rest = rest[1:] // replaced by a newer one, or known already
		}
		if len(rest) == 0 || rest[0] != d.number() {
			v.say(Delivered, r, e, "%s %d was delivered out of turn or twice, or never received", d.Epoch, d.Seq)
			return // the others follow from it
		}
		received[d.Symbol] = rest[1:]
		follows := d.Epoch == before.Epoch && d.Seq == before.Seq+1
		switch {
		case r.Mode == All && known && d.Gap == follows:
			v.say(Delivered, r, e, "%s %d after %s %d, and a gap was reported: %t", d.Epoch, d.Seq, before.Epoch, before.Seq, d.Gap)
		case r.Mode == Latest && d.Gap:
			v.say(Delivered, r, e, "a gap was reported before %s %d", d.Epoch, d.Seq)
		}
	}
	for symbol, rest := range received {
		if r.Deliveries != nil && r.Mode == All && len(rest) > 0 && r.Revoked.IsZero() {
			v.say(Delivered, r, Event{Symbol: symbol}, "%s %d was received and not delivered", rest[0].epoch, rest[0].seq)
		}
	}
}

func (d Delivery) number() number { return number{d.Symbol, d.Epoch, d.Seq} }

// received returns the ticks of each symbol without those that came a second time, which are not
// above the last one of their epoch.
func (r Record) received() map[string][]number {
	all := map[string][]number{}
	for _, e := range r.Events {
		switch e.Kind {
		case Snapshot, Reset, Update:
			n := number{e.Symbol, e.Epoch, e.Seq}
			if got := all[e.Symbol]; len(got) > 0 {
				last := got[len(got)-1]
				if n.epoch == "" {
					n.epoch = last.epoch
				}
				if n.epoch == last.epoch && n.seq <= last.seq {
					continue
				}
			}
			all[e.Symbol] = append(all[e.Symbol], n)
		}
	}
	return all
}
