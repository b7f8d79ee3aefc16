package access

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fxcast/fxcast/limiter/httplimit"
)

// A Door is what a token opens.
type Door string

// The doors. Their names are metric labels.
const (
	AdminDoor   Door = "admin"
	PublishDoor Door = "publish"
)

// warnings counts what an operator should know of requests, and logs each kind once a minute at most,
// since anyone can cause it.
type warnings struct {
	log       *slog.Logger
	forwarded prometheus.Counter
	failed    map[Door]prometheus.Counter
	unknown   prometheus.Counter

	proxy   Warning
	lookups Warning
	tokens  map[Door]*Warning // static after construction
}

func newWarnings(reg prometheus.Registerer, log *slog.Logger) *warnings {
	f := promauto.With(reg)
	failed := f.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_web_failed_tokens_total",
		Help: "Requests with a bearer token that is none of ADMIN_TOKEN or PUBLISH_TOKEN, by what they asked for. Growing: a program has an old token, or somebody tries tokens.",
	}, []string{"door"})
	w := &warnings{log: log, failed: map[Door]prometheus.Counter{}, tokens: map[Door]*Warning{}, forwarded: f.NewCounter(prometheus.CounterOpts{
		Name: "fx_web_untrusted_forwarded_total",
		Help: "Requests with X-Forwarded-For from a peer that is not in TRUSTED_PROXIES. Near fx_web_requests_total: a proxy is not listed, and all its clients share one limit.",
	})}
	w.unknown = f.NewCounter(prometheus.CounterOpts{
		Name: "fx_web_unknown_tokens_refused_total",
		Help: "Requests refused because their address had sent too many tokens and tickets that open no session. Growing: somebody tries tokens, or a program retries with an old one.",
	})
	for _, door := range []Door{AdminDoor, PublishDoor} {
		w.failed[door], w.tokens[door] = failed.WithLabelValues(string(door)), &Warning{}
	}
	return w
}

// NoteForwarded returns next with a look at each request: X-Forwarded-For from a peer that is not a
// trusted proxy is not believed, and is reported.
func (c *Control) NoteForwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["X-Forwarded-For"]) > 0 && !httplimit.FromTrustedProxy(r, c.cfg.TrustedProxies) {
			c.warnings.forwarded.Inc()
			if n, due := c.warnings.proxy.Due(time.Now()); due {
				c.warnings.log.Warn("X-Forwarded-For of a peer that is not in TRUSTED_PROXIES is not believed: if the peer is your proxy, all its clients share one limit",
					"peer", r.RemoteAddr, "requests", n)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refusedUnknown counts and reports a request of an address that has sent too many unknown tokens.
func (w *warnings) refusedUnknown(from netip.Addr) {
	w.unknown.Inc()
	if n, due := w.lookups.Due(time.Now()); due {
		w.log.Warn("too many tokens that open no session", "from", from.String(), "requests", n)
	}
}

// FindToken returns the place of the request's bearer token among the tokens of a door, or -1 if it is
// none of them. A wrong token is counted, and reported without itself.
func (c *Control) FindToken(r *http.Request, door Door, tokens []string) int {
	i := findToken(r, tokens)
	if i >= 0 || bearer(r) == "" {
		return i
	}
	c.warnings.failed[door].Inc()
	if n, due := c.warnings.tokens[door].Due(time.Now()); due {
		c.warnings.log.Warn("wrong token", "door", door, "from", c.Address(r).String(), "requests", n)
	}
	return i
}

// warnEvery is the shortest time between two lines of a Warning.
const warnEvery = time.Minute

// A Warning is something that may happen often and is logged once a minute at most. It is safe for
// concurrent use.
type Warning struct {
	mu   sync.Mutex // guards the fields below
	last time.Time
	n    uint64
}

// Due notes that it happened. due reports whether to log it now, and n how often it happened since it
// was logged before.
func (w *Warning) Due(now time.Time) (n uint64, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	if !w.last.IsZero() && now.Sub(w.last) < warnEvery {
		return 0, false
	}
	n, w.n, w.last = w.n, 0, now
	return n, true
}
