package feed

import (
	"fmt"
	"strings"
)

// Keys names everything this package keeps in Redis. The three keys of a
// symbol share the hash tag {SYMBOL}, so that one script may use them in a
// cluster too.
type Keys struct {
	// Prefix stands before every key and channel, "fx:". Two deployments on
	// one Redis server need different ones, even with different databases:
	// channels know no database.
	Prefix string
}

// Check reports a prefix that cannot be used.
func (k Keys) Check() error {
	if len(k.Prefix) > 64 {
		return fmt.Errorf("feed: the key prefix has %d bytes: at most 64", len(k.Prefix))
	}
	for i := range len(k.Prefix) {
		if c := k.Prefix[i]; c <= ' ' || c > '~' || c == '{' || c == '}' {
			return fmt.Errorf("feed: the key prefix %q holds %q: use printable ASCII without spaces and braces", k.Prefix, c)
		}
	}
	return nil
}

// Quote is the last accepted quote while it is current, a string that expires after
// QUOTE_TTL.
func (k Keys) Quote(s Symbol) string { return k.Prefix + "{" + string(s) + "}:quote" }

// Seq is a hash: epoch, counter, run id of the server that counted, the last
// time of each source, and when each source with a priority was last heard.
func (k Keys) Seq(s Symbol) string { return k.Prefix + "{" + string(s) + "}:seq" }

// Ticks is the stream of the last accepted quotes, each in the field q. It expires
// LAST_KNOWN_TTL after the newest of them, which is the last known price until then.
func (k Keys) Ticks(s Symbol) string { return k.Prefix + "{" + string(s) + "}:ticks" }

// OfSymbol returns every key of a symbol, Seq first. All are in one slot of a cluster.
func (k Keys) OfSymbol(s Symbol) []string { return []string{k.Seq(s), k.Quote(s), k.Ticks(s)} }

// Channel is where accepted quotes of a symbol are published.
func (k Keys) Channel(s Symbol) string { return k.Prefix + "{" + string(s) + "}" }

// ChannelPattern is the pattern for PSUBSCRIBE that covers every Channel.
func (k Keys) ChannelPattern() string { return globEscaper.Replace(k.Prefix) + "{*}" }

// Symbols is the set of symbols that have a last known price.
func (k Keys) Symbols() string { return k.Prefix + "symbols" }

// Control is the channel of notices between nodes.
func (k Keys) Control() string { return k.Prefix + "control" }

// Probe is the channel of a node's own test messages, one per connection.
func (k Keys) Probe(node, conn string) string { return k.Prefix + "probe:" + node + ":" + conn }

// SymbolProbe is the sharded channel of a node's test messages for the
// connection that receives a symbol; it is where the symbol's Channel is.
func (k Keys) SymbolProbe(node string, s Symbol) string { return k.Channel(s) + ":probe:" + node }

// InboxLease is held by the node that takes producers' messages in.
func (k Keys) InboxLease() string { return k.Prefix + "inbox:lease" }

// Rejected is the list of the newest rejected quotes.
func (k Keys) Rejected() string { return k.Prefix + "rejected" }

// SymbolOf returns the symbol whose Channel it is; ok is false if it is another channel.
func (k Keys) SymbolOf(channel string) (s Symbol, ok bool) {
	rest, ok := strings.CutPrefix(channel, k.Prefix)
	if n := len(rest); ok && n > 2 && rest[0] == '{' && rest[n-1] == '}' {
		return Symbol(rest[1 : n-1]), true
	}
	return "", false
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
