package live_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// An event is one of a stream.
type event struct {
	id, name, retry string
	webtest.Message
}

// A reader of a stream keeps the last id, as a browser does.
type streamReader struct {
	t      testing.TB
	header http.Header
	lines  *bufio.Scanner
	last   string
	close  func() error
}

func openStream(n *webtest.Node, token, query, lastID string) *streamReader {
	n.T.Helper()
	r, err := http.NewRequestWithContext(n.T.Context(), "GET", n.Public.URL+"/api/v1/stream?"+query, nil)
	if err != nil {
		n.T.Fatal(err)
	}
	r.Header = webtest.Bearer(token)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	b := webtest.NewHTTPClient(n.T, n.Public)
	b.HTTP.Timeout = 0
	resp, err := b.HTTP.Do(r)
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		n.T.Fatalf("%s %s", resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &streamReader{t: n.T, header: resp.Header, lines: lines, last: lastID, close: resp.Body.Close}
}

// next returns the next event that is not a heartbeat; ok is false at the end of the stream.
func (s *streamReader) next() (e event, ok bool) {
	s.t.Helper()
	stuck := time.AfterFunc(webtest.Patience, func() { s.close() })
	defer stuck.Stop()
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "data":
			e.Raw = value
			if err := json.Unmarshal([]byte(value), &e.Message); err != nil {
				s.t.Fatalf("%q: %v", value, err)
			}
		case "id":
			e.id, s.last = value, value
		case "event":
			e.name = value
		case "retry":
			e.retry = value
		case "":
			if e.Raw != "" && e.Type != "heartbeat" {
				return e, true
			}
			e = event{}
		}
	}
	return e, false
}

func (s *streamReader) want(typ string) event {
	s.t.Helper()
	e, ok := s.next()
	if !ok || e.Type != typ {
		s.t.Fatalf("got %q, want %s", e.Raw, typ)
	}
	return e
}

func TestStream(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", encrypted), func(t *testing.T) {
			n := webtest.Start(t, func(c *webtest.Config) { c.TLS = encrypted })
			token, _ := n.SignIn("u", "user")
			out := n.Publish([3]string{"EUR/USD", "1.08450", "1.08460"})
			s := openStream(n, token, "symbols=EURUSD,GBP/USD&max_rate=50", "")
			if s.header.Get("Cache-Control") != "no-store, no-transform" || s.header.Get("RateLimit") == "" {
				t.Errorf("headers %v", s.header)
			}
			s.want("welcome")
			if m := s.want("ack"); m.Raw != `{"type":"ack","op":"subscribe","ok":["EUR/USD","GBP/USD"],"failed":[],"max_rate":50,"mode":"latest"}` {
				t.Errorf("%s", m.Raw)
			}
			for {
				e, ok := s.next()
				if !ok {
					t.Fatal("the stream ended")
				}
				if e.Type == "status" {
					continue
				}
				if q := e.Quotes(t)[0]; e.Type != "snapshot" || q.Bid != "1.08450" || e.id != fmt.Sprintf("EUR/USD:%s:1", out[0].Epoch) {
					t.Errorf("%s id %s", e.Raw, e.id)
				}
				break
			}
			n.Publish([3]string{"EUR/USD", "1.08451", "1.08461"})
			e, _ := s.next()
			for e.Type == "status" { // GBP/USD has none
				e, _ = s.next()
			}
			if e.Type != "update" || e.Quotes(t)[0].Seq != 2 || e.id != fmt.Sprintf("EUR/USD:%s:2", out[0].Epoch) {
				t.Errorf("%s id %s", e.Raw, e.id)
			}
		})
	}
}

