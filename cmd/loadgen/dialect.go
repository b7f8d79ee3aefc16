package main

import (
	"bytes"
	"encoding/binary"
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
	// subprotocol is offered in the upgrade; it may be empty.
	subprotocol string
	// count returns the number of quotes in a message of which not each can be read. It may be nil.
	count func(message []byte) int
	// binary means that quotes come in the binary messages of fx.v1.pb.
	binary bool
	// op is the opcode of messages to the server; 0: text.
	op byte
}

// opcode returns the opcode of messages to the server.
func (d dialect) opcode() byte { return max(d.op, opText) }

var dialects = map[string]dialect{
	"fxcast":    {hello: fxcastHello},
	"fxcast-pb": {hello: fxcastHello, subprotocol: protocol.NameBinary, binary: true},
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
	// Its Protobuf protocol: commands after their length as varints, a quote's JSON within each
	// publication.
	"centrifuge-protobuf": centrifugeProtobuf(nil, nil),
	// The same with differences instead of most quotes, which are counted but not read.
	"centrifuge-delta": centrifugeProtobuf(cfBytes(nil, cfDelta, []byte("fossil")), cfPublications),
	"plain":            {hello: func(options, []feed.Symbol) [][]byte { return nil }},
}

func fxcastHello(o options, wanted []feed.Symbol) [][]byte {
	command := protocol.Command{Op: protocol.OpSubscribe, ID: []byte("1"), Symbols: []string{"*"}, MaxRate: o.maxRate}
	if !o.wildcard {
		command.Symbols = symbolNames(wanted)
	}
	messages := [][]byte{command.Append(nil)}
	if o.pace > 0 {
		pace := protocol.Command{Op: protocol.OpPace, EveryMS: new(float64(o.pace.Milliseconds())), Align: o.align}
		messages = append(messages, pace.Append(nil))
	}
	return messages
}

// Fields of centrifuge's Command, SubscribeRequest and Reply; the id and the channel are field 1.
const (
	cfConnect   = 4
	cfSubscribe = 5
	cfDelta     = 12
	cfPush      = 4
)

func centrifugeProtobuf(subscribeMore []byte, count func([]byte) int) dialect {
	return dialect{
		hello: func(_ options, wanted []feed.Symbol) [][]byte {
			messages := [][]byte{cfCommand(1, cfConnect, nil)}
			for i, s := range wanted {
				messages = append(messages, cfCommand(uint64(i+2), cfSubscribe, append(cfBytes(nil, 1, []byte(s)), subscribeMore...)))
			}
			return messages
		},
		answer: func(message []byte) []byte {
			if bytes.Equal(message, []byte{0}) {
				return message
			}
			return nil
		},
		count:       count,
		subprotocol: "centrifuge-protobuf",
		op:          opBinary,
	}
}

// cfCommand returns a frame with one command.
func cfCommand(id uint64, field byte, request []byte) []byte {
	command := cfBytes(binary.AppendUvarint([]byte{1 << 3}, id), field, request)
	return append(binary.AppendUvarint(nil, uint64(len(command))), command...)
}

// cfBytes appends a field of wire type 2.
func cfBytes(b []byte, field byte, value []byte) []byte {
	b = binary.AppendUvarint(append(b, field<<3|2), uint64(len(value)))
	return append(b, value...)
}

// cfPublications counts the replies of a frame that begin with a push.
func cfPublications(message []byte) (n int) {
	for {
		size, head := binary.Uvarint(message)
		if head <= 0 || uint64(len(message)-head) < size {
			return n
		}
		if reply := message[head : head+int(size)]; len(reply) > 0 && reply[0] == cfPush<<3|2 {
			n++
		}
		message = message[head+int(size):]
	}
}
