package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/clients/conformance"
	"github.com/fxcast/fxcast/protocol"
)

// TestConformance plays all scenarios in JSON and in binary.
func TestConformance(t *testing.T) {
	server := conformance.StartTest(t)
	scenarios, err := conformance.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		for _, name := range []string{protocol.Name, protocol.NameBinary} {
			t.Run(s.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				for try := 1; ; try++ {
					faults, late := (&runner{server: server, seen: make(chan struct{}, 1)}).play(t, s.Name, name)
					if len(faults) == 0 {
						return
					}
					report := t.Logf
					if try == conformance.Tries || !late { // a busy machine makes any client late
						report = t.Fatalf
					}
					report("try %d: %s", try, strings.Join(faults, "\n"))
				}
			})
		}
	}
}

// A runner plays one scenario.
type runner struct {
	server  string
	run     conformance.Task
	fx      *client.Client
	subs    map[string]*client.Subscription
	candles map[string]*client.CandleSubscription
	readers sync.WaitGroup

	mu      sync.Mutex
	reports []map[string]any
	seen    chan struct{}
	waited  int // reports that earlier waits have passed
}

func (r *runner) play(t *testing.T, scenario, protocol string) (faults []string, late bool) {
	var err error
	if r.run, err = conformance.Begin(r.server, scenario, protocol); err != nil {
		t.Fatal(err)
	}
	o := client.Options{
		URL:     r.run.URL,
		OnState: func(s client.State) { r.report(map[string]any{"report": "state", "state": string(s)}) },
		OnStatus: func(s client.Status) {
			r.report(map[string]any{"report": "status", "symbol": s.Symbol, "status": s.Status})
		},
		OnDay: func(d client.Day) {
			var close any
			if d.Day.PreviousClose != "" {
				close = d.Day.PreviousClose
			}
			r.report(map[string]any{"report": "day", "symbol": d.Symbol, "since": d.Day.Since, "open": d.Day.Open, "high": d.Day.High, "low": d.Day.Low, "previous_close": close})
		},
		OnError: r.failed,
	}
	if r.run.Auth == "ticket" {
		o.Ticket = r.ticket
	} else {
		o.Token = r.run.Token
	}
	ctx, cancel := context.WithCancel(t.Context())
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		r.fx, _ = client.Dial(ctx, client.WithScale(o, r.run.Scale)) // its error was reported
	}()
	r.subs, r.candles = map[string]*client.Subscription{}, map[string]*client.CandleSubscription{}
	var failure error
	for i, step := range r.run.Client {
		if failure = r.do(step, dialed, cancel); failure != nil {
			failure = fmt.Errorf("step %d of the client: %w", i+1, failure)
			break
		}
	}
	cancel()
	<-dialed
	if r.fx != nil {
		r.fx.Close()
	}
	r.readers.Wait()
	var verdict struct {
		Faults []string
		Late   bool
		Seen   json.RawMessage
	}
	if err := r.post("/runs/"+r.run.ID+"/verdict", map[string]any{"reports": r.reports}, &verdict); err != nil {
		t.Fatal(err)
	}
	faults = verdict.Faults
	if failure != nil {
		faults = append(faults, failure.Error())
	}
	if len(faults) > 0 {
		faults = append(faults, fmt.Sprintf("seen: %.3000s", verdict.Seen))
	}
	return faults, verdict.Late
}

