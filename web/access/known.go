package access

import (
	"crypto/sha256"
	"net/netip"
	"sync"

	"github.com/fxcast/fxcast/limiter/httplimit"
	"github.com/fxcast/fxcast/session"
)

// maxKnownTokens bounds the tokens that a node knows, at about 130 bytes each.
const maxKnownTokens = 50_000

// knownTokens remembers the tokens and tickets that opened a session on this node, with the payer of
// their requests. So a request can be refused without a lookup of the session. A token leaves when it
// opens no session any more, and some token leaves when there are too many: it is then looked up like
// a new one. It is safe for concurrent use.
type knownTokens struct {
	mu sync.Mutex // guards by
	by map[[sha256.Size]byte]payer
}

// A payer is the user whose limits a request counts against, or "" for the client's address.
type payer struct {
	user   string
	grants *session.Grants // shared by all sessions of the role
}

func (c *Control) payerOf(s session.Session) payer {
	p := payer{grants: c.Grants(s)}
	if s.Role != GuestRole {
		p.user = s.UserID
	}
	return p
}

func (p payer) subject(address netip.Addr) string {
	if p.user == "" {
		return httplimit.AddressSubject(address)
	}
	return "user:" + p.user
}

// first returns the payer of the first token that is known.
func (k *knownTokens) first(tokens []string) (p payer, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range tokens {
		if p, ok = k.by[sha256.Sum256([]byte(t))]; ok {
			return p, true
		}
	}
	return payer{}, false
}

func (k *knownTokens) remember(token string, p payer) {
	key := sha256.Sum256([]byte(token))
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.by[key]; !ok {
		for other := range k.by {
			if len(k.by) < maxKnownTokens {
				break
			}
			delete(k.by, other)
		}
	}
	k.by[key] = p
}

func (k *knownTokens) forget(tokens []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range tokens {
		delete(k.by, sha256.Sum256([]byte(t)))
	}
}
