package hub

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Framing encodes messages for a connection. Its methods must be pure, since several goroutines
// call them.
type Framing interface {
	// AppendMessage appends payload, framed as one text message, to dst.
	AppendMessage(dst, payload []byte) []byte
	// Ping returns a frame that the peer answers, so that a vanished peer is noticed.
	Ping() []byte
}

// A BinaryFraming is a Framing for clients of the subprotocol protocol.NameBinary: their snapshots
// and updates are binary messages.
type BinaryFraming interface {
	Framing
	// AppendBinary appends payload, framed as one binary message, to dst.
	AppendBinary(dst, payload []byte) []byte
}

// maxFramings bounds Config.Framings.
const maxFramings = 4

// Conn is the connection to one subscriber. The hub calls Write from one goroutine at a time. No
// method may block.
type Conn interface {
	// Write takes a batch and must not keep its slices. ready is false if some bytes could not be
	// written yet; the hub then calls Write again only after the connection has called
	// Client.Ready. An error means that the connection is lost.
	Write(batch Batch) (ready bool, err error)
	// Backlog returns how many bytes are waiting to be written, and for how long none of them could
	// be written. Both are 0 if nothing is waiting.
	Backlog() (bytes int, stalled time.Duration)
	// Close starts to close the connection after sending last, which holds whole frames or nothing.
	// The connection may keep last. Bytes that still wait get a short time to go out first, whether
	// the connection was ready or not.
	Close(why protocol.Close, last []byte)
}

// A Batch is the argument of one Conn.Write.
type Batch struct {
	Frames []byte // whole frames
	// Positions holds the positions that the client reaches with each message of quotes, in the
	// order of the messages. It is empty without JoinOptions.Positions.
	Positions []Reached
}

// Reached is the position in one topic after a message. If a topic occurs several times, its last
// entry counts.
type Reached struct {
	Message int // offset of the message's frame in Batch.Frames
	Topic   string
	protocol.Position
}

// JoinOptions configures one client.
type JoinOptions struct {
	Welcome   []byte        // the first message sent to it
	Framing   int           // index in Config.Framings
	Positions bool          // its batches carry positions
	MaxRate   float64       // running candles per second, topic and interval, and days per topic; 0 = all
	Joined    func(*Client) // called before the first Write; may be nil
}
