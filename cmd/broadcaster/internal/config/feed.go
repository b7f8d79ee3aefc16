package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

func (c *Config) checkFeed(k *checker) {
	f := &c.Feed
	if f.StaleAfter >= f.QuoteTTL && c.given["STALE_AFTER"] {
		c.warn("STALE_AFTER", "not shorter than QUOTE_TTL, after which a symbol is marked stale in any case")
	}
	if f.LastKnown < f.QuoteTTL && c.given["LAST_KNOWN_TTL"] {
		c.warn("LAST_KNOWN_TTL", "shorter than QUOTE_TTL, so a quote is forgotten while it would be current")
	}
	if f.Replicated && c.Embedded() {
		k.fault("PUBLISH_ACK", "replicated", "want accepted: the embedded Redis has no replica")
	}
	f.makeInstruments(k)
	f.Base = strings.ToUpper(f.Base)
	if p, err := f.Instruments.ParsePattern(f.Base + "/*"); err != nil || p != f.Base+"/*" {
		k.fault("FEED_BASE", f.Base, "want a currency code, such as EUR")
	}
	own := func(name, ch string) {
		if strings.HasPrefix(ch, c.Redis.Prefix) || strings.HasPrefix(ch, "__") {
			k.fault(name, ch, fmt.Sprintf("want a channel that begins neither with %q (REDIS_PREFIX) nor with __", c.Redis.Prefix))
		}
	}
	own("FEED_INBOX", f.Inbox)
	for _, prefix := range []string{c.Redis.Prefix, "session:", "ratelimit:", "cache:"} {
		if strings.HasPrefix(f.Stream, prefix) {
			k.fault("FEED_STREAM", f.Stream, fmt.Sprintf("want a key that does not begin with %q, as keys of the broadcaster do", prefix))
		}
	}
	for i, ch := range f.Channels {
		own("FEED_CHANNELS", ch)
		if slices.Contains(f.Channels[:i], ch) {
			k.fault("FEED_CHANNELS", ch, "want each channel once")
		}
	}
	f.checkSources(k)
}

// checkSources parses FEED_SOURCES. A source without a limit has STALE_AFTER: when its symbol would
// be marked stale, later sources take over.
func (f *Feed) checkSources(k *checker) {
	const name, form = "FEED_SOURCES", "want a comma list of different sources, best first, as name or name:silence, such as main:2s,backup, with * at the end for all others"
	entries := f.SourceList
	if n := len(entries); n > 0 && entries[n-1] == "*" {
		f.Sources.Others = true
		entries = entries[:n-1]
	}
	if len(entries) > feed.MaxPriorities {
		k.fault(name, strconv.Itoa(len(entries)), fmt.Sprintf("want at most %d sources", feed.MaxPriorities))
		return
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		label, limit, limited := strings.Cut(entry, ":")
		source := feed.SourceName(label)
		silence := max(f.StaleAfter.Truncate(time.Millisecond), time.Millisecond)
		var err error
		if limited {
			silence, err = time.ParseDuration(limit)
		}
		switch {
		case label == "*":
			k.fault(name, entry, "want * at the end only and without a time: it means all sources that are not named")
		case source == "" || err != nil:
			k.fault(name, entry, form)
		case seen[source]:
			k.fault(name, entry, "want each source once")
		case silence < time.Millisecond || silence > 24*time.Hour || silence%time.Millisecond != 0:
			k.fault(name, entry, "want a silence from 1ms to 24h in whole milliseconds")
		default:
			seen[source] = true
			f.Sources.Named = append(f.Sources.Named, feed.Priority{Source: source, Silence: silence})
		}
	}
}
