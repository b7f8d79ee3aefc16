// Package live is what pushes quotes to clients: the WebSocket and the event stream.
//
//	upgrade.go        what a request must pass before it becomes a WebSocket
//	websocket.go      a client that speaks WebSocket: its commands, carried out
//	reader.go         how it is read: parked, or at work
//	subscriptions.go  what a client has subscribed to, and what its role grants
//	resume.go         a client on its way back to where it stood
//	stream.go         a client that speaks Server-Sent Events
//	client.go         what both are: one client of the hub, binding.go tied to its session
//	frame.go          how messages are framed for each kind of client
//	socket.go         the only writer of a connection, which never blocks
//
// A client leaves net/http when it connects and belongs to goroutines of the Server.
package live

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

// Config of a Server. What is not marked optional must be set.
type Config struct {
	Hub           *hub.Hub
	Sessions      *session.Manager
	Access        *access.Control
	History       *receive.History
	OriginAllowed func(*http.Request) bool // whether the page that connects may

	Instruments       *feed.Instruments // optional: which symbols there are; nil = the table without settings
	Channels          []string          // optional: relayed channels
	CommandsPerSecond int
	Compression       bool // offer permessage-deflate
	Heartbeat         time.Duration

	Panics   prometheus.Counter
	Registry prometheus.Registerer
	Log      *slog.Logger
}

// A Server serves the clients of a node. It is safe for concurrent use.
type Server struct {
	cfg      Config
	metrics  *metrics
	start    time.Time
	sockets  sync.WaitGroup // goroutines of connections that left net/http
	draining atomic.Bool
	clients  registry
	resuming chan struct{} // has room for as many as may read history at a time
	commands *limiter.Rate // of one connection's commands, and of its pings
}

// New returns a Server; it starts nothing.
func New(cfg Config) *Server {
	perSecond := float64(cfg.CommandsPerSecond)
	return &Server{cfg: cfg, metrics: newMetrics(cfg.Registry), start: time.Now(),
		resuming: make(chan struct{}, resumers), commands: limiter.NewRate(perSecond, perSecond)}
}

// Endpoints returns the server's part of the public listener.
func (s *Server) Endpoints() []endpoint.Endpoint {
	return []endpoint.Endpoint{
		{Pattern: "GET /ws", Handler: s.serveWebSocket, Access: endpoint.SignedIn, Own: endpoint.OwnSession | endpoint.OwnLimit,
			Tag: "quotes", Summary: "The WebSocket; /asyncapi.json describes what is said on it",
			Query: []endpoint.Parameter{
				{Name: "ticket", About: "from POST /api/v1/ws-ticket, instead of cookie or bearer token", Schema: endpoint.Object{"type": "string"}}},
			Answers: map[int]any{101: nil}, Errors: []int{400, 403, 426, 503}},
		{Pattern: "GET /api/v1/stream", Handler: s.serveStream, Access: endpoint.SignedIn, Time: endpoint.Endless,
			Tag: "quotes", Summary: "The messages of the WebSocket as Server-Sent Events; Last-Event-ID resumes",
			Query: []endpoint.Parameter{endpoint.SymbolsParameter,
				{Name: "max_rate", About: "most updates per second and symbol; 0 = every tick", Schema: endpoint.Object{"type": "number", "minimum": 0}},
				{Name: "mode", About: "latest conflates, all leaves nothing out", Schema: endpoint.Object{"type": "string", "enum": modes, "default": protocol.ModeLatest}}},
			Answers: map[int]any{200: endpoint.Text("text/event-stream")}, Errors: []int{403}},
	}
}

// age is the time since the server was made, which takes less room than a time.
func (s *Server) age() time.Duration { return time.Since(s.start) }

// StopAccepting refuses new clients; those that are there go on until the hub drains them.
func (s *Server) StopAccepting() { s.draining.Store(true) }

// Accepting reports whether new clients are let in.
func (s *Server) Accepting() bool { return !s.draining.Load() }

// Wait returns when the last connection's goroutine has ended, or with the context's
// error. Call it after http.Server.Shutdown, which does not know of connections that left
// net/http, and after the hub has been drained.
func (s *Server) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with the last connection, each of which has deadlines
		s.sockets.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
