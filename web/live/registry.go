package live

import (
	"maps"
	"slices"
	"sync"
)

// A registry holds the clients of this node, so that an operator can find them.
type registry struct {
	mu   sync.Mutex         // guards byID; held over no call
	byID map[string]*Client // the key shares the memory of Client.id
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

// Clients returns the clients of this node, in no particular order. The slice belongs to the
// caller.
func (s *Server) Clients() []*Client {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	return slices.Collect(maps.Values(s.clients.byID))
}

// Client returns the client of this node that has the id.
func (s *Server) Client(id string) (*Client, bool) {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	c, ok := s.clients.byID[id]
	return c, ok
}
