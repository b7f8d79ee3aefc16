package hub

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Framing turns a message into the bytes that go out. Its methods must be pure;
// several goroutines call them.
type Framing interface {
	// AppendMessage appends payload, framed as one text message, to dst.
	AppendMessage(dst, payload []byte) []byte
	// Ping is a frame that the other side answers, so that a vanished peer is noticed.
	Ping() []byte
}

// maxFramings bounds Config.Framings.
const maxFramings = 3

// Conn is one subscriber's way out. The hub calls Write from one goroutine at a
// time; none of the methods may block.
type Conn interface {
	// Write takes a batch. It does not keep its slices. ready is false when
	// something could not be written yet: then the hub gives it nothing more
	// until the connection has called Client.Ready. An error means that the
	// connection is lost.
	Write(batch Batch) (ready bool, err error)
	// Backlog returns how many bytes wait to be written and for how long nothing
	// of them could be; 0 when nothing waits.
	Backlog() (bytes int, stalled time.Duration)
	// Close begins to close, after last, which is whole frames or nothing and is the
	// connection's to keep. What still waits is given a short time to go out first,
	// whether the connection was ready or not.
	Close(why protocol.Close, last []byte)
}

// A Batch is what a connection writes at once.
type Batch struct {
	Frames []byte // whole
	// Positions are what the client reaches by each message with quotes, in the order
	// of the messages. A client has them that joined with JoinOptions.Positions.
	Positions []Reached
}

// Reached is the position in one topic after a message; the last of a topic counts.
type Reached struct {
	Message int // offset of the message's frame in Batch.Frames
	Topic   string
	protocol.Position
}

// JoinOptions of one client.
type JoinOptions struct {
	Welcome   []byte        // the first message it gets
	Framing   int           // index in Config.Framings
	Positions bool          // its batches have positions
	Joined    func(*Client) // called before the first Write; may be nil
}
