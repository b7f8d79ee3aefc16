package main

import (
	"bytes"
	"fmt"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// A dialect is the way to request quotes from a kind of server. All kinds send the same quote
// objects, so one scanner reads them.
type dialect struct {
	// hello is sent after the upgrade.
	hello func(o options, wanted []feed.Symbol) [][]byte
	// answer returns the reply to a keep-alive message of the server. It may be nil.
	answer func(message []byte) []byte
}

var dialects = map[string]dialect{
	"fxcast": {
		hello: func(o options, wanted []feed.Symbol) [][]byte {
			command := protocol.Command{Op: protocol.OpSubscribe, ID: []byte("1"), Symbols: []string{"*"}, MaxRate: o.maxRate}
			if !o.wildcard {
				command.Symbols = symbolNames(wanted)
			}
			return [][]byte{command.Append(nil)}
		},
	},
	"centrifuge": {
		hello: func(_ options, wanted []feed.Symbol) [][]byte {
			messages := [][]byte{[]byte(`{"id":1,"connect":{}}`)}
			for i, s := range wanted {
				messages = append(messages, fmt.Appendf(nil, `{"id":%d,"subscribe":{"channel":"%s"}}`, i+2, s))
			}
			return messages
		},
		answer: func(message []byte) []byte {
			if bytes.Equal(message, []byte("{}")) {
				return message
			}
			return nil
		},
	},
	"plain": {hello: func(options, []feed.Symbol) [][]byte { return nil }},
}
