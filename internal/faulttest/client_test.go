package faulttest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/protocol"
)

const ack = `{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"]}`

// A script is what a server says on one connection, and how it ends it.
type script struct {
	say   []string
	close int // 0 = stay open
}

// serve plays one script after the other to whoever connects, and keeps what
// it is sent.
func serve(t *testing.T, scripts ...script) (address func() string, said func() []string) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	next := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		i := next
		next++
		mu.Unlock()
		if i >= len(scripts) {
			http.Error(w, "no more", http.StatusServiceUnavailable)
			return
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol.Name}})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.Write(r.Context(), websocket.MessageText, []byte(`{"type":"welcome"}`))
		_, text, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		mu.Lock()
		got = append(got, string(text))
		mu.Unlock()
		for _, m := range scripts[i].say {
			ws.Write(r.Context(), websocket.MessageText, []byte(m))
		}
		if scripts[i].close > 0 {
			ws.Close(websocket.StatusCode(scripts[i].close), "")
			return
		}
		ws.CloseRead(r.Context())
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return func() string { return s.URL }, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

// listen runs a client until its record holds n events and deliveries, and returns it.
func listen(t *testing.T, cfg faulttest.ClientConfig, n int) faulttest.Record {
	t.Helper()
	c := faulttest.NewClient(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	for deadline := time.Now().Add(time.Minute); len(c.Record().Events)+len(c.Record().Deliveries) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %d events and deliveries: %+v", n, c.Record())
		}
	}
	return c.Record()
}

func quote(kind string, seq int, more string) string {
	return fmt.Sprintf(`{"type":%q%s,"data":[{"symbol":"EUR/USD","bid":%q,"ask":"9","ts":"2026-01-05T12:00:00Z","seq":%d,"epoch":"a"}]}`, kind, more, bid(uint64(seq)), seq)
}

func TestClientResumes(t *testing.T) {
	address, said := serve(t,
		script{[]string{ack, quote("snapshot", 3, ""), quote("update", 4, ""),
			`{"type":"status","status":"degraded"}`, `{"type":"status","status":"ok"}`, `{"type":"status","symbol":"EUR/USD","status":"stale"}`,
			`{"type":"closing","code":1012,"reconnect_after_ms":300}`}, 1012},
		script{[]string{ack, `{"type":"resumed","symbol":"EUR/USD"}`, quote("update", 5, "")}, 4008},
		script{[]string{ack, quote("snapshot", 9, `,"reset":true`)}, 4001},
		script{})
	r := listen(t, faulttest.ClientConfig{Name: "c", Address: address, Symbols: []string{symbol}, Mode: faulttest.All}, 15+4)
	var got []string
	for _, e := range r.Events {
		text := e.Kind.String()
		switch e.Kind {
		case faulttest.Closed:
			text += fmt.Sprint(" ", e.Code)
		case faulttest.Snapshot, faulttest.Update, faulttest.Reset:
			text += fmt.Sprint(" ", e.Symbol, " ", e.Bid, " ", e.Epoch, e.Seq)
		}
		got = append(got, text)
	}
	want := []string{"connected", "snapshot EUR/USD 1.001000000003 a3", "update EUR/USD 1.001000000004 a4", "degraded", "ok", "stale", "closing", "closed 1012",
		"connected", "resumed", "update EUR/USD 1.001000000005 a5", "closed 4008",
		"connected", "reset EUR/USD 1.001000000009 a9", "closed 4001"}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%q, want\n%q", got, want)
	}
	if wait := r.Events[8].At.Sub(r.Events[7].At); wait < 290*time.Millisecond {
		t.Errorf("connected again after %v, told 300 ms", wait)
	}
	delivered := func(seq uint64, gap bool) faulttest.Delivery {
		return faulttest.Delivery{Symbol: symbol, Epoch: "a", Seq: seq, Gap: gap}
	}
	if want := []faulttest.Delivery{delivered(3, false), delivered(4, false), delivered(5, false), delivered(9, true)}; !slices.Equal(r.Deliveries, want) {
		t.Errorf("delivered %v, want %v", r.Deliveries, want)
	}
	commands := said()
	if strings.Contains(commands[0], `"EUR/USD":{`) || !strings.Contains(commands[0], `"mode":"all"`) {
		t.Errorf("the first subscribe is %s", commands[0])
	}
	for i, seq := range map[int]string{1: `"since":{"EUR/USD":{"epoch":"a","seq":4}}`, 2: `"since":{"EUR/USD":{"epoch":"a","seq":5}}`} {
		if !strings.Contains(commands[i], seq) {
			t.Errorf("subscribe %d is %s, want %s", i, commands[i], seq)
		}
	}
}

