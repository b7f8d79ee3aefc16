package protocol

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
)

// Types of the server's messages.
const (
	TypeWelcome   = "welcome"
	TypeSession   = "session"
	TypeAck       = "ack"
	TypeSnapshot  = "snapshot"
	TypeUpdate    = "update"
	TypeStatus    = "status"
	TypeCandle    = "candle"
	TypeDay       = "day"
	TypeRelayed   = "message"
	TypeResumed   = "resumed"
	TypeHeartbeat = "heartbeat"
	TypePong      = "pong"
	TypeList      = "list"
	TypeError     = "error"
	TypeClosing   = "closing"
)

// The envelope of a message with quotes: a head, quote objects separated by commas, and the end.
const (
	UpdateHead   = `{"type":"update","data":[`
	SnapshotHead = `{"type":"snapshot","data":[`
	ResetHead    = `{"type":"snapshot","reset":true,"data":[`
	QuotesEnd    = `]}`
)

// ClosingStart is the beginning of every Closing message, and of no other.
const ClosingStart = `{"type":"closing"`

// A Message is one message of the server: Welcome, Renewed, Ack, Snapshot, Update, Status,
// CandleUpdate, DayUpdate, Relayed, Resumed, Heartbeat, Pong, List, Error or Closing.
type Message interface {
	// Append appends the message as JSON text.
	Append(dst []byte) []byte
}

