package live

import (
	"maps"
	"slices"
	"sync"
)

// A registry has the clients of this node, so that an operator can find them.
type registry struct {
	mu   sync.Mutex         // guards byID; no calls out under it
	byID map[string]*Client // the key shares the client's own string
}

func (r *registry) add(c *Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[string]*Client)
	}
	r.byID[c.id] = c
}

func (r *registry) remove(c *Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, c.id)
}

// Clients returns the clients of this node, in no order.
func (s *Server) Clients() []*Client {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	return slices.Collect(maps.Values(s.clients.byID))
}

// Client returns the client of this node with an id.
func (s *Server) Client(id string) (*Client, bool) {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	c, ok := s.clients.byID[id]
	return c, ok
}
