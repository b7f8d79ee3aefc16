package web

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"time"
)

// Messages of the protocol that are made here; the hub makes the others.
type (
	welcomeMessage struct {
		Type       string         `json:"type"`
		Protocol   string         `json:"protocol"`
		ConnID     string         `json:"conn_id"`
		ServerTime string         `json:"server_time"`
		Session    welcomeSession `json:"session"`
		Limits     welcomeLimits  `json:"limits"`
		Heartbeat  int64          `json:"heartbeat_ms"`
	}
	welcomeSession struct {
		ID        string `json:"id"`
		Role      string `json:"role"`
		ExpiresAt string `json:"expires_at"`
	}
	welcomeLimits struct {
		MaxSymbols        int     `json:"max_symbols"`
		MaxRate           float64 `json:"max_rate"`
		CommandsPerSecond int     `json:"commands_per_second"`
		MaxMessageBytes   int     `json:"max_message_bytes"`
		// What the role is granted.
		MaxConnections int      `json:"max_connections"`
		Symbols        []string `json:"symbols"`
		Channels       []string `json:"channels"`
		Modes          []string `json:"modes"`
	}
	sessionMessage struct {
		Type    string         `json:"type"`
		Session welcomeSession `json:"session"`
	}
	closingMessage struct {
		Type   string `json:"type"`
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	}
	errorMessage struct {
		Type       string          `json:"type"`
		ID         json.RawMessage `json:"id,omitempty"`
		Code       string          `json:"code"`
		Message    string          `json:"message"`
		RetryAfter int64           `json:"retry_after_ms,omitempty"`
	}
	listMessage struct {
		Type     string          `json:"type"`
		ID       json.RawMessage `json:"id,omitempty"`
		Symbols  []string        `json:"symbols"`
		Channels []string        `json:"channels"`
	}
	pongMessage struct {
		Type string          `json:"type"`
		ID   json.RawMessage `json:"id,omitempty"`
		TS   string          `json:"ts"`
	}
)

func (c *connection) welcome() []byte {
	return encode(welcomeMessage{
		Type: "welcome", Protocol: protocol, ConnID: c.id, ServerTime: stamp(time.Now()),
		Session: tellSession(c.session),
		Limits: welcomeLimits{MaxSymbols: c.grants.MaxSymbols, MaxRate: c.grants.MaxRate,
			CommandsPerSecond: c.server.cfg.CommandsPerSecond, MaxMessageBytes: maxMessageBytes,
			MaxConnections: c.grants.MaxConnections, Symbols: names(c.grants.Symbols, nil),
			Channels: granted(c.server.cfg.Channels, c.grants.AllowsChannel), Modes: granted(modes, c.grants.AllowsMode)},
		Heartbeat: c.server.cfg.Heartbeat.Milliseconds(),
	})
}

func tellSession(s boundSession) welcomeSession {
	return welcomeSession{ID: s.id, Role: s.role, ExpiresAt: stamp(s.expires)}
}

// newID names a connection or a request in logs and to the client; not a secret.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// encode is for messages whose types can not fail to encode.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		slog.Error("message not encoded", "err", err)
		return nil
	}
	return b
}

// stamp is the protocol's form of a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// names joins two lists into one that is never null in JSON.
func names(a, b []string) []string { return append(append([]string{}, a...), b...) }

// granted is what of a list is allowed; never null in JSON.
func granted(list []string, allowed func(string) bool) []string {
	out := []string{}
	for _, name := range list {
		if allowed(name) {
			out = append(out, name)
		}
	}
	return out
}
