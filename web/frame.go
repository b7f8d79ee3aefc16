package web

import "encoding/binary"

// Opcodes of RFC 6455 section 5.2.
const (
	opcodeText  = 0x1
	opcodeClose = 0x8
	opcodePing  = 0x9
	finalFrame  = 0x80
)

// Frames implements hub.Framing for WebSocket text messages: one unfragmented,
// unmasked frame each (RFC 6455 section 5.2; a server never masks).
type Frames struct{}

// AppendMessage implements hub.Framing.
func (Frames) AppendMessage(dst, payload []byte) []byte {
	dst = append(dst, finalFrame|opcodeText)
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

// Ping implements hub.Framing.
func (Frames) Ping() []byte { return []byte{finalFrame | opcodePing, 0} }
