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
	maxConnections = 1000 // in the list of one node, and of all nodes
	maxConnID      = 64   // bytes
)

var connectionsLimit = endpoint.Limit{Default: 100, Most: maxConnections}

// describe returns the description of a client, without the fields that the hub knows.
func (s *Server) describe(c *live.Client) connectionAnswer {
	d := c.Describe()
	return connectionAnswer{ID: d.ID, Node: s.cfg.Nodes.Name(), Kind: d.Kind, SessionID: d.SessionID, UserID: d.UserID, Role: d.Role,
		Address: d.Address, Since: protocol.FormatTime(d.Since), Bytes: d.Bytes, Stalled: d.Stalled.Seconds()}
}

type (
	// A connectionAnswer describes one client, and how far it is behind.
	connectionAnswer struct {
		ID        string `json:"conn_id"`
		Node      string `json:"node"`
		Kind      string `json:"kind"` // websocket or sse
		SessionID string `json:"session_id"`
		UserID    string `json:"user_id"`
		Role      string `json:"role"`
		Address   string `json:"address"`
		Since     string `json:"since"`
		// Bytes wait to be written to the connection. For Stalled, none of them could be written.
		Bytes   int     `json:"waiting_bytes"`
		Stalled float64 `json:"stalled_seconds"`
		// The following fields are null if the hub did not answer in time.
		Symbols *int    `json:"symbols"`        // subscribed symbols, with wildcards expanded
		Pending *int    `json:"waiting_quotes"` // in the hub, in addition to Bytes
		Mode    *string `json:"mode"`           // of the subscriptions: latest, all, or mixed; null without any
		Skipped *uint64 `json:"skipped_quotes"` // replaced by conflation since the client connected
	}
	// connectionsAnswer is the answer of one node, and part of the answer for all nodes.
	connectionsAnswer struct {
		Total       int                `json:"total"` // of matching connections, including those beyond the limit
		Connections []connectionAnswer `json:"connections"`
	}
	connectionsOfAll struct {
		connectionsAnswer
		Nodes  map[string]int `json:"nodes"`  // the number of matching connections by node
		Silent []string       `json:"silent"` // nodes that did not answer; their connections are missing
	}
	// connectionsQuery selects connections.
	connectionsQuery struct {
		Limit  int    `json:"limit"`
		UserID string `json:"user_id,omitempty"`
	}
	kickRequest struct {
		ID string `json:"conn_id"`
		By string `json:"by"` // the id of the request, for the log of the node that has the connection
	}
	kickAnswer struct {
		Node string `json:"node"` // the node that had the connection; empty if the asked node did not
	}
)

// behind compares connections, so that those furthest behind come first.
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

// connectionsHere returns the connections of this node that are furthest behind. It asks the hub
// only about these.
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

// modeOf returns the mode of a connection's subscriptions, or nil if it has none.
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

const modeMixed = "mixed" // some subscriptions are latest, some all

// statsTime bounds how long one list waits for the hub's shards.
const statsTime = 500 * time.Millisecond

// answerNodes registers the handlers that answer the questions of other nodes.
func (s *Server) answerNodes() {
	s.cfg.Nodes.Handle("connections", func(ctx context.Context, body json.RawMessage) (any, error) {
		var q connectionsQuery
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, errors.New("not a question about connections")
		}
		q.Limit = min(max(q.Limit, 0), maxConnections)
		return s.connectionsHere(ctx, q), nil
	})
	s.cfg.Nodes.Handle("past", s.answerPast)
	s.cfg.Nodes.Handle("kick", func(_ context.Context, body json.RawMessage) (any, error) {
		var k kickRequest
		if err := json.Unmarshal(body, &k); err != nil {
			return nil, errors.New("not a connection to close")
		}
		return s.kickHere(k), nil
	})
	s.cfg.Nodes.Handle("remove symbol", func(ctx context.Context, body json.RawMessage) (any, error) {
		var r symbolRemoval
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, errors.New("not a symbol to remove")
		}
		return s.removeHere(ctx, r), nil
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

// getConnections lists the connections of all nodes, those furthest behind first. It also lists
// the nodes that did not answer within a second: every other node while Redis is lost.
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
		s.cfg.Log.Warn("other nodes could not be asked for their connections", "request", endpoint.RequestID(r), "err", err)
	}
	answer.Silent = append(answer.Silent, others.Silent...)
	for _, a := range others.Answers {
		var there connectionsAnswer
		if a.Fault != "" || json.Unmarshal(a.Body, &there) != nil {
			s.cfg.Log.Warn("another node could not list its connections", "request", endpoint.RequestID(r), "node", a.Node, "fault", a.Fault)
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

// deleteConnection closes a connection on the node that has it. If no node has it, but some node
// did not answer, the problem is 503 instead of 404.
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
		return endpoint.Unavailable(fmt.Sprintf("no node that answered has this connection; %q did not answer", silent), err)
	}
	return noSuchConnection()
}

func noSuchConnection() error {
	return endpoint.NotFound("no node has a connection with this conn_id")
}