type (
	// Welcome is the first message of a connection.
	Welcome struct {
		Protocol    string  `json:"protocol"`
		ConnID      string  `json:"conn_id"`
		ServerTime  Time    `json:"server_time"`
		Session     Session `json:"session"`
		Limits      Limits  `json:"limits"`
		HeartbeatMS int64   `json:"heartbeat_ms"`
		Simulated   bool    `json:"simulated,omitempty"` // quotes are those of the simulator
	}
	// Session describes the session of a connection to its client.
	Session struct {
		ID        string `json:"id"` // public, not the token
		Role      string `json:"role"`
		ExpiresAt Time   `json:"expires_at"`
	}
	// Limits holds the limits of a connection and the rights of its role.
	Limits struct {
		MaxSymbols        int      `json:"max_symbols"`
		MaxRate           float64  `json:"max_rate"` // 0: every quote
		CommandsPerSecond int      `json:"commands_per_second"`
		MaxMessageBytes   int      `json:"max_message_bytes"`
		MaxConnections    int      `json:"max_connections"`
		Symbols           []string `json:"symbols"`
		Channels          []string `json:"channels"`
		Modes             []string `json:"modes"`
	}
	// Renewed reports that the session was renewed and continues with a new id.
	Renewed struct {
		Session Session `json:"session"`
	}
	// Ack answers subscribe and unsubscribe with OK and Failed, which then must not be nil, and pace
	// with EveryMS and Align. Candles and Day repeat those of the command.
	Ack struct {
		ID      json.RawMessage `json:"id,omitempty"`
		Op      string          `json:"op"`
		OK      []string        `json:"ok,omitzero"` // granted, canonical
		Failed  []Refusal       `json:"failed,omitzero"`
		MaxRate *float64        `json:"max_rate,omitempty"` // granted; only in the answer to subscribe
		Mode    string          `json:"mode,omitempty"`
		Candles string          `json:"candles,omitempty"`
		Day     bool            `json:"day,omitempty"`
		EveryMS *int64          `json:"every_ms,omitempty"`
		Align   *bool           `json:"align,omitempty"`
	}
	// A CandleEntry is a subscription to the candles of a symbol or wildcard.
	CandleEntry struct {
		Symbol   string `json:"symbol"`
		Interval string `json:"interval"`
	}
	// A Refusal is one name that was not granted, with its error code.
	Refusal struct {
		Symbol  string `json:"symbol,omitempty"`
		Channel string `json:"channel,omitempty"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	// Snapshot has the last quotes of symbols. Reset reports, in mode all, that quotes before them
	// may be missing.
	Snapshot struct {
		Reset bool    `json:"reset,omitempty"`
		Data  []Quote `json:"data"`
	}
	// Update has quotes that follow those already sent.
	Update struct {
		Data []Quote `json:"data"`
	}
	// Status is the new status of a symbol or, without a symbol, of the source of all quotes.
	Status struct {
		Symbol string `json:"symbol,omitempty"`
		Status string `json:"status"`
		Source string `json:"source,omitempty"` // set if quotes now come from another source
		Since  Time   `json:"since,omitzero"`
	}
	// CandleUpdate is the running candle of an interval, or one that has closed.
	CandleUpdate struct {
		Symbol   string `json:"symbol"`
		Interval string `json:"interval"`
		Data     Candle `json:"data"`
	}
	// DayUpdate has the day figures of a symbol after a change. Their fields follow the symbol.
	DayUpdate struct {
		Symbol string
		Day    Day
	}
	// Relayed is a message of a relayed channel.
	Relayed struct {
		Channel string          `json:"channel"`
		Data    json.RawMessage `json:"data"`
		Dropped int             `json:"dropped,omitempty"` // earlier messages that this client did not receive
	}
	// Resumed reports that the missed quotes of a symbol follow as updates.
	Resumed struct {
		Symbol string `json:"symbol"`
	}
	// Heartbeat is sent when no other message was sent for a while.
	Heartbeat struct {
		Time Time `json:"ts"`
	}
	// Pong answers ping.
	Pong struct {
		ID   json.RawMessage `json:"id,omitempty"`
		Time Time            `json:"ts"`
	}
	// List answers list. Symbols and Channels must not be nil. Day has the symbols and wildcards
	// with day figures.
	List struct {
		ID       json.RawMessage `json:"id,omitempty"`
		Symbols  []string        `json:"symbols"`
		Channels []string        `json:"channels"`
		Candles  []CandleEntry   `json:"candles,omitempty"`
		Day      []string        `json:"day,omitempty"`
	}
	// Error answers a bad command; the connection stays open. As a Go error it describes what is
	// wrong with the command.
	Error struct {
		ID           json.RawMessage `json:"id,omitempty"`
		Code         string          `json:"code"`
		Message      string          `json:"message"`
		RetryAfterMS int64           `json:"retry_after_ms,omitempty"`
	}
	// Closing announces that the server is about to close the connection.
	Closing struct {
		Code             int    `json:"code"`
		Reason           string `json:"reason"`
		ReconnectAfterMS int64  `json:"reconnect_after_ms,omitempty"` // 0: no advice
	}
)

// Error implements error.
func (m *Error) Error() string { return m.Code + ": " + m.Message }

// Append implements Message.
func (m Welcome) Append(dst []byte) []byte { return appendTyped(dst, TypeWelcome, m) }

// Append implements Message.
func (m Renewed) Append(dst []byte) []byte { return appendTyped(dst, TypeSession, m) }

// Append implements Message.
func (m Ack) Append(dst []byte) []byte { return appendTyped(dst, TypeAck, m) }

// Append implements Message.
func (m Pong) Append(dst []byte) []byte { return appendTyped(dst, TypePong, m) }

// Append implements Message.
func (m List) Append(dst []byte) []byte { return appendTyped(dst, TypeList, m) }

// Append implements Message.
func (m Error) Append(dst []byte) []byte { return appendTyped(dst, TypeError, m) }

// appendTyped appends a message that is rare enough for encoding/json. Each such message has a
// field that is always present and follows the type.
func appendTyped(dst []byte, typ string, m any) []byte {
	t := typedText{dst, typ}
	if err := json.NewEncoder(&t).Encode(m); err != nil {
		return dst // an ID that is not JSON, or a rate that is not a number: ParseCommand rejects both
	}
	return t.text
}

// A typedText is text to which an Encoder writes one object, as a message with a type. The object is
// copied only once: the answer to a long command has a hundred kilobytes.
type typedText struct {
	text []byte
	typ  string
}

// Write implements io.Writer. An Encoder writes a whole object and a line feed.
func (t *typedText) Write(object []byte) (int, error) {
	head := len(`{"type":"",`) + len(t.typ)
	t.text = append(append(append(slices.Grow(t.text, head+len(object)), `{"type":"`...), t.typ...), `",`...)
	t.text = append(t.text, object[1:len(object)-1]...)
	return len(object), nil
}

// Append implements Message.
func (m Snapshot) Append(dst []byte) []byte {
	if m.Reset {
		return appendQuotes(dst, ResetHead, m.Data)
	}
	return appendQuotes(dst, SnapshotHead, m.Data)
}

// Append implements Message.
func (m Update) Append(dst []byte) []byte { return appendQuotes(dst, UpdateHead, m.Data) }

func appendQuotes(dst []byte, head string, quotes []Quote) []byte {
	dst = append(dst, head...)
	for i, q := range quotes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = q.Append(dst)
	}
	return append(dst, QuotesEnd...)
}

// Append implements Message.
func (m Resumed) Append(dst []byte) []byte {
	return append(AppendString(append(dst, `{"type":"resumed","symbol":`...), m.Symbol), '}')
}

// Append implements Message.
func (m CandleUpdate) Append(dst []byte) []byte {
	dst = AppendString(append(dst, `{"type":"candle","symbol":`...), m.Symbol)
	dst = AppendString(append(dst, `,"interval":`...), m.Interval)
	return append(m.Data.Append(append(dst, `,"data":`...)), '}')
}

// Append implements Message.
func (m DayUpdate) Append(dst []byte) []byte {
	dst = AppendString(append(dst, `{"type":"day","symbol":`...), m.Symbol)
	return append(m.Day.AppendFields(append(dst, ',')), '}')
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *DayUpdate) UnmarshalJSON(data []byte) error {
	var head struct{ Symbol string }
	err := errors.Join(json.Unmarshal(data, &head), json.Unmarshal(data, &m.Day))
	m.Symbol = head.Symbol
	return err
}

// Append implements Message.
func (m Status) Append(dst []byte) []byte {
	dst = append(dst, `{"type":"status"`...)
	if m.Symbol != "" {
		dst = AppendString(append(dst, `,"symbol":`...), m.Symbol)
	}
	dst = AppendString(append(dst, `,"status":`...), m.Status)
	if m.Source != "" {
		dst = AppendString(append(dst, `,"source":`...), m.Source)
	}
	if !m.Since.IsZero() {
		dst = append(AppendTime(append(dst, `,"since":"`...), m.Since.Time), '"')
	}
	return append(dst, '}')
}

// Append implements Message. Data is written unchanged.
func (m Relayed) Append(dst []byte) []byte {
	dst = AppendString(append(dst, `{"type":"message","channel":`...), m.Channel)
	dst = append(append(dst, `,"data":`...), m.Data...)
	if m.Dropped > 0 {
		dst = strconv.AppendInt(append(dst, `,"dropped":`...), int64(m.Dropped), 10)
	}
	return append(dst, '}')
}

// Append implements Message.
func (m Heartbeat) Append(dst []byte) []byte {
	return append(AppendTime(append(dst, `{"type":"heartbeat","ts":"`...), m.Time.Time), `"}`...)
}

// Append implements Message.
func (m Closing) Append(dst []byte) []byte {
	dst = strconv.AppendInt(append(append(dst, ClosingStart...), `,"code":`...), int64(m.Code), 10)
	dst = AppendString(append(dst, `,"reason":`...), m.Reason)
	if m.ReconnectAfterMS > 0 {
		dst = strconv.AppendInt(append(dst, `,"reconnect_after_ms":`...), m.ReconnectAfterMS, 10)
	}
	return append(dst, '}')
}
