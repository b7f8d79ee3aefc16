package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

const (
	runTime     = 3 * time.Minute  // after which a run is given up
	verdictTime = 10 * time.Second // for the client to end its connections
)

// A Server is the scripted server.
type Server struct {
	host string
	mux  http.ServeMux
	late *lateness

	mu   sync.Mutex
	runs map[string]*run
}

type lineKey struct{}

// Serve serves runners and clients until ctx ends.
func Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{host: l.Addr().String(), late: &lateness{begun: time.Now()}, runs: map[string]*run{}}
	var measuring sync.WaitGroup
	measuring.Go(func() { s.late.run(ctx) })
	defer measuring.Wait()
	defer cancel()
	s.mux.HandleFunc("GET /scenarios", s.list)
	s.mux.HandleFunc("POST /runs", s.begin)
	s.mux.HandleFunc("GET /runs/{id}", s.seen)
	s.mux.HandleFunc("POST /runs/{id}/verdict", s.verdict)
	s.mux.HandleFunc("POST /runs/{id}/api/v1/ws-ticket", s.ticket)
	s.mux.HandleFunc("GET /runs/{id}/ws", s.upgrade)
	server := &http.Server{
		Handler:           crossOrigin(&s.mux),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, lineKey{}, c) },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // Serve returns the error
	defer stop()
	if err := server.Serve(listener{l}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// crossOrigin lets pages of any origin use the server.
func crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		if r.Method == http.MethodOptions {
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	all, err := Scenarios()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	type entry struct {
		Name  string   `json:"name"`
		About string   `json:"about"`
		Needs []string `json:"needs"`
	}
	list := make([]entry, len(all))
	for i, sc := range all {
		list[i] = entry{sc.Name, sc.About, append([]string{}, sc.Needs...)}
	}
	answer(w, http.StatusOK, list)
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) {
	var want struct{ Scenario, Protocol string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&want); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if want.Protocol == "" {
		want.Protocol = protocol.Name
	}
	scenario, err := Lookup(want.Scenario)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), runTime)
	run := &run{
		scenario: scenario, script: scenario.connections(), protocol: want.Protocol, token: rand.Text(),
		began: time.Now(), ctx: ctx, cancel: cancel,
	}
	s.mu.Lock()
	run.id = strconv.Itoa(len(s.runs) + 1)
	s.runs[run.id] = run
	s.mu.Unlock()
	at := s.host + "/runs/" + run.id
	answer(w, http.StatusOK, Task{
		ID: run.id, URL: "ws://" + at + "/ws", Token: run.token, TicketURL: "http://" + at + "/api/v1/ws-ticket", Protocol: run.protocol,
		Scale: scenario.Scale, Auth: scenario.Auth, Needs: append([]string{}, scenario.Needs...), Client: append([]ClientStep{}, scenario.Client...),
	})
}

// withRun calls f with the run that a request names.
func (s *Server) withRun(w http.ResponseWriter, r *http.Request, f func(*run)) {
	s.mu.Lock()
	run := s.runs[r.PathValue("id")]
	s.mu.Unlock()
	if run == nil {
		http.Error(w, "no such run", http.StatusNotFound)
		return
	}
	f(run)
}

func (s *Server) seen(w http.ResponseWriter, r *http.Request) {
	s.withRun(w, r, func(run *run) { answer(w, http.StatusOK, run.seen()) })
}

func (s *Server) verdict(w http.ResponseWriter, r *http.Request) {
	s.withRun(w, r, func(run *run) {
		var body struct{ Reports []map[string]any }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<20)).Decode(&body); err != nil {
			http.Error(w, fmt.Sprintf("want {\"reports\":[…]}: %v", err), http.StatusBadRequest)
			return
		}
		open := run.await(verdictTime)
		run.cancel()
		faults := append(run.judge(body.Reports), open...)
		answer(w, http.StatusOK, map[string]any{"pass": len(faults) == 0, "faults": append([]string{}, faults...), "late": s.late.since(run.began), "seen": run.seen()})
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
