package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/clients/conformance"
	"github.com/fxcast/fxcast/protocol"
)

// TestMain lets more scenarios run at once than there are processors, because they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set("16")
	}
	os.Exit(m.Run())
}

// exampleServer starts the scripted server with one scenario.
func exampleServer(scenario string) (url, token string, done func()) {
	address, stop, err := conformance.Start()
	if err != nil {
		panic(err)
	}
	task, err := conformance.Begin(address, scenario, protocol.Name)
	if err != nil {
		panic(err)
	}
	return task.URL, task.Token, func() {
		if err := stop(); err != nil {
			panic(err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	ticket := func(context.Context) (string, error) { return "", nil }
	for _, tc := range []struct {
		options client.Options
		want    string
	}{
		{client.Options{URL: "ws://127.0.0.1/ws", Token: "sesame\n"}, "character 7 of 7 is a space, a newline"},
		{client.Options{URL: "ws://127.0.0.1/ws", Token: "open sesame"}, "character 5 of 11"},
		{client.Options{URL: "ws://127.0.0.1/ws", Token: "sesame\r\nCookie: a=b"}, "character 7"},
		{client.Options{URL: "ws://127.0.0.1/ws", Token: "sésame"}, "character 2"},
		{client.Options{URL: "127.0.0.1:8080"}, "URL"},
		{client.Options{URL: "ftp://127.0.0.1"}, `got "ftp"`},
		{client.Options{URL: "ws://"}, "no host"},
		{client.Options{URL: "ws://127.0.0.1", Token: "a", Ticket: ticket}, "not both"},
	} {
		fx, err := client.Dial(t.Context(), tc.options)
		if err == nil {
			fx.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%+v: %v, want %q without the token", tc.options.URL, err, tc.want)
		}
	}
}

func TestBadSymbols(t *testing.T) {
	fx := dial(t, welcoming(t, func(ctx context.Context, ws *websocket.Conn) { _, _, _ = ws.Read(ctx) }))
	if _, err := fx.Subscribe([]string{"EUR/USD"}, client.All); err != nil {
		t.Fatal(err)
	}
	for _, symbols := range [][]string{nil, {""}, make([]string, 501), {"GBP/USD", "EUR/USD"}} {
		if _, err := fx.Subscribe(symbols, client.Latest); err == nil {
			t.Errorf("%.60q was subscribed, want an error", symbols)
		}
	}
	fx.Close()
	if _, err := fx.Subscribe([]string{"GBP/USD"}, client.Latest); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// TestDialEnds checks that Dial ends with its context, and reports why there is no connection.
func TestDialEnds(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer refusing.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := client.Options{URL: refusing.URL, Token: "sesame", OnState: func(s client.State) {
		if s == client.Waiting {
			cancel()
		}
	}}
	_, err := client.Dial(ctx, o)
	if status, ok := errors.AsType[*client.StatusError](err); !ok || status.Status != http.StatusServiceUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v, want the status 503 and the end of the context", err)
	}
}

// TestErrorsHaveNoTicket checks that a ticket gets into no log.
func TestErrorsHaveNoTicket(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := client.Dial(ctx, client.Options{URL: gone.URL, Ticket: func(context.Context) (string, error) { return "sesame", nil },
		OnError: func(err error) {
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("reported %v", err)
			}
			cancel()
		}})
	if !errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "sesame") {
		t.Errorf("Dial: %v, want a refused connection without the ticket", err)
	}
}

// TestManySymbols checks that a server which invents symbols does not fill the memory.
func TestManySymbols(t *testing.T) {
	broken := make(chan error, 1)
	server := welcoming(t, func(ctx context.Context, ws *websocket.Conn) {
		_, _, _ = ws.Read(ctx)
		_ = ws.Write(ctx, websocket.MessageText, []byte(`{"type":"ack","id":1,"op":"subscribe","ok":["*"],"failed":[]}`))
		for n := range 30_000 {
			if ws.Write(ctx, websocket.MessageText, []byte(strings.Replace(update(1, 1), "EUR", strconv.Itoa(n), 1))) != nil {
				return
			}
		}
	})
	fx, err := client.Dial(t.Context(), client.Options{URL: server.URL, OnError: func(err error) {
		select {
		case broken <- err:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer fx.Close()
	if _, err := fx.Subscribe([]string{"*"}, client.Latest); err != nil {
		t.Fatal(err)
	}
	if err := <-broken; !strings.Contains(err.Error(), "more than 20000 symbols") {
		t.Errorf("reported %v, want that there are too many symbols", err)
	}
}

const welcome = `{"type":"welcome","protocol":"fx.v1","conn_id":"c","server_time":"2026-11-22T10:15:00Z","session":{"id":"s","role":"user","expires_at":"2026-11-22T11:15:00Z"},"limits":{"max_symbols":200,"commands_per_second":1000},"heartbeat_ms":600000}`

// welcoming starts a server that welcomes each client and then calls f.
func welcoming(t *testing.T, f func(ctx context.Context, ws *websocket.Conn)) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		if ws.Write(r.Context(), websocket.MessageText, []byte(welcome)) == nil {
			f(r.Context(), ws)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func dial(t *testing.T, server *httptest.Server) *client.Client {
	t.Helper()
	fx, err := client.Dial(t.Context(), client.WithScale(client.Options{URL: server.URL}, 0.1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fx.Close)
	return fx
}

func update(from, to int) string {
	var b strings.Builder
	for seq := from; seq <= to; seq++ {
		fmt.Fprintf(&b, `,{"symbol":"EUR/USD","bid":"1.%05d","ask":"1.%05d","ts":"2026-11-22T10:15:00Z","seq":%d,"epoch":"e"}`, seq, seq, seq)
	}
	return `{"type":"update","data":[` + b.String()[1:] + `]}`
}

// TestOnMessage checks that OnMessage receives what no subscriber does: a snapshot that repeats the
// last quote, and heartbeats.
func TestOnMessage(t *testing.T) {
	server := welcoming(t, func(ctx context.Context, ws *websocket.Conn) {
		if _, _, err := ws.Read(ctx); err != nil {
			return
		}
		snapshot := strings.Replace(update(1, 1), "update", "snapshot", 1)
		for _, text := range []string{`{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"]}`, snapshot, snapshot, `{"type":"new"}`, `{"type":"heartbeat"}`, update(2, 2)} {
			if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
				return
			}
		}
		_, _, _ = ws.Read(ctx)
	})
	var got []client.Message
	fx, err := client.Dial(t.Context(), client.Options{URL: server.URL, OnMessage: func(m client.Message) { got = append(got, m) }})
	if err != nil {
		t.Fatal(err)
	}
	defer fx.Close()
	sub, err := fx.Subscribe([]string{"EUR/USD"}, client.All)
	if err != nil {
		t.Fatal(err)
	}
	for want := uint64(1); want <= 2; want++ {
		if q, err := sub.Next(t.Context()); err != nil || q.Seq != want {
			t.Fatalf("%+v, %v, want the quote %d", q, err, want)
		}
	}
	fx.Close()
	var types []string
	for _, m := range got {
		types = append(types, fmt.Sprintf("%T", m))
	}
	want := "protocol.Welcome protocol.Ack protocol.Snapshot protocol.Snapshot protocol.Heartbeat protocol.Update"
	if strings.Join(types, " ") != want {
		t.Errorf("received %v, want %s", types, want)
	}
}

// TestSlowSubscriber checks that a client with All stops reading while its subscriber does not read,
// and that the subscriber then receives every quote.
func TestSlowSubscriber(t *testing.T) {
	const batch, batches = 500, 200
	written := make(chan int, batches)
	fx := dial(t, welcoming(t, func(ctx context.Context, ws *websocket.Conn) {
		defer close(written)
		if _, _, err := ws.Read(ctx); err != nil {
			return
		}
		_ = ws.Write(ctx, websocket.MessageText, []byte(`{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[]}`))
		for n := range batches {
			if ws.Write(ctx, websocket.MessageText, []byte(update(n*batch+1, (n+1)*batch))) != nil {
				return
			}
			written <- n
		}
		_, _, _ = ws.Read(ctx)
	}))
	sub, err := fx.Subscribe([]string{"EUR/USD"}, client.All)
	if err != nil {
		t.Fatal(err)
	}
	for stuck := false; !stuck; { // until the server can write no more
		select {
		case n, ok := <-written:
			if !ok || n == batches-1 {
				t.Fatal("the client read all while its subscriber read nothing")
			}
		case <-time.After(time.Second):
			stuck = true
		}
	}
	seq := uint64(0)
	for q, err := range sub.Quotes(t.Context()) {
		if seq++; err != nil || q.Seq != seq {
			t.Fatalf("quote %d: %d, %v", seq, q.Seq, err)
		}
		if seq == batch*batches {
			break
		}
	}
}

// TestRefusedNames checks that refused names are errors of their iterator, which ends if no name is
// left, and that a later subscription with another form of a name takes it over.
func TestRefusedNames(t *testing.T) {
	acks := []string{
		`{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[{"symbol":"EUR/XXY","code":"unknown_symbol","message":"XXY"}]}`,
		`{"type":"ack","id":2,"op":"subscribe","ok":[],"failed":[{"symbol":"GBP/USD","code":"not_entitled","message":"no"}]}`,
		`{"type":"ack","id":3,"op":"subscribe","ok":["EUR/USD"],"failed":[]}`,
	}
	fx := dial(t, welcoming(t, func(ctx context.Context, ws *websocket.Conn) {
		for _, ack := range acks {
			if _, _, err := ws.Read(ctx); err != nil || ws.Write(ctx, websocket.MessageText, []byte(ack)) != nil {
				return
			}
		}
		_ = ws.Write(ctx, websocket.MessageText, []byte(update(1, 1)))
		_, _, _ = ws.Read(ctx)
	}))
	wantError := func(sub *client.Subscription, code, symbol string) {
		t.Helper()
		_, err := sub.Next(t.Context())
		if e, ok := errors.AsType[*client.CommandError](err); !ok || e.Code != code || e.Symbol != symbol {
			t.Errorf("%v, want the code %s of %s", err, code, symbol)
		}
	}
	subscribe := func(names ...string) *client.Subscription {
		t.Helper()
		sub, err := fx.Subscribe(names, client.All)
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	first := subscribe("EUR/USD", "EUR/XXY")
	wantError(first, "unknown_symbol", "EUR/XXY")
	second := subscribe("GBP/USD")
	wantError(second, "not_entitled", "GBP/USD")
	if _, err := second.Next(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("without a name: %v, want ErrClosed", err)
	}
	third := subscribe("eurusd")
	wantError(first, "replaced", "EUR/USD")
	if q, err := third.Next(t.Context()); err != nil || q.Seq != 1 {
		t.Errorf("%+v, %v, want the quote of the later subscription", q, err)
	}
}

// TestCloseWhileFull checks that Close ends a client whose subscriber does not read.
func TestCloseWhileFull(t *testing.T) {
	fx := dial(t, welcoming(t, func(ctx context.Context, ws *websocket.Conn) {
		if _, _, err := ws.Read(ctx); err != nil {
			return
		}
		_ = ws.Write(ctx, websocket.MessageText, []byte(`{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[]}`))
		ctx = ws.CloseRead(ctx)
		for n := 0; ws.Write(ctx, websocket.MessageText, []byte(update(n*500+1, (n+1)*500))) == nil; n++ {
		}
	}))
	sub, err := fx.Subscribe([]string{"EUR/USD"}, client.All)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	fx.Close()
	for _, err = range sub.Quotes(t.Context()) {
	}
	if !errors.Is(err, client.ErrClosed) {
		t.Errorf("the iterator ended with %v, want ErrClosed", err)
	}
}

// TestCloseAnytime is a property: whatever the server does, and whenever the client is closed, only
// allowed changes of state are reported, the last one is closed, and every call returns.
func TestCloseAnytime(t *testing.T) {
	allowed := map[client.State][]client.State{
		"":                {client.Connecting},
		client.Connecting: {client.Live, client.Waiting, client.Closed},
		client.Live:       {client.Degraded, client.Waiting, client.Closed},
		client.Degraded:   {client.Live, client.Waiting, client.Closed},
		client.Waiting:    {client.Connecting, client.Closed},
	}
	server := httptest.NewServer(http.HandlerFunc(erratic))
	defer server.Close()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var states []client.State
		o := client.WithScale(client.Options{URL: server.URL, OnState: func(s client.State) { states = append(states, s) }}, 0.01)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(30*time.Millisecond))))
		fx, err := client.Dial(ctx, o)
		cancel()
		if err == nil {
			var readers sync.WaitGroup
			for i := range random.IntN(4) {
				sub, err := fx.Subscribe([]string{fmt.Sprintf("A%d/USD", i), "EUR/USD"}[i/3:][:1], []client.Mode{client.All, client.Latest}[i%2])
				if err != nil {
					continue // refused meanwhile
				}
				readers.Go(func() {
					for range sub.Quotes(context.Background()) {
					}
				})
				if random.IntN(2) == 0 {
					sub.Close()
				}
			}
			time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond)))) // the moment is what is tested
			for range 1 + random.IntN(2) {
				readers.Go(fx.Close)
			}
			readers.Wait()
		}
		if fx != nil && fx.State() != client.Closed {
			t.Fatalf("seed %d: the state is %s after Close", seed, fx.State())
		}
		last := client.State("")
		for _, s := range states {
			ok := false
			for _, next := range allowed[last] {
				ok = ok || next == s
			}
			if !ok {
				t.Fatalf("seed %d: states %q", seed, states)
			}
			last = s
		}
		if last != client.Closed {
			t.Fatalf("seed %d: states %q do not end with closed", seed, states)
		}
	}
}

// erratic is a server that does anything.
func erratic(w http.ResponseWriter, r *http.Request) {
	switch rand.IntN(8) {
	case 0:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case 1:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case 2:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case 3:
		panic(http.ErrAbortHandler)
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	messages := []string{
		welcome, `{"type":"status","status":"degraded"}`, `{"type":"status","status":"ok"}`, `{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[]}`,
		update(1, 3), update(9, 9), `{"type":"closing","code":1012,"reason":"","reconnect_after_ms":20}`, `nonsense`, `{"type":"error","id":1,"code":"bad_field","message":"x"}`,
	}
	for n := 0; n < 1 || rand.IntN(12) > 0; n++ {
		message := messages[rand.IntN(len(messages))]
		if n == 0 && rand.IntN(8) > 0 {
			message = welcome
		}
		if ws.Write(r.Context(), websocket.MessageText, []byte(message)) != nil {
			return
		}
	}
	switch rand.IntN(3) {
	case 0:
		_ = ws.Close([]websocket.StatusCode{1000, 1011, 1012, 4001, 4008, 4009}[rand.IntN(6)], "")
	case 1:
		_, _, _ = ws.Read(r.Context())
	}
}
