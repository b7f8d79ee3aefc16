package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// overlap is how long a new connect waits for the end of the last connection, which the network
// may deliver later.
const overlap = 500 * time.Millisecond

// A run is one client that plays one scenario.
type run struct {
	id, protocol, token string
	scenario            *Scenario
	script              []Connection
	began               time.Time
	ctx                 context.Context
	cancel              context.CancelFunc

	mu       sync.Mutex // guards what follows, and the attempts
	attempts []*attempt
	tickets  int
	faults   []string
}

// An attempt is one connect of the client.
type attempt struct {
	number   int // from 1
	script   Connection
	auth     string // "token" or "ticket"
	ticket   string // not yet used
	protocol string
	at       time.Time
	ended    chan struct{} // closed with the end
	played   chan struct{} // closed when no more steps are done; nil if none was begun
	endedAt  time.Time
	provoked time.Time // before this the client had no reason to end the connection; zero if the script ended it
	end      string
	code     int // of the client's close frame
	open     bool
	idle     bool // all steps are done and the connection is open
	messages []message
}

// A message is one of the client.
type message struct {
	at   time.Time
	text []byte
}

// fault records a fault of the client.
func (r *run) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// scaled returns a time of the scenario in real time.
func (r *run) scaled(ms float64) time.Duration {
	return time.Duration(ms * r.scenario.Scale * float64(time.Millisecond))
}

// begin records a new attempt. It returns nil if the script has no more connections.
func (r *run) begin(auth string) *attempt {
	r.mu.Lock()
	a := &attempt{number: len(r.attempts) + 1, auth: auth, at: time.Now(), ended: make(chan struct{})}
	before := append([]*attempt(nil), r.attempts...)
	r.attempts = append(r.attempts, a)
	r.mu.Unlock()
	for _, b := range before {
		select {
		case <-b.ended:
		case <-time.After(overlap):
			r.fault("connect %d began while connect %d was not over", a.number, b.number)
		}
	}
	if a.number > len(r.script) {
		r.fault("connect %d is one more than scripted", a.number)
		r.finish(a, "refused: not scripted")
		return nil
	}
	a.script = r.script[a.number-1]
	return a
}

// finish records the end of an attempt, once.
func (r *run) finish(a *attempt, end string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-a.ended:
	default:
		a.endedAt, a.end = time.Now(), end
		close(a.ended)
	}
}

// bearer reports whether a request has the token of the run.
func (r *run) bearer(req *http.Request) bool {
	return req.Header.Get("Authorization") == "Bearer "+r.token
}

// ticket answers a request for a ticket.
func (s *Server) ticket(w http.ResponseWriter, req *http.Request) {
	s.withRun(w, req, func(r *run) {
		if !r.bearer(req) {
			r.fault("a ticket was asked for without the token")
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		r.mu.Lock()
		r.tickets++
		r.mu.Unlock()
		a := r.begin("ticket")
		if a == nil {
			http.Error(w, "not scripted", http.StatusServiceUnavailable)
			return
		}
		if refusal := a.refusal(); refusal != nil && refusal.At != "upgrade" {
			r.refuse(w, a, refusal)
			return
		}
		r.mu.Lock()
		a.ticket = rand.Text()
		r.mu.Unlock()
		answer(w, http.StatusCreated, map[string]any{"ticket": a.ticket, "expires_in": 30})
	})
}

// refusal returns the step that refuses the connect, if there is one.
func (a *attempt) refusal() *Step {
	if len(a.script.Steps) > 0 && a.script.Steps[0].Refuse != 0 {
		return &a.script.Steps[0]
	}
	return nil
}

// refuse answers a connect with a status.
func (r *run) refuse(w http.ResponseWriter, a *attempt, step *Step) {
	for name, value := range step.Headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	r.finish(a, fmt.Sprintf("refused: %d", step.Refuse))
	w.WriteHeader(step.Refuse)
	_, _ = fmt.Fprintf(w, `{"type":"about:blank","title":%q,"status":%d}`, http.StatusText(step.Refuse), step.Refuse) // the client has gone
}

// upgrade finds or begins the attempt of a WebSocket, and plays its steps.
func (s *Server) upgrade(w http.ResponseWriter, req *http.Request) {
	s.withRun(w, req, func(r *run) {
		var a *attempt
		if ticket := req.URL.Query().Get("ticket"); ticket != "" {
			if a = r.redeem(ticket); a == nil {
				r.fault("a ticket was unknown or used before")
				http.Error(w, "bad ticket", http.StatusUnauthorized)
				return
			}
		} else if a = r.begin("token"); a == nil {
			http.Error(w, "not scripted", http.StatusServiceUnavailable)
			return
		} else if !r.bearer(req) {
			r.fault("connect %d has neither the token nor a ticket", a.number)
		}
		if refusal := a.refusal(); refusal != nil {
			r.refuse(w, a, refusal)
			return
		}
		if !strings.EqualFold(req.Header.Get("Upgrade"), "websocket") {
			r.fault("connect %d asks for no WebSocket", a.number)
			r.finish(a, "no WebSocket")
			http.Error(w, "no WebSocket", http.StatusUpgradeRequired)
			return
		}
		r.play(w, req, a)
	})
}

// redeem returns the attempt that got a ticket, once.
func (r *run) redeem(ticket string) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.attempts {
		if a.ticket == ticket {
			a.ticket = ""
			return a
		}
	}
	return nil
}

// await waits until all attempts are over and their steps are done, and returns a fault for each that
// is not. The end of a connection may be noticed before the last step has been recorded as done.
func (r *run) await(limit time.Duration) (faults []string) {
	deadline := time.After(limit)
	r.mu.Lock()
	attempts := append([]*attempt(nil), r.attempts...)
	r.mu.Unlock()
	for _, a := range attempts {
		r.mu.Lock()
		unused, played := a.ticket != "", a.played
		r.mu.Unlock()
		if unused {
			r.finish(a, "closed before the upgrade")
		}
		for _, over := range []<-chan struct{}{a.ended, played} {
			if over == nil {
				continue
			}
			select {
			case <-over:
				continue
			default:
			}
			select {
			case <-over:
			case <-deadline:
				return []string{fmt.Sprintf("the client did not end connect %d within %v after its close", a.number, limit)}
			}
		}
	}
	return nil
}
