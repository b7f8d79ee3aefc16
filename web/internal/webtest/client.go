package webtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/protocol"
)

// A Message is what our server may send, all types in one.
type Message struct {
	Type      string `json:"type"`
	ID        json.RawMessage
	Op        string
	OK        []string
	Failed    []struct{ Symbol, Channel, Code, Message string }
	MaxRate   *float64 `json:"max_rate"`
	Mode      string
	EveryMS   *int64 `json:"every_ms"`
	Align     *bool
	Reset     bool
	Data      json.RawMessage
	Symbol    string
	Status    string
	Since     string
	Channel   string
	Dropped   int
	TS        string
	Symbols   []string
	Channels  []string
	Code      json.RawMessage
	Message   string
	Reason    string
	Retry     int64  `json:"retry_after_ms"`
	Reconnect int64  `json:"reconnect_after_ms"`
	Protocol  string `json:"protocol"`
	ConnID    string `json:"conn_id"`
	Time      string `json:"server_time"`
	Heartbeat int64  `json:"heartbeat_ms"`
	Session   struct{ ID, Role, ExpiresAt string }
	Limits    struct {
		MaxSymbols  int     `json:"max_symbols"`
		MaxRate     float64 `json:"max_rate"`
		Commands    int     `json:"commands_per_second"`
		MaxMessages int     `json:"max_message_bytes"`
	}
	Raw string
}

// ErrorCode returns the code of an error message.
func (m Message) ErrorCode() string { return strings.Trim(string(m.Code), `"`) }

// Quotes returns the quotes of a snapshot or an update.
func (m Message) Quotes(t testing.TB) []Quote {
	t.Helper()
	var qs []Quote
	if err := json.Unmarshal(m.Data, &qs); err != nil {
		t.Fatalf("data of %s: %v", m.Raw, err)
	}
	return qs
}

// A Quote is Q of the protocol.
type Quote struct {
	Symbol  string
	Bid     string
	Ask     string
	TS      string
	Seq     uint64
	Epoch   string
	Skipped uint64
	Status  string
}

// A Client is a peer that speaks the protocol.
type Client struct {
	*Peer
	T      testing.TB
	Binary *protocol.Decoder // not nil: snapshots and updates come in binary
}

// NewClient returns the client that speaks over p.
func NewClient(p *Peer, t testing.TB) *Client { return &Client{Peer: p, T: t} }

// Receive returns the next message, answering pings and leaving heartbeats out.
func (c *Client) Receive() (Message, error) {
	c.SetReadDeadline(time.Now().Add(Patience))
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return Message{}, err
		}
		switch f.Opcode {
		case OpPing:
			if err := c.Peer.SendFrame(true, OpPong, f.Payload); err != nil {
				return Message{}, err
			}
		case OpPong:
		case OpClose:
			return Message{}, ClosedError{f.Code(), string(f.Payload[min(2, len(f.Payload)):])}
		default:
			m, err := c.message(f)
			if err != nil {
				return m, fmt.Errorf("%q: %w", f.Payload, err)
			}
			if m.Type != "heartbeat" {
				return m, nil
			}
		}
	}
}

// message decodes a message. A binary one becomes its JSON; snapshots and updates come in no other
// form than the client has asked for.
func (c *Client) message(f Frame) (m Message, err error) {
	text := f.Payload
	if f.Opcode == OpBinary {
		if c.Binary == nil {
			return m, errors.New("a binary message")
		}
		decoded, err := c.Binary.Decode(f.Payload)
		if err != nil {
			return m, err
		}
		text = decoded.Append(nil)
	}
	m.Raw = string(text)
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	if c.Binary != nil && f.Opcode == OpText && (m.Type == "snapshot" || m.Type == "update") {
		return m, errors.New("quotes as text")
	}
	return m, nil
}

// A ClosedError is a close frame.
type ClosedError struct {
	code   int
	reason string
}

func (e ClosedError) Error() string { return fmt.Sprintf("closed with %d %q", e.code, e.reason) }

// Next is receive for tests that go on only with a message.
func (c *Client) Next() Message {
	c.T.Helper()
	m, err := c.Receive()
	if err != nil {
		c.T.Fatalf("waiting for a message: %v", err)
	}
	return m
}

// Want returns the next message, which must be of this type.
func (c *Client) Want(typ string) Message {
	c.T.Helper()
	m := c.Next()
	if m.Type != typ {
		c.T.Fatalf("got %s, want %s", m.Raw, typ)
	}
	return m
}

// Until skips messages of other types.
func (c *Client) Until(typ string) Message {
	c.T.Helper()
	for {
		if m := c.Next(); m.Type == typ {
			return m
		}
	}
}

// WantClose reads until the close frame, answers it, and then wants the server to
// close the connection in an orderly way. It returns the last message before.
func (c *Client) WantClose(code int) (last Message) {
	c.T.Helper()
	for {
		m, err := c.Receive()
		closed, ok := errors.AsType[ClosedError](err)
		switch {
		case err == nil:
			last = m
			continue
		case !ok:
			c.T.Fatalf("want close %d, got %v", code, err)
		case closed.code != code:
			c.T.Fatalf("want close %d, got %v", code, closed)
		}
		if err := c.Peer.SendFrame(true, OpClose, ClosePayload(code, "")); err != nil {
			c.T.Fatalf("answering the close frame: %v", err)
		}
		if f, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
			c.T.Fatalf("after the closing handshake: %v %v, want the end", f, err)
		}
		c.Close()
		return last
	}
}

// Say sends a text message.
func (c *Client) Say(text string) {
	c.T.Helper()
	if err := c.Peer.SendFrame(true, OpText, []byte(text)); err != nil {
		c.T.Fatalf("sending: %v", err)
	}
}

// Eventually is redistest.Eventually.
var Eventually = redistest.Eventually
