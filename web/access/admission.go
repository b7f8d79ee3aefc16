package access

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/limiter/httplimit"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/endpoint"
)

// unknownTokens bounds the lookups of one address that find no session. The tokens that this node
// knows are exempt, so that the users of an address do not suffer from a neighbor that tries tokens.
var unknownTokens = limiter.Limit{Name: "unknown-tokens", Max: 300, Window: time.Minute}

// Admit finds the session of a request and counts the request. The session is that of the ticket,
// which it does not use up, or without a ticket that of the cookie or bearer token. Session returns
// it for the returned request. If there are too many requests, Admit answers this one and returns
// endpoint.ErrAnswered.
//
// The order matters. A refusal that this node remembers comes first and costs Redis nothing. A
// request without a valid session counts against its address.
func (c *Control) Admit(w http.ResponseWriter, r *http.Request, ticket string) (*http.Request, error) {
	tokens := c.tokens(r, ticket)
	if err := c.refuseFromMemory(w, r, tokens); err != nil {
		return r, err
	}
	found := c.lookUp(r, ticket)
	c.learn(r, tokens, found)
	r = withCaller(r, found)
	return r, c.limit(w, r)
}

// tokens returns the well-formed tokens of a request. The others cost Redis nothing.
func (c *Control) tokens(r *http.Request, ticket string) []string {
	tokens := []string{ticket}
	if ticket == "" {
		tokens = c.Cookie().Tokens(r)
	}
	return slices.DeleteFunc(tokens, func(t string) bool { return !session.ValidToken(t) })
}

// lookUp loads the session of a request, and extends it if an extension is due.
func (c *Control) lookUp(r *http.Request, ticket string) caller {
	var found caller
	if ticket != "" {
		found.session, found.err = c.cfg.Sessions.PeekTicket(r.Context(), ticket)
	} else {
		found.session, found.err = c.Cookie().Find(r, c.cfg.Sessions)
	}
	return found
}

// refuseFromMemory answers a request that is over a limit as this node remembers it, and returns
// endpoint.ErrAnswered. It asks neither sessions nor Redis. If it knows a token of the request, the
// limits are those of the token's user; else the one of unknown tokens.
func (c *Control) refuseFromMemory(w http.ResponseWriter, r *http.Request, tokens []string) error {
	address := c.Address(r)
	if len(tokens) == 0 || httplimit.Contains(c.cfg.RateExempt, address) {
		return nil
	}
	if p, ok := c.known.first(tokens); ok {
		if d, refused := c.cfg.Limiter.Remembered(p.subject(address), 1, tiersOf(p.grants)...); refused {
			httplimit.WriteProblem(w, d)
			return endpoint.ErrAnswered
		}
		return nil
	}
	if d, refused := c.failed.Remembered(httplimit.AddressSubject(address), int64(len(tokens)), unknownTokens); refused {
		c.warnings.refusedUnknown(address)
		httplimit.WriteProblem(w, d)
		return endpoint.ErrAnswered
	}
	return nil
}

// learn remembers the token that opened a session, and counts tokens that opened none against the
// address.
func (c *Control) learn(r *http.Request, tokens []string, found caller) {
	switch {
	case len(tokens) == 0 || errors.Is(found.err, session.ErrUnavailable):
	case found.err == nil:
		i := max(0, slices.IndexFunc(tokens, func(t string) bool { return session.ID(t) == found.session.ID })) // a ticket is the only one
		c.Remember(tokens[i], found.session)
	default:
		c.known.forget(tokens)
		if address := c.Address(r); !httplimit.Contains(c.cfg.RateExempt, address) {
			// An error means an invalid limit, which this one is not.
			_, _ = c.failed.Allow(r.Context(), httplimit.AddressSubject(address), int64(len(tokens)), unknownTokens)
		}
	}
}

// Remember makes a token or ticket known to this node as one of a session.
func (c *Control) Remember(token string, s session.Session) {
	c.known.remember(token, c.payerOf(s))
}
