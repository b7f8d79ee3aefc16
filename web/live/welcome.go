package live

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// modes are all modes of delivery; a role may grant fewer.
var modes = []string{protocol.ModeLatest, protocol.ModeAll}

func (c *Client) welcome(subprotocol string) []byte {
	cfg := &c.server.cfg
	return protocol.Welcome{
		Protocol: subprotocol, ConnID: c.id, ServerTime: protocol.At(time.Now()), Session: c.session.describe(),
		Limits: protocol.Limits{MaxSymbols: c.grants.MaxSymbols, MaxRate: c.grants.MaxRate,
			CommandsPerSecond: cfg.CommandsPerSecond, MaxMessageBytes: protocol.MaxMessageBytes,
			MaxConnections: c.grants.MaxConnections, Symbols: names(c.grants.Symbols, nil),
			Channels: granted(cfg.Channels, c.grants.AllowsChannel), Modes: granted(modes, c.grants.AllowsMode)},
		HeartbeatMS: cfg.Heartbeat.Milliseconds(),
		Simulated:   cfg.Simulated != nil && cfg.Simulated(),
	}.Append(nil)
}

func (s boundSession) describe() protocol.Session {
	return protocol.Session{ID: s.id, Role: s.role, ExpiresAt: protocol.At(s.expires)}
}

// names joins two lists into a new one that is never null in JSON.
func names(a, b []string) []string { return append(append([]string{}, a...), b...) }

// granted returns the names that allowed accepts, as a list that is never null in JSON.
func granted(list []string, allowed func(string) bool) []string {
	out := []string{}
	for _, name := range list {
		if allowed(name) {
			out = append(out, name)
		}
	}
	return out
}
