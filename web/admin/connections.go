package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/endpoint"
	"github.com/fxcast/fxcast/web/live"
)

const (
	maxConnections = 1000 // shown of each node, and of all
	maxConnID      = 64
)

var connectionsLimit = endpoint.Limit{Default: 100, Most: maxConnections}

// describe returns what an operator sees of a client, but for what the hub knows.
func (s *Server) describe(c *live.Client) connectionAnswer {
	d := c.Describe()
	return connectionAnswer{ID: d.ID, Node: s.cfg.Nodes.Name(), Kind: d.Kind, SessionID: d.SessionID, UserID: d.UserID, Role: d.Role,
		Address: d.Address, Since: protocol.FormatTime(d.Since), Bytes: d.Bytes, Stalled: d.Stalled.Seconds()}
}

type (
	// A connectionAnswer is one client, and how far behind it is.
	connectionAnswer struct {
		ID        string `json:"conn_id"`
		Node      string `json:"node"`
		Kind      string `json:"kind"` // websocket or sse
		SessionID string `json:"session_id"`
		UserID    string `json:"user_id"`
		Role      string `json:"role"`
		Address   string `json:"address"`
		Since     string `json:"since"`
		// Bytes wait in the connection; none of them has gone out for Stalled.
		Bytes   int     `json:"waiting_bytes"`
		Stalled float64 `json:"stalled_seconds"`
		// Null if the hub did not answer in time.
		Symbols *int    `json:"symbols"`        // subscribed to, wildcards expanded
		Pending *int    `json:"waiting_quotes"` // not yet in the connection
		Mode    *string `json:"mode"`           // of its subscriptions: latest, all, or mixed; null without any
		Skipped *uint64 `json:"skipped_quotes"` // conflated away since it connected, as sent to it
	}
	// connectionsAnswer is the answer of one node, and of all of them.
	connectionsAnswer struct {
		Total       int                `json:"total"` // that match, shown or not
		Connections []connectionAnswer `json:"connections"`
	}
	connectionsOfAll struct {
		connectionsAnswer
		Nodes  map[string]int `json:"nodes"`  // how many that match each node has
		Silent []string       `json:"silent"` // nodes that did not answer: theirs are missing
	}
	// connectionsQuery selects connections.
	connectionsQuery struct {
		Limit  int    `json:"limit"`
		UserID string `json:"user_id,omitempty"`
	}
	kickRequest struct {
		ID string `json:"conn_id"`
		By string `json:"by"` // the request, for the log of the node that has it
	}
	kickAnswer struct {
		Node string `json:"node"` // that had it; empty: not this one
	}
)

// behind orders connections: those that are furthest behind first.
func behind(a, b connectionAnswer) int {
	return cmp.Or(cmp.Compare(b.Stalled, a.Stalled), cmp.Compare(b.Bytes, a.Bytes),
		cmp.Compare(deref(b.Pending), deref(a.Pending)), cmp.Compare(a.Since, b.Since), cmp.Compare(a.ID, b.ID))
}

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// connectionsHere lists those of this node that are furthest behind. The hub is
// asked about those only.
func (s *Server) connectionsHere(ctx context.Context, q connectionsQuery) connectionsAnswer {
	type found struct {
		connectionAnswer
		client *live.Client
	}
	var list []found
	for _, one := range s.cfg.Live.Clients() {
		d := s.describe(one)
		if q.UserID != "" && d.UserID != q.UserID {
			continue
		}
		list = append(list, found{d, one})
	}
	answer := connectionsAnswer{Total: len(list), Connections: []connectionAnswer{}}
	slices.SortFunc(list, func(a, b found) int { return behind(a.connectionAnswer, b.connectionAnswer) })
	ctx, cancel := context.WithTimeout(ctx, statsTime)
	defer cancel()
	for _, f := range list[:min(len(list), q.Limit)] {
		if stats, ok := f.client.Stats(ctx); ok {
			f.Symbols, f.Pending, f.Skipped = &stats.Subscriptions, &stats.Pending, &stats.Skipped
			f.Mode = modeOf(stats)
			f.Bytes, f.Stalled = stats.Bytes, stats.Stalled.Seconds()
		}
		answer.Connections = append(answer.Connections, f.connectionAnswer)
	}
	slices.SortFunc(answer.Connections, behind)
	return answer
}

// modeOf names the mode of a connection's subscriptions; nil if it has none.
func modeOf(s hub.ClientStats) *string {
	mode := modeMixed
	switch {
	case s.Subscriptions == 0:
		return nil
	case s.All == 0:
		mode = session.ModeLatest
	case s.All == s.Subscriptions:
		mode = session.ModeAll
	}
	return &mode
}

