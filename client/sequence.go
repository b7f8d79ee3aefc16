package client

import "fmt"

// follow compares a quote with those before it, and sets its epoch. It reports whether the quote is
// to be delivered, and the gap before it, if there is one. wire has the last quotes of the
// connection; s.last has the last ones that were delivered, also by earlier connections.
func (s *Subscription) follow(wire map[string]Position, q *Quote, snapshot, reset bool) (deliver bool, gap *GapError, err error) {
	before, onWire := wire[q.Symbol]
	last, known := s.last[q.Symbol]
	if q.Epoch == "" {
		if q.Epoch = before.Epoch; !onWire {
			q.Epoch = last.Epoch
		}
	}
	at := Position{Epoch: q.Epoch, Seq: q.Seq}
	if !snapshot && onWire && at.Epoch == before.Epoch && at.Seq <= before.Seq {
		return false, nil, &ProtocolError{What: fmt.Sprintf("%s: number %d after %d", q.Symbol, at.Seq, before.Seq)}
	}
	wire[q.Symbol] = at
	if known && at.Epoch == last.Epoch && at.Seq <= last.Seq {
		return false, nil, nil // delivered already
	}
	s.last[q.Symbol] = at
	found := func(reason string, missing uint64, after Position) *GapError {
		return &GapError{Symbol: q.Symbol, Reason: reason, Missing: missing, After: after, Before: at}
	}
	switch {
	case s.mode.all && !known:
		if reset {
			gap = found(GapReset, 0, last)
		}
	case s.mode.all && at.Epoch != last.Epoch:
		gap = found(GapEpoch, 0, last)
	case s.mode.all && at.Seq > last.Seq+1:
		gap = found(GapMissing, at.Seq-last.Seq-1, last)
	case s.mode.all, snapshot, !onWire, at.Epoch != before.Epoch:
	case at.Seq-before.Seq-1 != q.Skipped:
		missing := at.Seq - before.Seq - 1
		gap = found(GapMissing, missing-min(missing, q.Skipped), before)
	}
	return true, gap, nil
}
