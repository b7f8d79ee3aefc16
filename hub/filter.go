package hub

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// A filter is one pattern of a client's subscriptions with its settings.
type filter struct {
	pattern  string
	interval time.Duration
	asked    int32 // orders wildcards: a later one has a greater number; 0 for a topic
	all      bool
}

// filters are sorted by pattern. They are shared by the clients of an audience and never modified.
type filters []filter

func (fs filters) find(pattern string) (i int, ok bool) {
	return slices.BinarySearchFunc(fs, pattern, func(f filter, p string) int { return strings.Compare(f.pattern, p) })
}

// with returns a copy in which the patterns have these settings. Its last wildcard is the one added
// last.
func (fs filters) with(patterns []string, interval time.Duration, all bool) filters {
	fs = slices.Grow(slices.Clone(fs), len(patterns))
	for _, p := range patterns {
		f := filter{pattern: p, interval: interval, all: all}
		if IsWildcard(p) {
			f.asked = 1
			for _, other := range fs {
				f.asked = max(f.asked, other.asked+1)
			}
		}
		if i, ok := fs.find(p); ok {
			fs[i] = f
		} else {
			fs = slices.Insert(fs, i, f)
		}
	}
	return fs
}

// without returns a copy without the patterns.
func (fs filters) without(patterns []string) filters {
	return slices.DeleteFunc(slices.Clone(fs), func(f filter) bool { return slices.Contains(patterns, f.pattern) })
}

// ranked numbers the wildcards from 1, so that clients with the same rules have equal filters
// whatever they subscribed to before. It modifies the filters.
func (fs filters) ranked() filters {
	var order []*filter
	for i := range fs {
		if fs[i].asked > 0 {
			order = append(order, &fs[i])
		}
	}
	slices.SortFunc(order, func(a, b *filter) int { return cmp.Compare(a.asked, b.asked) })
	for i, f := range order {
		f.asked = int32(i + 1)
	}
	return fs
}

// appendKey appends a text that is the same for equal filters only.
func (fs filters) appendKey(dst []byte) []byte {
	for _, f := range fs {
		dst = append(append(dst, f.pattern...), 0)
		dst = binary.BigEndian.AppendUint64(dst, uint64(f.interval))
		dst = binary.BigEndian.AppendUint32(dst, uint32(f.asked))
		if f.all {
			dst = append(dst, 1)
		} else {
			dst = append(dst, 0)
		}
	}
	return dst
}

// match returns the filter that applies to a topic: the exact one, else the narrower wildcard, else
// the one added last. It returns nil if none matches.
func (fs filters) match(p *shardTopic) *filter {
	if i, ok := fs.find(p.name); ok {
		return &fs[i]
	}
	if !p.expanded {
		return nil
	}
	var best *filter
	for _, family := range p.families() {
		if i, ok := fs.find(family); ok && (best == nil || best.asked < fs[i].asked) {
			best = &fs[i]
		}
	}
	if i, ok := fs.find("*"); ok && best == nil {
		best = &fs[i]
	}
	return best
}