// do does one step.
func (r *runner) do(s conformance.ClientStep, dialed <-chan struct{}, cancel func()) (err error) {
	pause := func(ms float64) { time.Sleep(time.Duration(ms * r.run.Scale * float64(time.Millisecond))) }
	switch s.Do {
	case "wait":
		return r.wait(s.For)
	case "subscribe":
		<-dialed
		mode := client.MaxRate(s.MaxRate)
		if s.Mode == "all" {
			mode = client.All
		}
		if s.Day {
			mode = mode.WithDay()
		}
		if r.subs[s.Name], err = r.fx.Subscribe(s.Symbols, mode); err == nil {
			r.read(s.Name, r.subs[s.Name])
		}
	case "candles":
		<-dialed
		sub, err := r.fx.Candles(s.Symbols, s.Interval)
		if err != nil {
			return err
		}
		r.candles[s.Name] = sub
		r.readers.Go(func() { r.readCandles(sub) })
	case "unsubscribe":
		if sub := r.candles[s.Name]; sub != nil {
			sub.Close()
		} else {
			r.subs[s.Name].Close()
		}
	case "churn":
		<-dialed
		for range s.Times {
			sub, err := r.fx.Subscribe(s.Symbols, client.Latest)
			if err != nil {
				return err
			}
			sub.Close()
		}
	case "pause":
		pause(s.MS)
	case "close":
		cancel()
		<-dialed
		if r.fx != nil {
			r.fx.Close()
		}
	}
	return err
}

// read reports what a subscription receives.
func (r *runner) read(name string, sub *client.Subscription) {
	r.readers.Go(func() {
		for q, err := range sub.Quotes(context.Background()) {
			switch {
			case err == nil:
				r.report(map[string]any{"report": "quote", "subscription": name, "symbol": q.Symbol, "bid": q.Bid, "ask": q.Ask, "seq": q.Seq, "epoch": q.Epoch, "skipped": q.Skipped})
			default:
				r.failed(err)
			}
		}
	})
}

// readCandles reports what a subscription of candles receives.
func (r *runner) readCandles(sub *client.CandleSubscription) {
	for c, err := range sub.All(context.Background()) {
		if err != nil {
			r.failed(err)
			continue
		}
		r.report(map[string]any{"report": "candle", "symbol": c.Symbol, "interval": c.Interval, "t": c.Data.Start, "bid": c.Data.Bid, "ask": c.Data.Ask,
			"ticks": c.Data.Ticks, "complete": c.Data.Complete, "open": c.Data.Open})
	}
}

// failed reports an error. The last one of an iterator was reported before.
func (r *runner) failed(err error) {
	switch e := err.(type) {
	case *client.GapError:
		r.report(map[string]any{"report": "gap", "symbol": e.Symbol, "reason": e.Reason, "missing": e.Missing})
	case *client.RefusedError:
		r.report(map[string]any{"report": "error", "kind": "refused", "code": e.Code})
	case *client.ProtocolError:
		r.report(map[string]any{"report": "error", "kind": "protocol", "message": e.Error()})
	case *client.CommandError:
		r.report(map[string]any{"report": "error", "kind": "command", "code": e.Code, "symbol": e.Symbol})
	default:
		if !errors.Is(err, client.ErrClosed) {
			r.report(map[string]any{"report": "error", "kind": "connection", "message": e.Error()})
		}
	}
}

func (r *runner) report(report map[string]any) {
	text, err := json.Marshal(report)
	if err != nil {
		panic(err)
	}
	var decoded map[string]any // as the steps are
	if err := json.Unmarshal(text, &decoded); err != nil {
		panic(err)
	}
	r.mu.Lock()
	r.reports = append(r.reports, decoded)
	r.mu.Unlock()
	select {
	case r.seen <- struct{}{}:
	default:
	}
}

// wait waits for a report with these fields, after that of the last wait.
func (r *runner) wait(fields map[string]any) error {
	limit := time.After(time.Minute)
	for {
		r.mu.Lock()
		for r.waited < len(r.reports) {
			report, same := r.reports[r.waited], true
			r.waited++
			for name, want := range fields {
				same = same && reflect.DeepEqual(report[name], want)
			}
			if same {
				r.mu.Unlock()
				return nil
			}
		}
		r.mu.Unlock()
		select {
		case <-r.seen:
		case <-limit:
			return fmt.Errorf("no report %v", fields)
		}
	}
}

func (r *runner) ticket(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.run.TicketURL, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+r.run.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return "", client.NewStatusError(resp)
	}
	var answer struct{ Ticket string }
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.Ticket, err
}

func (r *runner) post(path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := http.Post(r.server+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
