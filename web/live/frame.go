package live

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opcodeText   = 0x1
	opcodeBinary = 0x2
	opcodeClose  = 0x8
	opcodePing   = 0x9
	finalFrame   = 0x80
	compressed   = 0x40 // RSV1, RFC 7692 section 6
)

// frames implements hub.Framing for WebSocket text messages. Each is one unfragmented, unmasked
// frame (RFC 6455 section 5.2; a server never masks).
type frames struct{}

// AppendMessage implements hub.Framing.
func (frames) AppendMessage(dst, payload []byte) []byte {
	return appendFrame(dst, finalFrame|opcodeText, payload)
}

func appendFrame(dst []byte, head byte, payload []byte) []byte {
	dst = append(dst, head)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// deflaters are shared by all connections. Without context takeover a compressed message does not
// depend on earlier ones, so that one message serves every client.
var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // no error: the level is valid
	return w
}}

// compressFrom is the smallest size in bytes that is worth compressing.
const compressFrom = 100

// deflateFrames implements hub.Framing for connections with permessage-deflate (RFC 7692 section
// 7.2.1): a message is a flushed block without its last four bytes. Short messages are not
// compressed.
type deflateFrames struct{ frames }

// AppendMessage implements hub.Framing.
func (f deflateFrames) AppendMessage(dst, payload []byte) []byte {
	if len(payload) < compressFrom {
		return f.frames.AppendMessage(dst, payload)
	}
	var b bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	_, _ = w.Write(payload) // writing to a buffer does not fail
	_ = w.Flush()
	return appendFrame(dst, finalFrame|opcodeText|compressed, b.Bytes()[:b.Len()-4])
}

// Ping implements hub.Framing.
func (frames) Ping() []byte { return []byte{finalFrame | opcodePing, 0} }

// binaryFrames implements hub.BinaryFraming for WebSocket connections with the subprotocol
// protocol.NameBinary. They are never compressed: Deflate would make most binary messages longer.
type binaryFrames struct{ frames }

// AppendBinary implements hub.BinaryFraming.
func (binaryFrames) AppendBinary(dst, payload []byte) []byte {
	return appendFrame(dst, finalFrame|opcodeBinary, payload)
}

// eventFrames implements hub.Framing for Server-Sent Events (WHATWG HTML section 9.2), with one
// event for each message.
type eventFrames struct{}

var (
	eventData    = []byte("data: ")
	eventClosing = []byte("event: closing\n")
	closingStart = []byte(protocol.ClosingStart)
)

// AppendMessage implements hub.Framing.
func (eventFrames) AppendMessage(dst, payload []byte) []byte {
	if bytes.HasPrefix(payload, closingStart) {
		dst = appendRetry(append(dst, eventClosing...), payload)
	}
	dst = append(dst, eventData...)
	start := len(dst)
	dst = append(dst, payload...)
	for i, b := range dst[start:] { // a relayed message may have line breaks between JSON tokens
		if b == '\n' || b == '\r' {
			dst[start+i] = ' '
		}
	}
	return append(dst, "\n\n"...)
}

// streamOver is the wait sent to a browser that should not open its stream again.
const streamOver = 24 * time.Hour

// appendRetry appends the wait after which a browser opens the stream again. EventSource knows no
// close codes, so the wait expresses the one of the closing message.
func appendRetry(dst, closing []byte) []byte {
	var m protocol.Closing
	if err := json.Unmarshal(closing, &m); err != nil {
		return dst // cannot happen: this package encoded the message
	}
	wait := m.ReconnectAfterMS
	if wait == 0 && protocol.ReconnectAfter(m.Code) == protocol.ReconnectNo {
		wait = streamOver.Milliseconds()
	}
	if wait == 0 {
		return dst
	}
	return append(strconv.AppendInt(append(dst, "retry: "...), wait, 10), '\n')
}

// Ping implements hub.Framing with a comment, which clients do not answer.
func (eventFrames) Ping() []byte { return []byte(":\n\n") }

// Framings returns the framings that a hub needs for the connections of this package. A
// connection joins the hub with an index into them.
func Framings() []hub.Framing {
	return []hub.Framing{framingPlain: frames{}, framingDeflate: deflateFrames{}, framingEvents: eventFrames{}, framingBinary: binaryFrames{}}
}

const (
	framingPlain = iota
	framingDeflate
	framingEvents
	framingBinary
)
