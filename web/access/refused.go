package access

import (
	"crypto/sha256"
	"net/http"
	"sync"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/limiter/httplimit"
	"github.com/fxcast/fxcast/web/endpoint"
)

// maxRefusedTokens bounds the tokens whose last request was refused.
const maxRefusedTokens = 10_000

// refusedTokens remembers by whose windows the last request with a token was refused. While that
// refusal holds, further requests with the token are refused without a lookup of the session, so
// that they cost Redis nothing. It is safe for concurrent use.
type refusedTokens struct {
	mu sync.Mutex // guards by
	by map[[sha256.Size]byte]charged
}

// charged is the subject and the tiers of a request.
type charged struct {
	subject string
	tiers   []limiter.Limit
}

func (t *refusedTokens) find(token string) (charged, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.by[sha256.Sum256([]byte(token))]
	return c, ok
}

func (t *refusedTokens) remember(token string, c charged) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.by {
		if len(t.by) < maxRefusedTokens {
			break
		}
		delete(t.by, other)
	}
	t.by[sha256.Sum256([]byte(token))] = c
}

func (t *refusedTokens) forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.by, sha256.Sum256([]byte(token)))
}

// stillRefused answers a request whose token was refused before and is still over its limit, as this
// node remembers it, and returns endpoint.ErrAnswered. It asks neither sessions nor Redis.
func (c *Control) stillRefused(w http.ResponseWriter, r *http.Request) error {
	token, _ := c.Cookie().Token(r)
	if token == "" || httplimit.Contains(c.cfg.RateExempt, c.Address(r)) {
		return nil
	}
	was, ok := c.refused.find(token)
	if !ok {
		return nil
	}
	d, refused := c.cfg.Limiter.Remembered(was.subject, 1, was.tiers...)
	if !refused {
		c.refused.forget(token)
		return nil
	}
	httplimit.WriteProblem(w, d)
	return endpoint.ErrAnswered
}
