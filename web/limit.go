package web

import (
	"net/http"

	"github.com/fxcast/fxcast/limiter"
)

// limits is what requests are counted against, and by whom.
func (s *Server) limits() func(http.Handler) http.Handler {
	return limiter.Middleware(limiter.MiddlewareConfig{Limiter: s.cfg.Limiter, Tiers: s.tiers, Subject: s.subject,
		TrustedProxies: s.cfg.TrustedProxies, ExemptAddresses: s.cfg.RateExempt})
}

// limit counts a request against the tiers of its subject.
func (s *Server) limit(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.checkLimit(w, r); err != nil {
			return err
		}
		return next(w, r)
	}
}

// checkLimit charges one request and sets the RateLimit headers.
func (s *Server) checkLimit(w http.ResponseWriter, r *http.Request) error {
	err := error(errHandled)
	s.limited(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { err = nil })).ServeHTTP(w, r)
	return err
}

// tiers are the limits of the role that asks.
func (s *Server) tiers(r *http.Request) []limiter.Limit {
	sess, ok := sessionOf(r)
	if !ok {
		sess.Role = guestRole
	}
	rate := s.grantsFor(sess).Rate
	return limiter.RequestTiers(int64(rate.PerMinute), int64(rate.PerHour), int64(rate.PerDay))
}

// limitPublish charges a batch of quotes against the publisher's own tier.
func (s *Server) limitPublish(w http.ResponseWriter, r *http.Request, token PublishToken, quotes int) error {
	name := token.Source
	if name == "" {
		name = "default"
	}
	return s.charge(w, r, "publish:"+name, int64(quotes), s.cfg.PublishTier)
}

func (s *Server) charge(w http.ResponseWriter, r *http.Request, subject string, cost int64, tiers ...limiter.Limit) error {
	if cost == 0 || len(tiers) == 0 {
		return nil // nothing asked, or nothing limited
	}
	d, err := s.cfg.Limiter.Allow(r.Context(), subject, cost, tiers...)
	if err != nil {
		return err
	}
	limiter.SetHeaders(w.Header(), d)
	if d.Allowed {
		return nil
	}
	limiter.WriteProblem(w, d)
	return errHandled
}
