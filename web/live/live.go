// Package live pushes quotes to clients over WebSockets and event streams.
//
//	upgrade.go        the checks of a request that wants a WebSocket
//	websocket.go      a client over WebSocket, and its commands
//	reader.go         the goroutine that reads it while it is not parked
//	poller_linux.go   the one goroutine that waits for all parked connections
//	subscriptions.go  the subscriptions of a client, within the grants of its role
//	resume.go         the replay of the ticks that a client has missed
//	replay.go         the number of them that one user or guest address may replay
//	stream.go         a client over Server-Sent Events
//	client.go         the part that both share: a client of the hub; binding.go its session
//	lease.go          the limit of connections, and the silent ones that give way
//	frame.go          the framing of messages for each kind of client
//	socket.go         the only writer of a connection, which never blocks
//
// A client leaves net/http when it connects. Goroutines of the Server own it from then on.
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
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

// Config holds the settings of a Server. A field that is not marked optional must be set.
type Config struct {
	Hub           *hub.Hub
	Sessions      *session.Manager
	Access        *access.Control
	History       *receive.History
	OriginAllowed func(*http.Request) bool // reports whether the origin of a request may connect

	Nodes             *nodes.Nodes      // optional: the other nodes, which may have silent connections of a user
	Instruments       *feed.Instruments // optional: the known symbols; nil = the built-in table
	Channels          []string          // optional: relayed channels
	CommandsPerSecond int
	Compression       bool // offer permessage-deflate
	Heartbeat         time.Duration
	Simulated         func() bool // optional: reports whether quotes are the simulator's

	Panics   prometheus.Counter
	Registry prometheus.Registerer
	Log      *slog.Logger
}

// A Server serves the clients of a node. It is safe for concurrent use.
type Server struct {
	cfg      Config
	metrics  *metrics
	start    time.Time
	sockets  sync.WaitGroup // goroutines of connections that have left net/http
	draining atomic.Bool
	clients  registry
	poller   poller        // of parked connections
	turns    turns         // of work that takes long
	asking   chan struct{} // holds a token for each question of makeRoom
	commands *limiter.Rate // of the commands of one connection, and of its answered pings
	controls *limiter.Rate // of the pings and pongs of one connection
}

// New returns a Server. Its goroutines start with the first connection.
func New(cfg Config) *Server {
	perSecond := float64(cfg.CommandsPerSecond)
	s := &Server{cfg: cfg, metrics: newMetrics(cfg.Registry), start: time.Now(),
		turns: newTurns(cfg.Hub), asking: make(chan struct{}, askers), commands: limiter.NewRate(perSecond, perSecond),
		controls: limiter.NewRate(max(perSecond, controlRate), max(perSecond, controlBurst))}
	if cfg.Nodes != nil {
		s.answerNodes()
	}
	return s
}

var ticketParameter = endpoint.Parameter{Name: "ticket", About: "from POST /api/v1/ws-ticket, instead of a cookie or a bearer token", Schema: endpoint.Object{"type": "string"}}

// Endpoints returns the endpoints of the public listener that this package serves.
func (s *Server) Endpoints() []endpoint.Endpoint {
	return []endpoint.Endpoint{
		{Pattern: "GET /ws", Handler: s.serveWebSocket, Access: endpoint.SignedIn, AdmitsItself: true,
			Tag: "quotes", Summary: "The WebSocket; /asyncapi.json describes its messages",
			Query:   []endpoint.Parameter{ticketParameter},
			Answers: map[int]any{101: nil}, Errors: []int{400, 403, 426, 503}},
		{Pattern: "GET /api/v1/stream", Handler: s.serveStream, Access: endpoint.SignedIn, AdmitsItself: true, Time: endpoint.Endless,
			Tag: "quotes", Summary: "The messages of the WebSocket as Server-Sent Events; Last-Event-ID resumes",
			Query: []endpoint.Parameter{endpoint.SymbolsParameter, ticketParameter,
				{Name: "max_rate", About: "the most updates per second and symbol; 0 = every tick", Schema: endpoint.Object{"type": "number", "minimum": 0}},
				{Name: "pace_ms", About: "quotes at most once per interval of 10 to 60000 ms, aligned to the clock of Redis; 0 = no pace", Schema: endpoint.Object{"type": "integer", "minimum": 0, "maximum": protocol.MaxPace}},
				{Name: "mode", About: "latest conflates updates; all delivers every tick", Schema: endpoint.Object{"type": "string", "enum": modes, "default": protocol.ModeLatest}}},
			Answers: map[int]any{200: endpoint.Text("text/event-stream")}, Errors: []int{403, 503}},
	}
}

// age returns the time since the Server was created. A client stores it because it takes less
// memory than a time.Time.
func (s *Server) age() time.Duration { return time.Since(s.start) }

// StopAccepting refuses new clients. Connected clients stay until the hub drains them.
func (s *Server) StopAccepting() { s.draining.Store(true) }

// Accepting reports whether the Server accepts new clients.
func (s *Server) Accepting() bool { return !s.draining.Load() }

// Wait returns nil when the last connection has ended, or the context's error. Then no goroutine of
// the Server is left. Call it after http.Server.Shutdown, which does not wait for connections that have left
// net/http, and after the hub has been drained.
func (s *Server) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with the last connection; each connection has deadlines
		s.sockets.Wait()
		s.poller.close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