// A stream that was lost continues after its last event, with every tick.
func TestStreamResumes(t *testing.T) {
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("u", "user")
	epoch, _ := ticks(n, 5)
	s := openStream(n, token, "symbols=EUR/USD&mode=all", "")
	s.want("welcome")
	s.want("ack")
	s.want("snapshot")
	ticks(n, 2)
	next := uint64(6)
	for round := range 3 {
		for next <= uint64(7+round*3) {
			for _, q := range s.want("update").Quotes(t) {
				if q.Seq != next {
					t.Fatalf("seq %d, want %d", q.Seq, next)
				}
				next++
			}
		}
		if want := fmt.Sprintf("EUR/USD:%s:%d", epoch, next-1); s.last != want {
			t.Fatalf("id %s, want %s", s.last, want)
		}
		s.close()
		ticks(n, 3)
		s = openStream(n, token, "symbols=EUR/USD&mode=all", s.last)
		s.want("welcome")
		s.want("ack")
		s.want("resumed")
	}
	s = openStream(n, token, "symbols=EUR/USD&mode=all", "EUR/USD:old:7")
	s.want("welcome")
	s.want("ack")
	if e := s.want("snapshot"); !e.Reset {
		t.Errorf("%s", e.Raw)
	}
	s = openStream(n, token, "symbols=EUR/*&mode=all", "")
	s.want("welcome")
	s.want("ack")
	if e := s.want("snapshot"); e.Reset || e.id != "*" {
		t.Errorf("%s id %q", e.Raw, e.id)
	}
	s = openStream(n, token, "symbols=EUR/*&mode=all", s.last)
	s.want("welcome")
	s.want("ack")
	if e := s.want("snapshot"); !e.Reset {
		t.Errorf("%s", e.Raw)
	}
}

// Symbols are resumed one after the other. An id that is sent in between also has the positions of
// symbols that are not resumed yet. So a stream that is lost at that moment continues with them.
func TestStreamKeepsPositionsNotYetResumed(t *testing.T) {
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("u", "user")
	epoch, _ := ticks(n, 3)
	out := n.Publish([3]string{"GBP/USD", "1.27", "1.28"})
	later := fmt.Sprintf("GBP/USD:%s:1", out[0].Epoch)
	const query = "symbols=EUR/USD,GBP/USD&mode=all"
	s := openStream(n, token, query, fmt.Sprintf("EUR/USD:%s:2,%s", epoch, later))
	s.want("welcome")
	s.want("ack")
	s.want("resumed")
	s.want("update")
	if !slices.Contains(strings.Split(s.last, ","), later) {
		t.Errorf("id %s, want %s in it", s.last, later)
	}
	s.close()
	n.Publish([3]string{"GBP/USD", "1.271", "1.281"})
	s = openStream(n, token, query, s.last)
	s.want("welcome")
	s.want("ack")
	s.want("resumed")
	s.want("resumed")
	if q := s.want("update").Quotes(t)[0]; q.Symbol != "GBP/USD" || q.Seq != 2 {
		t.Errorf("%+v", q)
	}
}

