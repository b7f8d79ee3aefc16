package hub

import "math/bits"

// A bitset holds small numbers: the indexes of subscriptions in their audience.
type bitset []uint64

// resized returns the set with room for n numbers; a smaller one loses numbers from n on.
func (b bitset) resized(n int) bitset {
	words := (n + 63) / 64
	if words > len(b) {
		return append(b, make(bitset, words-len(b))...)
	}
	b = b[:words]
	if words > 0 && n%64 != 0 {
		b[words-1] &= 1<<(n%64) - 1
	}
	return b
}

func (b bitset) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) remove(i int)   { b[i/64] &^= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// set adds or removes i.
func (b bitset) set(i int, in bool) {
	if in {
		b.add(i)
	} else {
		b.remove(i)
	}
}

func (b bitset) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

func (b bitset) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// appendTo appends the numbers of the set from i on, in ascending order, to dst.
func (b bitset) appendTo(dst []int, i int) []int {
	for k := i / 64; k < len(b); k++ {
		w := b[k]
		if k == i/64 {
			w &^= 1<<(i%64) - 1
		}
		for ; w != 0; w &= w - 1 {
			dst = append(dst, k*64+bits.TrailingZeros64(w))
		}
	}
	return dst
}
