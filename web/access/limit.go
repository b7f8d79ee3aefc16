package access

import (
	"net/http"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/limiter/httplimit"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/endpoint"
)

// Subject returns the subject by which the limiter counts a request: the user of the session.
// For guests and for requests without a session it is the address.
func (c *Control) Subject(r *http.Request) string {
	s, err := Session(r)
	if err != nil {
		return httplimit.AddressSubject(c.Address(r))
	}
	return c.payerOf(s).subject(c.Address(r))
}

// limit counts one request against the tiers of its role and sets the RateLimit headers. If
// the request exceeds a tier, limit answers it and returns endpoint.ErrAnswered.
func (c *Control) limit(w http.ResponseWriter, r *http.Request) error {
	if httplimit.Contains(c.cfg.RateExempt, c.Address(r)) {
		return nil
	}
	s, err := Session(r)
	if err != nil {
		s = session.Session{Role: GuestRole}
	}
	return c.Charge(w, r, c.Subject(r), 1, tiersOf(c.Grants(s))...)
}

// tiersOf returns the tiers of a role that have a limit.
func tiersOf(g *session.Grants) (tiers []limiter.Limit) {
	for _, t := range g.Rate.Tiers() {
		if t.Max > 0 {
			tiers = append(tiers, limiter.Limit{Name: t.Name, Max: int64(t.Max), Window: t.Window})
		}
	}
	return tiers
}

// LimitGuests counts a new guest of the request's address. If there are too many, it answers the
// request and returns endpoint.ErrAnswered. With remembered it counts nothing, and refuses only as
// this node remembers it, without Redis.
func (c *Control) LimitGuests(w http.ResponseWriter, r *http.Request, remembered bool) error {
	address := c.Address(r)
	if httplimit.Contains(c.cfg.RateExempt, address) || c.cfg.GuestTier.Max == 0 {
		return nil
	}
	// A subject of its own: windows of one length and limit are one.
	subject := "guest:" + httplimit.AddressSubject(address)
	if remembered {
		if d, refused := c.cfg.Limiter.Remembered(subject, 1, c.cfg.GuestTier); refused {
			httplimit.WriteProblem(w, d)
			return endpoint.ErrAnswered
		}
		return nil
	}
	d, err := c.cfg.Limiter.Allow(r.Context(), subject, 1, c.cfg.GuestTier)
	if err != nil {
		return err
	}
	if !d.Allowed {
		httplimit.WriteProblem(w, d)
		return endpoint.ErrAnswered
	}
	return nil // the headers stay those of the requests
}

// Charge counts a cost against the tiers of a subject, and answers as Admit does. With a cost
// of 0 or without tiers it does nothing.
func (c *Control) Charge(w http.ResponseWriter, r *http.Request, subject string, cost int64, tiers ...limiter.Limit) error {
	if cost == 0 || len(tiers) == 0 {
		return nil
	}
	d, err := c.cfg.Limiter.Allow(r.Context(), subject, cost, tiers...)
	if err != nil {
		return err
	}
	if !d.Allowed {
		httplimit.WriteProblem(w, d)
		return endpoint.ErrAnswered
	}
	httplimit.SetHeaders(w.Header(), d)
	return nil
}