const modeMixed = "mixed" // some symbols latest, some all

// statsTime bounds what one list waits for the hub's shards.
const statsTime = 500 * time.Millisecond

// answerNodes makes other nodes' questions about connections answered.
func (s *Server) answerNodes() {
	s.cfg.Nodes.Handle("connections", func(ctx context.Context, body json.RawMessage) (any, error) {
		var q connectionsQuery
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, errors.New("not a question about connections")
		}
		q.Limit = min(max(q.Limit, 0), maxConnections)
		return s.connectionsHere(ctx, q), nil
	})
	s.cfg.Nodes.Handle("kick", func(_ context.Context, body json.RawMessage) (any, error) {
		var k kickRequest
		if err := json.Unmarshal(body, &k); err != nil {
			return nil, errors.New("not a connection to close")
		}
		return s.kickHere(k), nil
	})
	s.cfg.Nodes.Handle("remove symbol", func(_ context.Context, body json.RawMessage) (any, error) {
		var r symbolRemoval
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, errors.New("not a symbol to remove")
		}
		return s.removeHere(r), nil
	})
}

// kickHere closes a connection if this node has it.
func (s *Server) kickHere(k kickRequest) kickAnswer {
	one, ok := s.cfg.Live.Client(k.ID)
	if !ok {
		return kickAnswer{}
	}
	one.Kick()
	s.cfg.Log.Info("connection closed by an operator", "conn", k.ID, "request", k.By)
	return kickAnswer{s.cfg.Nodes.Name()}
}

// getConnections lists the connections of all nodes, those that are furthest
// behind first. Nodes that do not answer within a second are named; while Redis is
// lost these are all others.
func (s *Server) getConnections(w http.ResponseWriter, r *http.Request) error {
	q := connectionsQuery{UserID: r.URL.Query().Get("user_id")}
	var err error
	if q.Limit, err = connectionsLimit.Read(r); err != nil {
		return err
	}
	here := s.connectionsHere(r.Context(), q)
	answer := connectionsOfAll{connectionsAnswer: here, Nodes: map[string]int{s.cfg.Nodes.Name(): here.Total}, Silent: []string{}}
	others, err := s.cfg.Nodes.Ask(r.Context(), "connections", q, nil)
	if err != nil {
		s.cfg.Log.Warn("connections of other nodes", "request", endpoint.RequestID(r), "err", err)
	}
	answer.Silent = append(answer.Silent, others.Silent...)
	for _, a := range others.Answers {
		var there connectionsAnswer
		if a.Fault != "" || json.Unmarshal(a.Body, &there) != nil {
			s.cfg.Log.Warn("connections of another node", "request", endpoint.RequestID(r), "node", a.Node, "fault", a.Fault)
			answer.Silent = append(answer.Silent, a.Node)
			continue
		}
		answer.Nodes[a.Node] = there.Total
		answer.Total += there.Total
		answer.Connections = append(answer.Connections, there.Connections...)
	}
	slices.SortFunc(answer.Connections, behind)
	answer.Connections = answer.Connections[:min(len(answer.Connections), q.Limit)]
	slices.Sort(answer.Silent)
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

// deleteConnection closes a connection on whichever node has it.
func (s *Server) deleteConnection(w http.ResponseWriter, r *http.Request) error {
	k := kickRequest{ID: r.PathValue("conn_id"), By: endpoint.RequestID(r)}
	note(r, "connection", k.ID)
	if len(k.ID) > maxConnID {
		return noSuchConnection()
	}
	if done := s.kickHere(k); done.Node != "" {
		note(r, "node", done.Node)
		return endpoint.WriteJSON(w, http.StatusOK, done)
	}
	var done kickAnswer
	var faults []string
	others, err := s.cfg.Nodes.Ask(r.Context(), "kick", k, func(a nodes.Answer) bool {
		if a.Fault != "" || json.Unmarshal(a.Body, &done) != nil {
			faults = append(faults, a.Node)
		}
		return done.Node != ""
	})
	silent := append(others.Silent, faults...)
	switch {
	case done.Node != "":
		note(r, "node", done.Node)
		return endpoint.WriteJSON(w, http.StatusOK, done)
	case err != nil || len(silent) > 0:
		slices.Sort(silent)
		return endpoint.Unavailable(fmt.Sprintf("no such connection on the nodes that answered; %q did not", silent), err)
	}
	return noSuchConnection()
}

func noSuchConnection() error {
	return endpoint.NotFound("no node has a connection with this conn_id")
}
