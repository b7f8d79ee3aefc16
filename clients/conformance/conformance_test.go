package conformance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

func TestScenarios(t *testing.T) {
	all, err := Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 40 {
		t.Errorf("%d scenarios", len(all))
	}
}

func TestBadScenarios(t *testing.T) {
	for _, text := range []string{
		`{"about":"x"}`,
		`{"about":"x","connections":[{"steps":[{"cut":true,"hang":true}]}]}`,
		`{"about":"x","connections":[{"steps":[{}]}]}`,
		`{"about":"x","connections":[{"steps":[]}],"client":[{"do":"dance"}]}`,
		`{"about":"x","connections":[{"steps":[]}],"clinet":[]}`,
		`{"about":"x","scale":-1,"connections":[{"steps":[]}]}`,
	} {
		if _, err := parseScenario("x", []byte(text)); err == nil {
			t.Errorf("%s is a scenario, want an error", text)
		}
	}
}

// bench is a scripted server and the calls of a runner.
type bench struct {
	*testing.T
	url string
}

func newBench(t *testing.T) bench { return bench{t, StartTest(t)} }

func (b bench) post(path string, body, answer any) {
	b.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.Post(b.url+path, "application/json", bytes.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		b.Fatalf("%s: %v", resp.Status, err)
	}
}

func (b bench) begin(scenario string) Task {
	b.Helper()
	task, err := Begin(b.url, scenario, protocol.Name)
	if err != nil {
		b.Fatal(err)
	}
	return task
}

func (b bench) faults(r Task, reports ...map[string]any) string {
	b.Helper()
	var verdict struct {
		Pass   bool
		Faults []string
	}
	b.post("/runs/"+r.ID+"/verdict", map[string]any{"reports": reports}, &verdict)
	if verdict.Pass != (len(verdict.Faults) == 0) {
		b.Errorf("pass %v with faults %q", verdict.Pass, verdict.Faults)
	}
	return strings.Join(verdict.Faults, "\n")
}