// The answer to HEAD ends with its head: the connection serves the next request.
func TestStreamAnswersHeadWithoutBody(t *testing.T) {
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("u", "user")
	conn, err := net.Dial("tcp", n.Public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(webtest.Patience))
	fmt.Fprintf(conn, "HEAD /api/v1/stream?symbols=EUR/USD HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: "HEAD"})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Close || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	fmt.Fprint(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err = http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
}

func TestStreamRefuses(t *testing.T) {
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("u", "user")
	b := webtest.NewHTTPClient(t, n.Public)
	if a := b.Do("GET", "/api/v1/stream", "", nil); a.Status != 401 {
		t.Errorf("without a session: %d", a.Status)
	}
	for query, names := range map[string]string{
		"symbols=FOO/BAR":               "FOO/BAR",
		"symbols=EUR/USD&mode=some":     "mode",
		"symbols=EUR/USD&max_rate=fast": "max_rate",
		"symbols=EUR/USD&max_rate=-1":   "max_rate",
		"mode=all&max_rate=1":           "max_rate",
		"pace_ms=9":                     "pace_ms",
		"pace_ms=60001":                 "pace_ms",
		"pace_ms=10.5":                  "pace_ms",
		"pace_ms=NaN":                   "pace_ms",
		"pace_ms=x":                     "pace_ms",
	} {
		if p := b.Do("GET", "/api/v1/stream?"+query, "", webtest.Bearer(token)).Problem(t, 400); !strings.Contains(p.Detail, names) {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

// An EventSource cannot drop the id that it sends, so an id that cannot be read starts the stream from the beginning.
func TestStreamRestartsOnBadID(t *testing.T) {
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("u", "user")
	ticks(n, 2)
	for _, id := range []string{"EUR/USD:e:x", "7", "EUR/USD:k3f9:" + strings.Repeat("9", 30), "FOO/BAR:e:1", "EUR/USD:" + strings.Repeat("e", 999) + ":1"} {
		for _, mode := range []string{"latest", "all"} {
			s := openStream(n, token, "symbols=EUR/USD&mode="+mode, id)
			s.want("welcome")
			s.want("ack")
			if e := s.want("snapshot"); e.Reset != (mode == "all") || e.Quotes(t)[0].Seq != 2 {
				t.Errorf("%s of %.20q: %s", mode, id, e.Raw)
			}
			s.close()
		}
	}
}

// A ticket opens one stream, for pages that can set no header and send no cookie.
func TestStreamByTicket(t *testing.T) {
	n := webtest.Start(t, nil)
	_, sess := n.SignIn("u", "user")
	b := webtest.NewHTTPClient(t, n.Public)
	ticket, _, err := n.Sessions.IssueTicket(t.Context(), sess.ID)
	if err != nil {
		t.Fatal(err)
	}
	// A request that cannot open a stream does not use up the ticket.
	b.Do("GET", "/api/v1/stream?mode=some&ticket="+ticket, "", nil).Problem(t, 400)
	if a := b.Do("HEAD", "/api/v1/stream?ticket="+ticket, "", nil); a.Status != 200 {
		t.Errorf("HEAD: %d", a.Status)
	}
	s := openStream(n, "", "symbols=EUR/USD&ticket="+ticket, "")
	if m := s.want("welcome"); m.Session.ID != sess.ID {
		t.Errorf("%s", m.Raw)
	}
	b.Do("GET", "/api/v1/stream?ticket="+ticket, "", nil).Problem(t, 401)
	b.Do("GET", "/api/v1/stream?ticket=nonsense", "", nil).Problem(t, 401)
	if strings.Contains(n.Log.String(), ticket) {
		t.Error("the log holds the ticket")
	}
}

// A stream ends with its session, and when the node shuts down, and sends the reason.
func TestStreamEnds(t *testing.T) {
	n := webtest.Start(t, nil)
	token, sess := n.SignIn("u", "user")
	s := openStream(n, token, "", "")
	s.want("welcome")
	s.want("ack")
	if err := n.Sessions.Revoke(t.Context(), sess.ID); err != nil {
		t.Fatal(err)
	}
	e := s.want("closing")
	if e.name != "closing" || string(e.Code) != "4001" || e.retry != "86400000" {
		t.Errorf("%s %s", e.name, e.Raw)
	}
	if _, ok := s.next(); ok {
		t.Error("the stream goes on")
	}
	webtest.Eventually(t, "it has left", func() bool { return n.Hub.Clients() == 0 })

	token, _ = n.SignIn("u", "user")
	s = openStream(n, token, "", "")
	s.want("welcome")
	s.want("ack")
	go n.Hub.Drain(t.Context(), 0)
	if e := s.want("closing"); string(e.Code) != "1012" || e.Reconnect == 0 || e.name != "closing" || e.retry != fmt.Sprint(e.Reconnect) {
		t.Errorf("%s", e.Raw)
	}
	if e, ok := s.next(); ok {
		t.Errorf("after closing: %s", e.Raw)
	}
}

func TestStreamCountsAmongConnections(t *testing.T) {
	n := webtest.Start(t, func(c *webtest.Config) { c.Conns = 1 })
	token, _ := n.SignIn("u", "user")
	s := openStream(n, token, "", "")
	s.want("welcome")
	second := openStream(n, token, "", "")
	if e := second.want("closing"); string(e.Code) != "4009" || e.Reconnect < 20_000 || e.retry != fmt.Sprint(e.Reconnect) {
		t.Errorf("%s", e.Raw)
	}
	s.close()
	webtest.Eventually(t, "its place is free", func() bool { return n.Hub.Clients() == 0 })
	openStream(n, token, "", "").want("welcome")
}

// TestStreamThatGoesOnSending ends a client that sends and sends after its request.
func TestStreamThatGoesOnSending(t *testing.T) {
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("u", "user")
	c := webtest.DialServer(t, n.Public)
	defer c.Close()
	c.SetDeadline(time.Now().Add(webtest.Patience))
	fmt.Fprintf(c, "GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token)
	webtest.Eventually(t, "it has joined", func() bool { return n.Hub.Clients() == 1 })
	input := make([]byte, 1<<10)
	for range 1 << 10 {
		if _, err := c.Write(input); err != nil {
			break
		}
	}
	webtest.Eventually(t, "it has been ended", func() bool { return n.Hub.Clients() == 0 })
}
