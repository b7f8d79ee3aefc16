// Package vendor receives quotes from vendors of prices. Each vendor is one file that speaks the
// vendor's protocol and nothing else. The Supervisor does for all of them what does not depend on
// the protocol: it reconnects, notices silence, stands by, counts, and reports.
//
//	Supervisor.Run    stands by until no other process is connected
//	* Vendor.Connect  connects, signs in and subscribes
//	* Stream.Read     waits for one message and returns its quotes with the vendor's digits
//	* Config.Publish  receives the quotes
package vendor

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// A Vendor speaks the protocol of one vendor.
type Vendor interface {
	// Traits describes the vendor.
	Traits() Traits
	// Connect connects, signs in and subscribes. It may return before the vendor has confirmed each
	// symbol. The stream ends with ctx. See Stream.Read for the errors.
	Connect(ctx context.Context, t Target) (Stream, error)
}

// A Stream is a connection to a vendor.
type Stream interface {
	// Read waits for the next message. Any error ends the stream: *Refused if the vendor will never
	// send quotes to this target, *Throttled if it must be left alone for a while. After any other
	// error the Supervisor connects again.
	Read(ctx context.Context) (Update, error)
	// Close releases the connection. It does not wait for the vendor.
	Close()
}

// Traits describe a vendor to its users and to the Supervisor.
type Traits struct {
	Name string // also the default source of its quotes
	URL  string // default address

	// Heartbeat is the longest time between two messages of a connection that works. After twice
	// that time without any the connection counts as dead.
	Heartbeat time.Duration
	// Spacing is the shortest time between two connects that the vendor allows.
	Spacing time.Duration

	Key, Account bool // required
}

// A Target is what a Vendor connects to and wants.
type Target struct {
	URL          string
	Key, Account string
	Symbols      Selection
	Source       string
	Heartbeat    time.Duration // see Traits
	Instruments  *feed.Instruments
	Log          *slog.Logger

	// Alive notes a sign of life that is no message, such as the answer to a ping.
	Alive func()
}

// An Update is what one message of a vendor says. One without any field is a heartbeat.
type Update struct {
	Quotes []feed.Quote
	Halted []feed.Symbol // the vendor reports that these cannot be traded now
	Bad    []BadQuote
	// Unknown are symbols that the vendor does not know, by name, with its words.
	Unknown map[feed.Symbol]string
	Ignored int // messages of a kind that is not known
}

// BadQuote is a quote that could not be read.
type BadQuote struct {
	Quote     feed.Quote // as far as it was read
	Rejection *feed.Rejection
	Input     []byte
}

// vendors are all vendors, in the order of the documentation.
var vendors = []Vendor{oanda{}, kraken{}, massive{}, ecb{}}

// Named returns the vendor with a name, or nil.
func Named(name string) Vendor {
	for _, v := range vendors {
		if v.Traits().Name == name {
			return v
		}
	}
	return nil
}

// Names returns the names of all vendors.
func Names() (names []string) {
	for _, v := range vendors {
		names = append(names, v.Traits().Name)
	}
	return names
}

// A Selection is a list of symbols and of patterns of symbols, as Instruments.ParsePattern returns
// them.
type Selection []string

// Matches reports whether s is selected.
func (l Selection) Matches(s feed.Symbol) bool {
	return slices.ContainsFunc(l, func(pattern string) bool { return feed.MatchPattern(pattern, s) })
}

// Named returns the symbols if they are all named outright. Otherwise a Vendor must find out what
// the vendor offers.
func (l Selection) Named() (symbols []feed.Symbol, ok bool) {
	for _, pattern := range l {
		if strings.Contains(pattern, "*") {
			return nil, false
		}
		symbols = append(symbols, feed.Symbol(pattern))
	}
	return symbols, true
}

// offered returns the selected symbols among those that a vendor offers by its own names. Symbols
// that the table of instruments does not know are left out.
func (t Target) offered(names []string) (symbols []feed.Symbol) {
	for _, name := range names {
		if s, err := t.Instruments.ParseSymbol(name); err == nil && t.Symbols.Matches(s) && !slices.Contains(symbols, s) {
			symbols = append(symbols, s)
		}
	}
	return symbols
}
