package feed

import (
	"fmt"
	"strings"
)

// Keys builds the names of the keys and channels of quotes, and of the channel between nodes. The
// keys of a symbol share the hash tag {SYMBOL}, so that one script can use them in a cluster
// too.
type Keys struct {
	// Prefix begins the name of every key and channel, such as "fx:". Two deployments on one Redis
	// server need different prefixes, even in different databases, since channels do not belong to
	// a database.
	Prefix string
}

// Check returns an error if the prefix cannot be used.
func (k Keys) Check() error {
	if len(k.Prefix) > 64 {
		return fmt.Errorf("feed: the key prefix has %d bytes; the limit is 64", len(k.Prefix))
	}
	for i := range len(k.Prefix) {
		if c := k.Prefix[i]; c <= ' ' || c > '~' || c == '{' || c == '}' {
			return fmt.Errorf("feed: the key prefix %q contains %q: use printable ASCII without spaces and braces", k.Prefix, c)
		}
	}
	return nil
}

// Quote is the last accepted quote while it is current, a string that expires after
// QUOTE_TTL.
func (k Keys) Quote(s Symbol) string { return k.Prefix + "{" + string(s) + "}:quote" }

// Seq is a hash with the epoch, the counter, the run id of the server that counted, the state of
// the gate, the last time of each source, when each source with a priority last sent a quote, and
// the place in the stream that was settled last, and the running candles.
func (k Keys) Seq(s Symbol) string { return k.Prefix + "{" + string(s) + "}:seq" }

// Ticks is the stream of the last accepted quotes, each in the field q. It expires
// LAST_KNOWN_TTL after the newest of them, which is the last known price until then.
func (k Keys) Ticks(s Symbol) string { return k.Prefix + "{" + string(s) + "}:ticks" }

// Candles is the list of closed candles of a kept interval, the oldest first, each as DecodeCandle
// reads it. It expires at the end of the interval's retention.
func (k Keys) Candles(s Symbol, i Interval) string {
	return k.Prefix + "{" + string(s) + "}:candles:" + i.String()
}

// OfSymbol returns every key of a symbol, Seq first. They share one slot of a cluster.
func (k Keys) OfSymbol(s Symbol) []string {
	keys := []string{k.Seq(s), k.Quote(s), k.Ticks(s)}
	for _, i := range Intervals {
		keys = append(keys, k.Candles(s, i))
	}
	return keys
}

// Channel is the channel of a symbol's accepted quotes.
func (k Keys) Channel(s Symbol) string { return k.Prefix + "{" + string(s) + "}" }

// ChannelPattern is the pattern for PSUBSCRIBE that covers every Channel.
func (k Keys) ChannelPattern() string { return globEscaper.Replace(k.Prefix) + "{*}" }

// Symbols is the set of symbols that have a last known price.
func (k Keys) Symbols() string { return k.Prefix + "symbols" }

// Control is the channel of notices between nodes.
func (k Keys) Control() string { return k.Prefix + "control" }

// Probe is the channel of a node's own probes, one per connection.
func (k Keys) Probe(node, conn string) string { return k.Prefix + "probe:" + node + ":" + conn }

// SymbolProbe is a sharded channel of a node's probes for the connection to a master of a cluster.
// It belongs to the same slot as the symbol's Channel.
func (k Keys) SymbolProbe(node string, s Symbol) string { return k.Channel(s) + ":probe:" + node }

// StreamPlace is a hash with the id up to which all entries of a stream are settled, how many were
// ever added up to it, and the generation of the stream. It shares the slot of the stream, so the
// name of a stream must not contain braces.
func (k Keys) StreamPlace(stream string) string { return k.Prefix + "stream:{" + stream + "}" }

// InboxLeader names the node that reads the inbox.
func (k Keys) InboxLeader() string { return k.Prefix + "inbox:lease" }

// ConnectLease names the process that is connected to a vendor. name identifies the connection.
func (k Keys) ConnectLease(name string) string { return k.Prefix + "connect:" + name + ":lease" }

// Rejected is the list of the newest rejected quotes.
func (k Keys) Rejected() string { return k.Prefix + "rejected" }

// SymbolOf returns the symbol of a Channel; ok is false for any other channel.
func (k Keys) SymbolOf(channel string) (s Symbol, ok bool) {
	rest, ok := strings.CutPrefix(channel, k.Prefix)
	if n := len(rest); ok && n > 2 && rest[0] == '{' && rest[n-1] == '}' {
		return Symbol(rest[1 : n-1]), true
	}
	return "", false
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