func (b bench) dial(r Task, token string) *websocket.Conn {
	b.Helper()
	ws, _, err := websocket.Dial(b.Context(), r.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func (b bench) write(ws *websocket.Conn, text string) {
	b.Helper()
	if err := ws.Write(b.Context(), websocket.MessageText, []byte(text)); err != nil {
		b.Fatal(err)
	}
}

// readTo reads messages up to the next one of a type.
func (b bench) readTo(ws *websocket.Conn, typ string) {
	b.Helper()
	for {
		_, text, err := ws.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if strings.HasPrefix(string(text), `{"type":"`+typ+`"`) {
			return
		}
	}
}

func states(names ...string) (reports []map[string]any) {
	for _, name := range names {
		reports = append(reports, map[string]any{"report": "state", "state": name})
	}
	return reports
}

func quote(seq uint64) map[string]any {
	return map[string]any{"report": "quote", "symbol": "EUR/USD", "bid": bidOf(seq), "ask": askOf(seq), "seq": seq, "epoch": "k3f9", "skipped": 0}
}

func TestVerdicts(t *testing.T) {
	b := newBench(t)
	rightStates := states("connecting", "live", "closed")
	rightReports := append(rightStates, quote(10), quote(11), quote(12), map[string]any{"report": "gap", "symbol": "EUR/USD", "reason": "reset", "missing": 0})
	const subscribe = `{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all"}`
	play := func(r Task, command string) *websocket.Conn {
		ws := b.dial(r, r.Token)
		b.readTo(ws, protocol.TypeWelcome)
		b.write(ws, command)
		b.readTo(ws, protocol.TypeUpdate)
		b.readTo(ws, protocol.TypeUpdate)
		return ws
	}
	for _, tc := range []struct {
		name string
		run  func(Task) (reports []map[string]any)
		want string // in the faults; "": none
	}{
		{"right", func(r Task) []map[string]any {
			_ = play(r, subscribe).Close(websocket.StatusNormalClosure, "")
			return rightReports
		}, ""},
		{"cut", func(r Task) []map[string]any {
			_ = play(r, subscribe).CloseNow()
			return rightReports
		}, "without the client's close frame"},
		{"left open", func(r Task) []map[string]any {
			play(r, subscribe)
			return rightReports
		}, "did not end connect 1"},
		{"quote missing", func(r Task) []map[string]any {
			_ = play(r, subscribe).Close(websocket.StatusNormalClosure, "")
			return append(rightStates, quote(10), quote(12), map[string]any{"report": "gap", "symbol": "EUR/USD", "reason": "reset", "missing": 0})
		}, "quote 2"},
		{"gap missing", func(r Task) []map[string]any {
			_ = play(r, subscribe).Close(websocket.StatusNormalClosure, "")
			return append(rightStates, quote(10), quote(11), quote(12))
		}, `0 reports of "gap", want 1`},
		{"wrong state", func(r Task) []map[string]any {
			_ = play(r, subscribe).Close(websocket.StatusNormalClosure, "")
			return append(states("connecting", "closed"), rightReports[3:]...)
		}, "state 2"},
		{"unexpected error", func(r Task) []map[string]any {
			_ = play(r, subscribe).Close(websocket.StatusNormalClosure, "")
			return append([]map[string]any{{"report": "error", "kind": "protocol", "message": "x"}, {"report": "error", "kind": "connection"}}, rightReports...)
		}, `1 reports of "error", want 0`},
		{"not connected", func(Task) []map[string]any { return rightReports }, "connected 0 times, want 1"},
		{"two connects", func(r Task) []map[string]any {
			ws := play(r, subscribe)
			if second, _, err := websocket.Dial(t.Context(), r.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + r.Token}}}); err == nil {
				_ = second.CloseNow()
			}
			_ = ws.Close(websocket.StatusNormalClosure, "")
			return rightReports
		}, "connect 2 began while connect 1 was not over"},
		{"no token", func(r Task) []map[string]any {
			ws := b.dial(r, "x")
			b.readTo(ws, protocol.TypeWelcome)
			_ = ws.Close(websocket.StatusNormalClosure, "")
			return rightReports
		}, "neither the token nor a ticket"},
		{"wrong command", func(r Task) []map[string]any {
			ws := b.dial(r, r.Token)
			b.readTo(ws, protocol.TypeWelcome)
			b.write(ws, `{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all","since":{}}`)
			if _, _, err := ws.Read(t.Context()); err == nil {
				t.Error("the wrong command was answered")
			}
			return rightReports
		}, `"since" differs`},
		{"binary", func(r Task) []map[string]any {
			ws := play(r, subscribe)
			if err := ws.Write(t.Context(), websocket.MessageBinary, []byte("x")); err != nil {
				t.Error(err)
			}
			_ = ws.Close(websocket.StatusNormalClosure, "")
			return rightReports
		}, "binary message"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := b.begin("first-reset")
			got := b.faults(r, tc.run(r)...)
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("faults:\n%s\nwant %q", got, tc.want)
			}
		})
	}
}

// TestVerdictWaitsForTheScript checks that a client is judged after its connection has ended and the
// server has recorded its last step, whichever comes first.
func TestVerdictWaitsForTheScript(t *testing.T) {
	s, err := Lookup("first-reset")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{scenario: s, script: s.connections()}
	a := r.begin("token")
	a.played = make(chan struct{})
	r.finish(a, "cut by the client")
	if faults := r.await(time.Millisecond); len(faults) != 1 {
		t.Errorf("faults %q before the last step is recorded, want 1", faults)
	}
	verdict := make(chan []string)
	go func() { verdict <- append(r.await(time.Minute), r.judge(nil)...) }()
	r.mu.Lock()
	a.idle = true
	r.mu.Unlock()
	close(a.played)
	if got := strings.Join(<-verdict, "\n"); !strings.Contains(got, "without the client's close frame") {
		t.Errorf("faults %q, want that the close frame is missing", got)
	}
}

