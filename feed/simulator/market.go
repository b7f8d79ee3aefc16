package simulator

import "math/rand/v2"

// market holds the levels and the quotes of all pairs.
//
// Each currency has a level, an integer that walks at random. The fair price of BASE/QUOTE is
// level[QUOTE] / level[BASE], so all pairs derive from the same eight levels. A level moves only as
// far as the fair price of every standing quote stays in its band (see pair.band). So after each
// tick the middle of every cross is within the cross's spread of the product of its legs, and no
// round trip through three pairs makes a profit.
//
// All arithmetic is on int64. Levels stay within a twelfth of their start: below 2.1e11, and below
// 2.3e9 except for JPY. Scales are 1e3 for JPY and 1e5 otherwise, and sums of bid and ask are below
// 1e6. So no product here exceeds 1e16.
type market struct {
	rng    *rand.Rand
	level  [len(currencies)]int64
	moved  [len(currencies)]int64 // when, in microseconds of simulated time
	pairs  []*pair
	weight int   // sum over all pairs
	urgent *pair // has held a level back, so it must tick next
}

// longSilence is how long, in microseconds, a pair stays without a quote before it is likely to be
// chosen next. So no symbol with a low rate looks dead.
const longSilence = 4_000_000

func newMarket(rng *rand.Rand, chosen []terms) *market {
	m := &market{rng: rng}
	for i, c := range currencies {
		m.level[i] = c.start
	}
	for _, t := range chosen {
		p := newPair(t)
		m.pairs = append(m.pairs, p)
		m.weight += t.weight
	}
	return m
}

// pick chooses the pair to tick at now.
func (m *market) pick(now int64) *pair {
	if p := m.urgent; p != nil {
		m.urgent = nil
		return p
	}
	oldest := m.pairs[0]
	for _, p := range m.pairs[1:] {
		if p.quoted < oldest.quoted {
			oldest = p
		}
	}
	if now-oldest.quoted > longSilence && m.rng.IntN(2) == 0 {
		return oldest
	}
	n := m.rng.IntN(m.weight)
	for _, p := range m.pairs {
		if n -= p.weight; n < 0 {
			return p
		}
	}
	return oldest // not reached: the weights add up
}

// tick moves the two currencies of p and updates its quote. volatility and width scale prices and
// spreads, in percent of the usual.
func (m *market) tick(p *pair, now int64, hour int, volatility, width int64) {
	m.move(p.base, p, now, volatility)
	m.move(p.quote, p, now, volatility)
	m.requote(p, now, hourSpread[hour]*width/100)
}

// move lets the level of c walk for the time since its last move. next, the pair to be quoted, does
// not limit it.
func (m *market) move(c int, next *pair, now, volatility int64) {
	const longest = 60_000_000
	elapsed := min(now-m.moved[c], longest)
	if elapsed <= 0 {
		return
	}
	m.moved[c] = now
	// sqrt(µs)/1000 is sqrt(s).
	step := currencies[c].vol * squareRoot(elapsed) * volatility / 100 * m.bell() / (1000 * bellDeviation)
	delta := m.level[c] / 1000 * step / (levelScale / 1000)
	start := currencies[c].start
	if away := m.level[c] - start; abs(away) > start/16 && away > 0 == (delta > 0) {
		delta = -delta // far from its start the walk turns back
	}
	to := m.level[c] + delta
	for _, p := range m.pairs {
		if p == next || p.base != c && p.quote != c {
			continue
		}
		low, high := p.limits(&m.level, c)
		if to < low || to > high {
			to = min(max(to, low), high)
			m.urgent = p
		}
	}
	m.level[c] = to
}

// requote sets bid and ask of p around the fair price so that at least one of them changes, and
// often only one.
func (m *market) requote(p *pair, now, percent int64) {
	p.quoted = now
	spread := (p.spread*percent*m.between(80, 140)/100 + m.between(0, 99)) / 100
	spread = min(max(spread, p.minSpread()), p.maxSpread())
	bid, ask := m.around(p, spread)
	if bid == p.bid && ask == p.ask {
		if spread == p.minSpread() || spread < p.maxSpread() && m.rng.IntN(2) == 0 {
			spread++
		} else {
			spread--
		}
		bid, ask = m.around(p, spread)
	}
	if p.ask > 0 && bid != p.bid && ask != p.ask && m.rng.IntN(4) > 0 {
		oneBid, oneAsk := bid, ask
		if m.rng.IntN(2) == 0 {
			oneBid = p.bid
		} else {
			oneAsk = p.ask
		}
		if s := oneAsk - oneBid; s >= p.minSpread() && s <= p.maxSpread() && p.fits(&m.level, oneBid+oneAsk) {
			bid, ask = oneBid, oneAsk
		}
	}
	p.bid, p.ask = bid, ask
}

// around returns the quote with this spread that is nearest to the fair price. Its middle is at
// most half a tick off, which every band allows.
func (m *market) around(p *pair, spread int64) (bid, ask int64) {
	sum := 2 * m.level[p.quote] * p.scale / m.level[p.base]
	if (sum-spread)%2 != 0 {
		sum++
	}
	return (sum - spread) / 2, (sum + spread) / 2
}

// bell returns a nearly normally distributed number with mean 0 and standard deviation
// bellDeviation: the sum of four uniform 16-bit numbers.
func (m *market) bell() int64 {
	r := m.rng.Uint64()
	const mean = 2 * 65535
	return int64(r&0xffff+r>>16&0xffff+r>>32&0xffff+r>>48) - mean
}

const bellDeviation = 37837 // 65536 / sqrt(3)

// between returns a random number from low to high, inclusive.
func (m *market) between(low, high int64) int64 { return low + m.rng.Int64N(high-low+1) }

func squareRoot(n int64) int64 {
	if n < 2 {
		return n
	}
	x := n
	for y := (x + 1) / 2; y < x; y = (x + n/x) / 2 {
		x = y
	}
	return x
}

func abs(n int64) int64 { return max(n, -n) }
