package live

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/protocol"
)

// lease counts the client over all nodes, and reports whether its owner may have another
// connection. If Redis does not answer it allows the client, whose session was valid a moment ago.
func (c *Client) lease() bool {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	ok, err := c.server.cfg.Sessions.Leases.Acquire(ctx, c.owner, c.id, c.grants.MaxConnections)
	return ok || err != nil
}

func (c *Client) release() {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	_ = c.server.cfg.Sessions.Leases.Release(ctx, c.owner, c.id) // if this fails, the lease expires
}

// askers bounds the questions that this node has open, since anyone over a limit causes them.
const askers = 2

const giveWayKind = "give way"

// giveWay is the question to other nodes whether they can end a silent connection of an owner.
type giveWay struct {
	Owner string `json:"owner"`
}

// makeRoom ends the most silent connection of the client's owner, if one has been silent for longer
// than two pings: a phone that changed its network has left it behind. It reports whether it ended
// one. It asks the other nodes if they may hold one, and if not too many such questions are open.
func (c *Client) makeRoom() bool {
	s := c.server
	here, ended := s.endSilent(c.owner)
	if ended || s.cfg.Nodes == nil || here >= c.grants.MaxConnections {
		return ended
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	_, _ = s.cfg.Nodes.Ask(ctx, giveWayKind, giveWay{c.owner}, func(a nodes.Answer) bool { // an error: nobody gives way
		var gave bool
		if a.Fault == "" && json.Unmarshal(a.Body, &gave) == nil && gave {
			ended = true
		}
		return ended
	})
	return ended
}

// answerNodes registers the handler that answers the question of another node.
func (s *Server) answerNodes() {
	s.cfg.Nodes.Handle(giveWayKind, func(_ context.Context, body json.RawMessage) (any, error) {
		var q giveWay
		if err := json.Unmarshal(body, &q); err != nil || q.Owner == "" {
			return nil, errors.New("not a question about silent connections")
		}
		_, ended := s.endSilent(q.Owner)
		return ended, nil
	})
}

// endSilent ends the connection of an owner that has been silent for longest, if that is longer
// than two pings. It returns how many connections of the owner this node had. The lease is given
// back at once, since the closing of a dead connection takes seconds.
func (s *Server) endSilent(owner string) (here int, ended bool) {
	var longest *Client
	most := 2 * s.cfg.Hub.Ping()
	for _, c := range s.Clients() {
		if c.owner != owner || c.gaveWay.Load() {
			continue
		}
		here++
		if silence := c.hub.Silence(); silence > most {
			longest, most = c, silence
		}
	}
	if longest == nil || longest.gaveWay.Swap(true) {
		return here, false
	}
	longest.release()
	longest.hub.Close(protocol.CloseSilent)
	s.cfg.Log.Debug("silent connection gave way", "conn", longest.id, "silent", most.Round(time.Millisecond))
	return here, true
}

// refusal returns the message that precedes the close of a refused client. It advises a client over
// the limit to reconnect when a connection that is dead now may be known as silent. The wait is
// random, so that the devices of a user do not reconnect all at once.
func (c *Client) refusal(why protocol.Close) []byte {
	m := protocol.Closing{Code: why.Code, Reason: why.Reason}
	if why == protocol.CloseTooMany {
		ping := c.server.cfg.Hub.Ping()
		m.ReconnectAfterMS = (ping + rand.N(ping/4+1)).Milliseconds()
	}
	return m.Append(nil)
}