// A stream goes on where its last whole event says, and ends with what was told.
func TestStreamResumes(t *testing.T) {
	var mu sync.Mutex
	var ids []string
	const welcome = "data: {\"type\":\"welcome\"}\n\n"
	answers := []string{
		welcome + ": hello\n\nid: EUR/USD:a:3\ndata: " + quote("snapshot", 3, "") + "\n\nid: EUR/USD:a:4\ndata: " + quote("update", 4, "") + "\n\nid: EUR/USD:a:5\ndata: " + quote("update", 5, ""),
		welcome + "data: {\"type\":\"resumed\",\"symbol\":\"EUR/USD\"}\n\nid: EUR/USD:a:5\ndata: " + quote("update", 5, "") + "\n\nevent: closing\ndata: {\"type\":\"closing\",\"code\":1012,\"reconnect_after_ms\":300}\n\n",
		welcome + "event: closing\ndata: {\"type\":\"closing\",\"code\":4001}\n\n",
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprint(w, answers[len(ids)])
		ids = append(ids, r.Header.Get("Last-Event-ID"))
	}))
	defer s.Close()
	r := listen(t, faulttest.ClientConfig{Name: "c", Address: func() string { return s.URL }, Symbols: []string{symbol}, Mode: faulttest.All, Stream: true}, 12)
	var got []string
	for _, e := range r.Events {
		got = append(got, fmt.Sprint(e.Kind, " ", e.Seq, " ", e.Code))
	}
	want := []string{"connected 0 0", "snapshot 3 0", "update 4 0", "closed 0 0", "connected 0 0", "resumed 0 0", "update 5 0", "closing 0 0", "closed 0 1012", "connected 0 0", "closing 0 0", "closed 0 4001"}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%q, want\n%q", got, want)
	}
	if wait := r.Events[9].At.Sub(r.Events[8].At); wait < 290*time.Millisecond {
		t.Errorf("connected again after %v, told 300 ms", wait)
	}
	if want := []string{"", "EUR/USD:a:4", "EUR/USD:a:5"}; !slices.Equal(ids, want) {
		t.Errorf("ids %q, want %q", ids, want)
	}
}

// One that cannot be understood is a violation.
func TestClientKeepsNonsense(t *testing.T) {
	address, _ := serve(t, script{say: []string{`{"type":"update","data":{}}`, `{`}})
	r := listen(t, faulttest.ClientConfig{Name: "c", Address: address, Symbols: []string{symbol}, Mode: faulttest.Latest}, 3)
	if got := kinds(faulttest.Verify(nil, nil, []faulttest.Record{r})); !slices.Equal(got, []string{"protocol"}) {
		t.Errorf("%v, want protocol", got)
	}
}

func TestPublisherOverHTTP(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	answers := []string{`{"accepted":1,"rejected":[{"index":1,"reason":"old"}]}`, ``, `{"accepted":1,"rejected":[],"unreplicated":[0]}`}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b := make([]byte, r.ContentLength)
		r.Body.Read(b)
		bodies = append(bodies, string(b)+r.Header.Get("Authorization"))
		answer := answers[len(bodies)-1]
		if answer == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, answer)
	}))
	defer s.Close()
	p := faulttest.NewPublisher(2, []string{"EUR/USD", "GBP/USD"}, faulttest.OverHTTP(s.Client(), func() string { return s.URL }, "secret"))
	if err := p.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	type sent struct {
		symbol, bid string
		state       faulttest.State
		alone       bool // unreplicated
	}
	var got []sent
	for _, tick := range p.Ticks() {
		got = append(got, sent{tick.Symbol, tick.Bid, tick.State, tick.Unreplicated})
	}
	want := []sent{
		{"EUR/USD", "1.002000000001", faulttest.Accepted, false}, {"GBP/USD", "1.002000000001", faulttest.Rejected, false},
		{"GBP/USD", "1.002000000002", faulttest.Unknown, false}, {"GBP/USD", "1.002000000003", faulttest.Accepted, true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !strings.Contains(bodies[0], `"bid":"1.002000000001","ask":"1.009000000001","ts":"`) || !strings.HasSuffix(bodies[0], "Bearer secret") {
		t.Errorf("sent %s", bodies[0])
	}
}