func TestLateness(t *testing.T) {
	began := time.Now()
	l := &lateness{begun: began.Add(-time.Hour)}
	hour := int64(time.Hour)
	l.last.Store(hour)
	l.fired(hour + int64(beat+tooLate/2))
	if l.since(began) && !l.isLate(int64(time.Since(l.begun))) {
		t.Error("a timer that was hardly late counts")
	}
	l.fired(hour + int64(2*beat+2*tooLate))
	if !l.since(began) {
		t.Error("a timer that was late does not count")
	}
	if l.last.Store(int64(time.Since(l.begun)) + hour); l.since(began.Add(time.Minute)) {
		t.Error("it counts for a later run")
	}
	if l.last.Store(0); !l.since(began.Add(time.Minute)) {
		t.Error("a timer that has not fired for an hour is not late")
	}
}

// TestPaceIsJudged checks the bounds between connects.
func TestPaceIsJudged(t *testing.T) {
	b := newBench(t)
	r := b.begin("closing-then-cut")
	ws := b.dial(r, r.Token)
	b.readTo(ws, protocol.TypeClosing)
	for { // until the cut
		if _, _, err := ws.Read(t.Context()); err != nil {
			break
		}
	}
	ws = b.dial(r, r.Token)
	b.readTo(ws, protocol.TypeWelcome)
	_ = ws.Close(websocket.StatusNormalClosure, "")
	if got := b.faults(r, states("connecting", "live", "waiting", "connecting", "live", "closed")...); !strings.Contains(got, "connect 2 came") {
		t.Errorf("faults %q, want that connect 2 came too soon", got)
	}
}

// TestBinary checks that messages are the same in binary, and that what binary cannot express is
// left to JSON.
func TestBinary(t *testing.T) {
	c, d := newCoder(), protocol.Decoder{}
	for _, tc := range []struct {
		text   string
		binary bool
	}{
		{`{"type":"snapshot","data":[` + text(1, "k3f9", 0) + `]}`, true},
		{`{"type":"update","data":[` + text(2, "", 0) + `,` + text(3, "", 0) + `]}`, true},
		{`{"type":"update","data":[` + text(7, "", 3) + `]}`, true},
		{`{"type":"update","data":[` + text(9, "", 0) + `]}`, false},
		{`{"type":"update","data":[` + text(7, "", 0) + `]}`, false},
		{`{"type":"update","data":[` + text(8, "", 0) + `]}`, true},
		{`{"type":"snapshot","reset":true,"data":[` + text(90, "m7aa", 0) + `]}`, true},
		{`{"type":"update","data":[` + text(1, "p0", 0) + `]}`, true},
		{`{"type":"update","data":[{"symbol":"EUR/USD","bid":"NaN","ask":"1.1","ts":"2026-11-22T10:15:00Z","seq":1}]}`, false},
		{`{"type":"status","status":"ok"}`, false},
		{`{"type":"update","data":[` + text(2, "", 0) + `]}`, true},
	} {
		batch, ok := c.code([]byte(tc.text))
		if ok != tc.binary {
			t.Errorf("%s in binary: %v, want %v", tc.text, ok, tc.binary)
		}
		if !ok {
			continue
		}
		want, err := protocol.Decode([]byte(tc.text))
		got, err2 := d.Decode(batch)
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis %+v, %v\nwant %+v, %v", tc.text, got, err2, want, err)
		}
	}
}

func text(seq uint64, epoch string, skipped uint64) string {
	q := protocol.Quote{Symbol: "EUR/USD", Bid: bidOf(seq), Ask: askOf(seq), Seq: seq, Extra: protocol.Extra{Epoch: epoch, Skipped: skipped}}
	q.Time = protocol.At(time.Date(2026, 11, 22, 10, 15, int(seq), 0, time.UTC))
	return string(q.Append(nil))
}
