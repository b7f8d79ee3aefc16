package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

// send sends a message. Snapshots and updates are binary if that was agreed.
func (p *player) send(m map[string]any) error {
	text := encode(m)
	if p.coder != nil {
		if batch, ok := p.coder.code(text); ok {
			return p.write(websocket.MessageBinary, batch)
		}
	}
	return p.write(websocket.MessageText, text)
}

// write writes a message. It returns no error if the client has ended the connection: the client may
// have read the message before, and the judge sees the end and what was not reported.
func (p *player) write(kind websocket.MessageType, text []byte) error {
	ctx, cancel := context.WithTimeout(p.run.ctx, writeTime)
	defer cancel()
	if err := p.ws.Write(ctx, kind, text); err != nil && ctx.Err() != nil {
		return fmt.Errorf("the client read no message within %v", writeTime)
	}
	return nil
}

// ticks sends numbered quotes.
func (p *player) ticks(t Ticks) error {
	if t.Symbol == "" {
		t.Symbol = "EUR/USD"
	}
	typ := protocol.TypeUpdate
	if t.As != "" {
		typ = protocol.TypeSnapshot
	}
	var data []any
	for seq := t.From; seq <= max(t.From, t.To); seq++ {
		data = append(data, quoteOf(t.Symbol, seq, t.Epoch))
		if len(data) < max(1, t.PerMessage) && seq < t.To {
			continue
		}
		m := map[string]any{"type": typ, "data": data}
		if t.As == "reset" {
			m["reset"] = true
		}
		if err := p.send(m); err != nil {
			return err
		}
		data = nil
	}
	return nil
}

// quoteOf returns the quote of a number. Its epoch may be empty.
func quoteOf(symbol string, seq uint64, epoch string) map[string]any {
	q := map[string]any{"symbol": symbol, "bid": bidOf(seq), "ask": askOf(seq), "ts": "2026-11-22T10:15:00.123456Z", "seq": seq}
	if epoch != "" {
		q["epoch"] = epoch
	}
	return q
}

func bidOf(seq uint64) string { return fmt.Sprintf("1.%05d", seq) }
func askOf(seq uint64) string { return fmt.Sprintf("1.%05d", seq+10) }

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

func welcome() map[string]any {
	return map[string]any{
		"type": protocol.TypeWelcome, "protocol": protocol.Name, "conn_id": "c1", "server_time": now(),
		"session": map[string]any{"id": "s1", "role": "user", "expires_at": time.Now().UTC().Add(time.Hour).Format(time.RFC3339Nano)},
		"limits": map[string]any{
			"max_symbols": 200, "max_rate": 0, "commands_per_second": commandsPerSecond, "max_message_bytes": protocol.MaxMessageBytes,
			"max_connections": 20, "symbols": []string{"*"}, "channels": []string{}, "modes": []string{"latest", "all"},
		},
		"heartbeat_ms": 30000,
	}
}

func merge(m, fields map[string]any) map[string]any {
	maps.Copy(m, fields)
	return m
}

// encode encodes a message. Its type comes first, as the server sends it.
func encode(m map[string]any) []byte {
	typ, ok := m["type"]
	if !ok {
		text, _ := json.Marshal(m) // values that come from JSON
		return text
	}
	rest := maps.Clone(m)
	delete(rest, "type")
	head, _ := json.Marshal(map[string]any{"type": typ})
	tail, _ := json.Marshal(rest)
	if len(rest) == 0 {
		return head
	}
	return append(append(head[:len(head)-1], ','), tail[1:]...)
}
